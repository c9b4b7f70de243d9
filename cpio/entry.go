package cpio

import (
	"io"
	"path"
	"strings"
)

// File types in st_mode, as newc stores them.
const (
	ModeType    = 0o170000
	ModeSocket  = 0o140000
	ModeSymlink = 0o120000
	ModeRegular = 0o100000
	ModeBlock   = 0o060000
	ModeDir     = 0o040000
	ModeChar    = 0o020000
	ModeFifo    = 0o010000
)

const (
	trailerName = "TRAILER!!!"
	headerSize  = 110
	pathMax     = 4096 // PATH_MAX of the kernel, including the NUL
)

// Entry is one member of an archive.
type Entry struct {
	// Name is relative to the root of the image. From a reader it has no leading "./"
	// or "/" and no trailing slash; the root itself is ".".
	Name string
	// Mode is a raw st_mode: file type and permissions.
	Mode     uint32
	UID, GID uint32
	// MTime is in seconds since 1970; newc can store 0 to 2^32-1.
	MTime int64
	// Nlink and Ino identify hard links: entries of one archive (up to its trailer) with
	// Nlink > 1 and equal Ino (and device) are one file.
	Nlink     uint32
	Ino       uint64
	RdevMajor uint32
	RdevMinor uint32
	// Link is the target of a symbolic link.
	Link string
	// Size is the length of Body in bytes (of Link for a symbolic link).
	Size int64
	// Body holds the bytes of a regular file. From [Walk] it is never nil, and is valid
	// only until the callback returns.
	Body io.Reader
	// Open returns the body when the writer needs it, if Body is nil, so that an image of thousands of
	// files does not keep them all open. The writer closes it.
	Open func() (io.ReadCloser, error)

	devMajor, devMinor uint32
	archive            int // number of trailers before it; the kernel forgets hard links at each of them
}

// IsDir reports whether the entry is a directory.
func (e *Entry) IsDir() bool { return e.Mode&ModeType == ModeDir }

// IsRegular reports whether the entry is a regular file.
func (e *Entry) IsRegular() bool { return e.Mode&ModeType == ModeRegular }

// IsSymlink reports whether the entry is a symbolic link.
func (e *Entry) IsSymlink() bool { return e.Mode&ModeType == ModeSymlink }

// IsDevice reports whether the entry is a block or character device node.
func (e *Entry) IsDevice() bool {
	t := e.Mode & ModeType
	return t == ModeBlock || t == ModeChar
}

// clean returns a name without leading "./" and "/"; "..", which the kernel would
// follow, stays inside the root.
func clean(name string) string {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	if name == "" {
		return "."
	}
	return name
}
