package tree

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// ErrNotEmpty is returned when the target holds anything but lost+found.
var ErrNotEmpty = errors.New("target is not empty")

// Side is the side on which an operation failed.
type Side string

const (
	Source Side = "source"
	Target Side = "target"
)

// Error is a failed operation on one object. Path is relative to the root ("." is the root itself) and may contain any bytes.
// Offset and Length are in bytes; Length is 0 if the error does not concern a range.
type Error struct {
	Side           Side
	Op, Path       string
	Offset, Length int64
	Err            error
	whole          bool // nothing of the object has been created on the target yet
}

func (e *Error) Error() string {
	where := fmt.Sprintf("%s %q: %s", e.Side, e.Path, e.Op)
	if e.Length > 0 {
		where += fmt.Sprintf(" of bytes %d to %d", e.Offset, e.Offset+e.Length-1)
	}
	s := where + ": " + e.Err.Error()
	if errors.Is(e.Err, unix.ENOSPC) || errors.Is(e.Err, unix.EDQUOT) {
		s += " (the target is full)"
	}
	if e.Side == Target && errors.Is(e.Err, unix.EROFS) {
		s += " (the kernel makes a filesystem read-only after an I/O error; dmesg names the disk)"
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// Unreadable reports whether the copy ended because something in the source cannot be read.
func Unreadable(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Side == Source && damaged(e.Err)
}

// lossy reports whether err means that the target does not support an attribute.
func lossy(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EINVAL) ||
		errors.Is(err, unix.ERANGE) || errors.Is(err, unix.E2BIG) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) ||
		errors.Is(err, unix.ENOPKG) || errors.Is(err, unix.ENOKEY) || errors.Is(err, unix.EKEYREJECTED) // from fs-verity
}
