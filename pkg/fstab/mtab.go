package fstab

import (
	"io/fs"
	"path"
	"strings"
)

// MtabState says what kind of file /etc/mtab is.
type MtabState int

// The kinds of /etc/mtab.
const (
	MtabAbsent MtabState = iota
	MtabProc             // a link into /proc: always up to date, nothing to rewrite
	MtabFile             // a regular file: a list of the old system's mounts, stale in a copy
	MtabOther            // a link elsewhere, or neither a file nor a link
)

// MtabTarget is the target of /etc/mtab on a current system.
const MtabTarget = "../proc/self/mounts"

// Mtab classifies /etc/mtab. mode is from lstat (0 if it does not exist); link is the target of a symbolic link.
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
