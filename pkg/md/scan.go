package md

import (
	"errors"
	"fmt"
	"io"
)

// parse reads one superblock of the given version. Its error is a *Damaged, unless
// the version is unknown. A 0.90 superblock does not record its position:
// SuperOffset and DataSize stay 0.
func parse(v Version, b []byte) (Superblock, error) {
	switch v {
	case V090:
		return parse0(b)
	case V10, V11, V12:
		return parse1(v, b)
	}
	_, _, err := v.numbers()
	return Superblock{}, err
}

// Marshal returns the superblock's bytes with a new checksum: 4096 bytes for 0.90,
// a multiple of 512 for 1.x. Parsing the result gives the same Superblock.
func (s Superblock) Marshal() ([]byte, error) {
	switch s.Version {
	case V090:
		return s.marshal0()
	case V10, V11, V12:
		return s.marshal1()
	}
	_, _, err := s.Version.numbers()
	return nil, err
}

// superPosition returns the offset in bytes of a version's superblock on a device
// of size bytes; ok is false if the device is too small for one.
func superPosition(v Version, size int64) (off int64, ok bool) {
	switch v {
	case V090:
		off = size&^(v0Reserved-1) - v0Reserved
		return off, off >= 0
	case V10:
		if size < 24*Sector {
			return 0, false
		}
		return (size/Sector - 16) &^ 7 * Sector, true
	case V11:
		return 0, size >= 24*Sector
	case V12:
		return 8 * Sector, size >= 24*Sector
	}
	return 0, false
}

// found is one position that has md's magic.
type found struct {
	off    int64
	length int64 // bytes that the superblock occupies, as far as is known
	super  Superblock
	damage *Damaged
}

// Scan looks at every position where md keeps a superblock on a device of size
// bytes and returns all valid ones, 1.2 first. The error joins a *Damaged for each
// position that has md's magic but is not valid, and the read errors; superblocks
// that are returned with an error are good. Scan reads at most four blocks of 4 KiB.
//
// More than one result means that superblocks of earlier arrays remain. A 0.90
// result may belong to the last partition or to the whole disk: the caller, which
// knows both devices, must decide. Read the members of a running array past the
// page cache: the kernel writes superblock and bitmap without going through it.
func Scan(r io.ReaderAt, size int64) ([]Superblock, error) {
	all, err := look(r, size)
	var out []Superblock
	errs := []error{err}
	for _, f := range all {
		if f.damage != nil {
			errs = append(errs, f.damage)
		} else {
			out = append(out, f.super)
		}
	}
	return out, errors.Join(errs...)
}

func look(r io.ReaderAt, size int64) ([]found, error) {
	var out []found
	var errs []error
	seen := map[int64]bool{}
	for _, v := range Versions() {
		off, ok := superPosition(v, size)
		if !ok || seen[off] && v != V090 {
			continue
		}
		b := make([]byte, min(superBytes, size-off))
		if n, err := r.ReadAt(b, off); n < len(b) {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			errs = append(errs, fmt.Errorf("md %s superblock at byte %d: read: %w", v, off, err))
			continue
		}
		f, ok := inspect(v, b, off, size)
		if ok {
			seen[off] = true
			out = append(out, f)
		}
	}
	return out, errors.Join(errs...)
}

// inspect checks one position; ok is false if there is no md superblock.
func inspect(v Version, b []byte, off, size int64) (f found, ok bool) {
	f = found{off: off, length: Sector}
	s, err := parse(v, b)
	if err != nil {
		var d *Damaged
		if !errors.As(err, &d) || d.Kind == NoMagic || d.Kind == Short || d.Kind == WrongVersion {
			return f, false
		}
		d.Offset = off
		f.damage = d
		if v == V090 {
			f.length = superBytes
		}
		return f, true
	}
	fail := func(k Damage, format string, args ...any) (found, bool) {
		f.damage = damaged(v, k, format, args...)
		f.damage.Offset = off
		return f, true
	}
	f.length = superBytes
	if v == V090 {
		s.SuperOffset, s.DataSize = off, off
		if s.Level > 0 && s.Size > off {
			return fail(Truncated, "component of %d bytes, the device has room for %d", s.Size, off)
		}
		f.super = s
		return f, true
	}
	f.length = roundUp(int64(v1Fixed+2*len(s.Roles)), Sector)
	if s.SuperOffset != off {
		return fail(Misplaced, "array %s: records its own position as byte %d: it belongs to another device",
			s.UUID, s.SuperOffset)
	}
	if rest := s.Features &^ knownFeatures; rest != 0 {
		return fail(Unsupported, "array %s: features %s, which this version does not know", s.UUID, rest)
	}
	if v != V10 && s.DataOffset < off+f.length {
		return fail(BadField, "array %s: data at byte %d, inside the superblock of %d bytes at %d", s.UUID, s.DataOffset, f.length, off)
	}
	room := size
	if v == V10 {
		room = off
	}
	need := s.DataSize
	if s.Role() != RoleJournal {
		need = max(need, s.Size)
	}
	if need > room-s.DataOffset {
		return fail(Truncated, "array %s: data of %d bytes at byte %d, the device has %d",
			s.UUID, need, s.DataOffset, size)
	}
	f.super = s
	return f, true
}

// Write is a range of bytes to write to a device.
type Write struct {
	Offset int64 // bytes from the start of the device
	Data   []byte
}

// Wipe returns the writes that remove every md superblock of this device and
// nothing else: valid, damaged and truncated ones, for exactly the bytes that they
// occupy. It leaves a misplaced one, which belongs to another device and has to be
// wiped there. Bitmaps and data stay; without a superblock md ignores them.
func Wipe(r io.ReaderAt, size int64) ([]Write, error) {
	all, err := look(r, size)
	var out []Write
	for _, f := range all {
		if f.damage != nil && f.damage.Kind == Misplaced {
			continue
		}
		out = append(out, Write{Offset: f.off, Data: make([]byte, min(f.length, size-f.off))})
	}
	return out, err
}
