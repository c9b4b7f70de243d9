package loader

import (
	"bytes"
	"io/fs"

	"migrate-init/pkg/fstab"
	"migrate-init/pkg/machine"
)

// Setting is a kind of file that people write and that names devices.
type Setting struct {
	Pattern string
	// Change renames devices beyond their UUIDs, which are replaced wherever they stand; nil for nothing.
	Change func(to Renames, b []byte) ([]byte, error)
	// Scripts says that only what may be executed counts.
	Scripts bool
	// Lines says that a comment is a whole line: a '#' behind a word belongs to it.
	Lines bool
	// Others is what of such a file may not name the old system; nil: all of it.
	Others func(b []byte) []byte
}

// Renames leads from names of the old system's devices to those of the new one.
type Renames struct {
	// UUIDs replaces each known UUID wherever it stands.
	UUIDs func(b []byte) []byte
	// Becomes gives the UUID of what takes a device's place, "" for a device that stays.
	Becomes func(spec fstab.Spec) string
	// Params replaces what names a device in kernel parameters.
	Params func(v string) string
	// Variables changes the values of keys in a shell-like file.
	Variables func(b []byte, change func(string) string, keys ...string) ([]byte, error)
}

// Rewriting is the system that is rewritten. Paths are in that system.
type Rewriting struct {
	To Renames
	// Read gives a file's bytes, nil when it does not exist.
	Read func(name string) ([]byte, error)
	// Edit changes a file that exists, where symbolic links lead to it.
	Edit func(name string, change func([]byte) ([]byte, error)) ([]machine.Effect, error)
}

// write is the effect that makes a file's bytes what they are to be, if they are not.
func write(name string, old, data []byte, mode fs.FileMode) []machine.Effect {
	if bytes.Equal(old, data) {
		return nil
	}
	return []machine.Effect{machine.WriteFile{Path: name, Data: data, Old: old, Mode: mode}}
}
