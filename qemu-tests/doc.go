// Package qemutests boots real Debian disks in QEMU and migrates them, as a user would. The harness is package lab.
package qemutests
