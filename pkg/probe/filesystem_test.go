package probe

import (
	"errors"
	"fmt"
	"strings"
)

// The tests ask of a Result whether its device would be mounted as one filesystem, and as which.

// ErrNoFilesystem is wrapped by the errors of [Result.Filesystem] that say that there is none to mount.
var ErrNoFilesystem = errors.New("no filesystem")

// AmbiguousError lists the signatures that compete for a device.
type AmbiguousError struct {
	Candidates []Signature
}

func (e *AmbiguousError) Error() string {
	return "ambiguous: " + list(e.Candidates)
}

// Filesystem returns the one filesystem of the device. A device with an md, LVM, LUKS or ZFS label, swap, or a
// partition table is never a filesystem (the error wraps [ErrNoFilesystem] and names the label, even if it also has the
// magic of a filesystem); several filesystems are an [*AmbiguousError].
func (r Result) Filesystem() (Signature, error) {
	var fs, claims []Signature
	for _, s := range r.Signatures {
		switch {
		case s.Ghost:
		case s.Kind == Filesystem:
			fs = append(fs, s)
		default:
			claims = append(claims, s)
		}
	}
	switch {
	case len(claims) > 0 && len(fs) > 0:
		return Signature{}, fmt.Errorf("%w: device is claimed by %s: %w", ErrNoFilesystem, list(claims), &AmbiguousError{append(claims, fs...)})
	case len(claims) > 0:
		return Signature{}, fmt.Errorf("%w: device is %s", ErrNoFilesystem, list(claims))
	case len(fs) > 1:
		return Signature{}, &AmbiguousError{fs}
	case len(fs) == 0:
		return Signature{}, ErrNoFilesystem
	}
	return fs[0], nil
}

func (s Signature) String() string {
	var b strings.Builder
	b.WriteString(s.Type)
	if s.Version != "" {
		b.WriteString(" " + s.Version)
	}
	if s.UUID != "" {
		b.WriteString(" " + s.UUID)
	}
	fmt.Fprintf(&b, " at byte %d", s.Offset)
	return b.String()
}

func list(s []Signature) string {
	names := make([]string, len(s))
	for i := range s {
		names[i] = s[i].String()
	}
	return strings.Join(names, ", ")
}
