package fstab

import (
	"io/fs"
	"path"
	"strings"
)

// MtabState says what /etc/mtab is.
type MtabState int

// What /etc/mtab can be.
const (
	MtabAbsent MtabState = iota
	MtabProc             // a link into /proc: always true, nothing to rewrite
	MtabFile             // a regular file: a list of mounts of the old system, stale in a copy
	MtabOther            // a link elsewhere, or no file and no link
)

// MtabTarget is where a current system's /etc/mtab points.
const MtabTarget = "../proc/self/mounts"

// Mtab classifies /etc/mtab. mode is from lstat (0 with exists false for none), link is the target of a symbolic link.
func Mtab(exists bool, mode fs.FileMode, link string) MtabState {
	switch {
	case !exists:
		return MtabAbsent
	case mode.IsRegular():
		return MtabFile
	case mode.Type() != fs.ModeSymlink:
		return MtabOther
	}
	if !path.IsAbs(link) {
		link = path.Join("/etc", link)
	}
	link = path.Clean(link)
	if strings.HasPrefix(link, "/proc/") && path.Base(link) == "mounts" {
		return MtabProc
	}
	return MtabOther
}
