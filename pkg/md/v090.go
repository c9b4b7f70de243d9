package md

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"
)

// Word numbers in a 0.90 superblock, and its limits (md_p.h).
const (
	v0Disks     = 27
	v0DiskWords = 32
	v0DisksAt   = 128
	v0ThisAt    = 992
	v0Reserved  = 64 << 10

	stateClean  = 1 << 0
	stateErrors = 1 << 1
	stateBitmap = 1 << 8
)

func checksum0(b []byte) uint32 {
	c := bytes.Clone(b[:superBytes])
	clear(c[38*4 : 39*4])
	return sumWords(c)
}

// fold16 reduces a checksum to 16 bits. Kernels on some architectures stored
// checksums that were folded differently, so the kernel compares only this much.
func fold16(c uint32) uint32 {
	c = c&0xffff + c>>16
	return c&0xffff + c>>16
}

func parse0(b []byte) (Superblock, error) {
	var s Superblock
	if len(b) < superBytes {
		return s, damaged(V090, Short, "%d bytes, not %d", len(b), superBytes)
	}
	w := func(i int) uint32 { return binary.LittleEndian.Uint32(b[4*i:]) }
	if binary.BigEndian.Uint32(b) == magic {
		return s, damaged(V090, Unsupported, "big-endian superblock")
	}
	if w(0) != magic {
		return s, damaged(V090, NoMagic, "magic %#08x, not %#08x", w(0), uint32(magic))
	}
	if w(1) != 0 || (w(2) != 90 && w(2) != 91) {
		return s, damaged(V090, WrongVersion, "version %d.%d, not 0.90", w(1), w(2))
	}
	if got, want := w(38), checksum0(b); fold16(got) != fold16(want) {
		return s, damaged(V090, BadChecksum, "superblock checksum %#08x, computed %#08x", got, want)
	}
	if n := w(10); n == 0 || n > v0Disks {
		return s, damaged(V090, BadField, "%d raid disks, 1 to %d", n, v0Disks)
	}
	s.Version = V090
	for i, at := range []int{5, 13, 14, 15} {
		binary.BigEndian.PutUint32(s.UUID[4*i:], w(at))
	}
	s.CTime, s.UTime = time.Unix(int64(w(6)), 0).UTC(), time.Unix(int64(w(32)), 0).UTC()
	s.Level = int(int32(w(7)))
	s.Size = int64(w(8)) << 10
	s.RaidDisks = int(w(10))
	s.Layout = w(64)
	s.ChunkSize = int64(w(65))
	s.Events = uint64(w(40))<<32 | uint64(w(39))
	state := w(33)
	switch {
	case state&stateClean != 0:
		s.ResyncOffset = MaxSector
	case w(41) == w(39) && w(42) == w(40):
		s.ResyncOffset = uint64(w(43))
	}
	if state&stateBitmap != 0 {
		s.Features |= FeatureBitmap
		s.BitmapOffset = superBytes
	}
	if w(2) == 91 {
		s.Features |= FeatureReshape
		s.Reshape = Reshape{
			Position: uint64(w(45))<<32 | uint64(w(44)), Level: int(int32(w(46))),
			DeltaDisks: int(int32(w(47))), Layout: w(48), ChunkSize: int64(w(49)),
		}
	}
	disk := func(at int) Disk {
		return Disk{Number: w(at), Major: w(at + 1), Minor: w(at + 2), RaidDisk: int32(w(at + 3)), State: w(at + 4)}
	}
	s.Legacy = Legacy{
		PreferredMinor: w(11), ErrorState: state&stateErrors != 0,
		NrDisks: w(9), Active: w(34), Working: w(35), Failed: w(36), Spares: w(37),
		This: disk(v0ThisAt),
	}
	all := make([]Disk, v0Disks)
	used := 0
	for i := range all {
		all[i] = disk(v0DisksAt + v0DiskWords*i)
		if all[i] != (Disk{}) {
			used = i + 1
		}
	}
	s.Legacy.Disks = all[:used:used]
	s.DevNumber = int(s.Legacy.This.Number)
	s.DevFlags = uint8(s.Legacy.This.State & DiskWriteMostly >> 9)
	s.Roles = s.Legacy.roles()
	return s, nil
}

// roles converts the descriptors to a 1.x role table.
func (l Legacy) roles() []Role {
	out := make([]Role, len(l.Disks))
	for i, d := range l.Disks {
		switch {
		case d.State&(DiskFaulty|DiskRemoved) != 0:
			out[i] = RoleFaulty
		case d.State&(DiskActive|DiskSync) == DiskActive|DiskSync && d.RaidDisk >= 0 && d.RaidDisk < v0Disks:
			out[i] = Role(d.RaidDisk)
		default:
			out[i] = RoleSpare
		}
	}
	return out
}

func (s Superblock) marshal0() ([]byte, error) {
	if len(s.Legacy.Disks) > v0Disks || s.RaidDisks > v0Disks {
		return nil, fmt.Errorf("0.90 superblock: %d descriptors for %d raid disks, at most %d",
			len(s.Legacy.Disks), s.RaidDisks, v0Disks)
	}
	if s.Size>>10 > 1<<32-1 {
		return nil, fmt.Errorf("0.90 superblock: component of %d bytes, less than 4 TiB", s.Size)
	}
	b := make([]byte, superBytes)
	put := func(i int, v uint32) { binary.LittleEndian.PutUint32(b[4*i:], v) }
	put(0, magic)
	put(2, 90)
	for i, at := range []int{5, 13, 14, 15} {
		put(at, binary.BigEndian.Uint32(s.UUID[4*i:]))
	}
	put(6, toTime0(s.CTime))
	put(7, uint32(int32(s.Level)))
	put(8, uint32(s.Size>>10))
	put(9, s.Legacy.NrDisks)
	put(10, uint32(s.RaidDisks))
	put(11, s.Legacy.PreferredMinor)
	put(32, toTime0(s.UTime))
	var state uint32
	if s.Clean() {
		state |= stateClean
	}
	if s.Legacy.ErrorState {
		state |= stateErrors
	}
	if s.Features.Has(FeatureBitmap) {
		state |= stateBitmap
	}
	put(33, state)
	put(34, s.Legacy.Active)
	put(35, s.Legacy.Working)
	put(36, s.Legacy.Failed)
	put(37, s.Legacy.Spares)
	put(39, uint32(s.Events))
	put(40, uint32(s.Events>>32))
	put(41, uint32(s.Events))
	put(42, uint32(s.Events>>32))
	put(43, uint32(s.ResyncOffset))
	if s.Features.Has(FeatureReshape) {
		put(2, 91)
		put(44, uint32(s.Reshape.Position))
		put(45, uint32(s.Reshape.Position>>32))
		put(46, uint32(int32(s.Reshape.Level)))
		put(47, uint32(int32(s.Reshape.DeltaDisks)))
		put(48, s.Reshape.Layout)
		put(49, uint32(s.Reshape.ChunkSize))
	}
	put(64, s.Layout)
	put(65, uint32(s.ChunkSize))
	disk := func(at int, d Disk) {
		for i, v := range []uint32{d.Number, d.Major, d.Minor, uint32(d.RaidDisk), d.State} {
			put(at+i, v)
		}
	}
	for i, d := range s.Legacy.Disks {
		disk(v0DisksAt+v0DiskWords*i, d)
	}
	disk(v0ThisAt, s.Legacy.This)
	put(38, checksum0(b))
	return b, nil
}

func toTime0(t time.Time) uint32 {
	if t.IsZero() {
		return 0
	}
	return uint32(t.Unix())
}
