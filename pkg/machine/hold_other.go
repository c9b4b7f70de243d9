//go:build !linux

package machine

// holds are the disks that this process has locked: none here.
type holds struct{}
