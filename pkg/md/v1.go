package md

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"
)

const (
	magic      = 0xa92b4efc
	v1Fixed    = 256
	superBytes = 4096 // the longest superblock
	maxRoles   = (superBytes - v1Fixed) / 2
	maxSectors = 1 << 52 // keeps sums of byte counts inside an int64
)

// sumWords adds little-endian 32-bit words, and a trailing 16-bit word, and
// folds the carry in once, as md does for both formats.
func sumWords(b []byte) uint32 {
	var sum uint64
	for ; len(b) >= 4; b = b[4:] {
		sum += uint64(binary.LittleEndian.Uint32(b))
	}
	if len(b) >= 2 {
		sum += uint64(binary.LittleEndian.Uint16(b))
	}
	return uint32(sum) + uint32(sum>>32)
}

// checksum1 sums a 1.x superblock with its checksum field taken as zero.
func checksum1(b []byte) uint32 {
	c := bytes.Clone(b)
	clear(c[216:220])
	return sumWords(c)
}

func parse1(v Version, b []byte) (Superblock, error) {
	le := binary.LittleEndian
	var s Superblock
	if len(b) < v1Fixed {
		return s, damaged(v, Short, "%d bytes, a superblock has at least %d", len(b), v1Fixed)
	}
	if m := le.Uint32(b); m != magic {
		return s, damaged(v, NoMagic, "magic %#08x, not %#08x", m, uint32(magic))
	}
	if m := le.Uint32(b[4:]); m != 1 {
		return s, damaged(v, WrongVersion, "major version %d, not 1", m)
	}
	maxDev := le.Uint32(b[220:])
	if maxDev > maxRoles || v1Fixed+2*int(maxDev) > len(b) {
		return s, damaged(v, BadField, "a role table of %d entries does not fit", maxDev)
	}
	b = b[:v1Fixed+2*int(maxDev)]
	if got, want := le.Uint32(b[216:]), checksum1(b); got != want {
		return s, damaged(v, BadChecksum, "superblock checksum %#08x, computed %#08x", got, want)
	}
	for _, pad := range [][]byte{b[12:16], b[228:v1Fixed]} {
		if !bytes.Equal(pad, make([]byte, len(pad))) {
			return s, damaged(v, Unsupported, "fields that this version does not know are set: %x", pad)
		}
	}
	s.Version = v
	s.Features = Feature(le.Uint32(b[8:]))
	copy(s.UUID[:], b[16:32])
	s.Name = string(cutNUL(b[32:64]))
	s.CTime = fromTime1(le.Uint64(b[64:]))
	s.Level = int(int32(le.Uint32(b[72:])))
	s.Layout = le.Uint32(b[76:])
	s.ChunkSize = int64(le.Uint32(b[88:])) * Sector
	s.RaidDisks = int(le.Uint32(b[92:]))
	for _, f := range []struct {
		name string
		at   int
		to   *int64
	}{
		{"size", 80, &s.Size}, {"data offset", 128, &s.DataOffset},
		{"data size", 136, &s.DataSize}, {"super offset", 144, &s.SuperOffset},
	} {
		n := le.Uint64(b[f.at:])
		if n > maxSectors {
			return Superblock{}, damaged(v, BadField, "%s of %d sectors", f.name, n)
		}
		*f.to = int64(n) * Sector
	}
	if s.RaidDisks < 0 || s.RaidDisks > maxRoles {
		return Superblock{}, damaged(v, BadField, "%d raid disks, at most %d", s.RaidDisks, maxRoles)
	}
	if s.Features.Has(FeatureBitmap) {
		s.BitmapOffset = int64(int32(le.Uint32(b[96:]))) * Sector
	} else if s.Features.Has(FeaturePPL | FeatureMultiplePPLs) {
		s.PPLOffset = int64(int16(le.Uint16(b[96:]))) * Sector
		s.PPLSize = int64(le.Uint16(b[98:])) * Sector
	}
	if s.Features.Has(FeatureReshape) {
		s.Reshape = Reshape{
			Level:      int(int32(le.Uint32(b[100:]))),
			Position:   le.Uint64(b[104:]),
			DeltaDisks: int(int32(le.Uint32(b[112:]))),
			Layout:     le.Uint32(b[116:]),
			ChunkSize:  int64(le.Uint32(b[120:])) * Sector,
		}
		if s.Features.Has(FeatureNewOffset) {
			s.Reshape.NewOffset = int64(int32(le.Uint32(b[124:]))) * Sector
		}
	}
	s.RecoveryOffset = le.Uint64(b[152:])
	s.DevNumber = int(le.Uint32(b[160:]))
	s.CorrectedReads = le.Uint32(b[164:])
	copy(s.DeviceUUID[:], b[168:184])
	s.DevFlags = b[184]
	s.BadBlocks = BadBlockLog{
		Shift:  b[185],
		Size:   int64(le.Uint16(b[186:])) * Sector,
		Offset: int64(int32(le.Uint32(b[188:]))) * Sector,
	}
	s.UTime = fromTime1(le.Uint64(b[192:]))
	s.Events = le.Uint64(b[200:])
	s.ResyncOffset = le.Uint64(b[208:])
	s.BlockSize = le.Uint32(b[224:])
	s.Roles = make([]Role, maxDev)
	for i := range s.Roles {
		s.Roles[i] = Role(le.Uint16(b[v1Fixed+2*i:]))
	}
	return s, nil
}

func (s Superblock) marshal1() ([]byte, error) {
	le := binary.LittleEndian
	if len(s.Name) > 32 {
		return nil, fmt.Errorf("array name %q: longer than 32 bytes", s.Name)
	}
	if len(s.Roles) > maxRoles {
		return nil, fmt.Errorf("role table of %d entries: at most %d", len(s.Roles), maxRoles)
	}
	n := v1Fixed + 2*len(s.Roles)
	b := make([]byte, roundUp(int64(n), Sector))
	le.PutUint32(b, magic)
	le.PutUint32(b[4:], 1)
	le.PutUint32(b[8:], uint32(s.Features))
	copy(b[16:], s.UUID[:])
	copy(b[32:64], s.Name)
	le.PutUint64(b[64:], toTime1(s.CTime))
	le.PutUint32(b[72:], uint32(int32(s.Level)))
	le.PutUint32(b[76:], s.Layout)
	le.PutUint64(b[80:], uint64(s.Size/Sector))
	le.PutUint32(b[88:], uint32(s.ChunkSize/Sector))
	le.PutUint32(b[92:], uint32(s.RaidDisks))
	if s.Features.Has(FeatureBitmap) {
		le.PutUint32(b[96:], uint32(int32(s.BitmapOffset/Sector)))
	} else if s.Features.Has(FeaturePPL | FeatureMultiplePPLs) {
		le.PutUint16(b[96:], uint16(int16(s.PPLOffset/Sector)))
		le.PutUint16(b[98:], uint16(s.PPLSize/Sector))
	}
	if s.Features.Has(FeatureReshape) {
		le.PutUint32(b[100:], uint32(int32(s.Reshape.Level)))
		le.PutUint64(b[104:], s.Reshape.Position)
		le.PutUint32(b[112:], uint32(int32(s.Reshape.DeltaDisks)))
		le.PutUint32(b[116:], s.Reshape.Layout)
		le.PutUint32(b[120:], uint32(s.Reshape.ChunkSize/Sector))
		if s.Features.Has(FeatureNewOffset) {
			le.PutUint32(b[124:], uint32(int32(s.Reshape.NewOffset/Sector)))
		}
	}
	le.PutUint64(b[128:], uint64(s.DataOffset/Sector))
	le.PutUint64(b[136:], uint64(s.DataSize/Sector))
	le.PutUint64(b[144:], uint64(s.SuperOffset/Sector))
	le.PutUint64(b[152:], s.RecoveryOffset)
	le.PutUint32(b[160:], uint32(s.DevNumber))
	le.PutUint32(b[164:], s.CorrectedReads)
	copy(b[168:], s.DeviceUUID[:])
	b[184] = s.DevFlags
	b[185] = s.BadBlocks.Shift
	le.PutUint16(b[186:], uint16(s.BadBlocks.Size/Sector))
	le.PutUint32(b[188:], uint32(int32(s.BadBlocks.Offset/Sector)))
	le.PutUint64(b[192:], toTime1(s.UTime))
	le.PutUint64(b[200:], s.Events)
	le.PutUint64(b[208:], s.ResyncOffset)
	le.PutUint32(b[220:], uint32(len(s.Roles)))
	le.PutUint32(b[224:], s.BlockSize)
	for i, r := range s.Roles {
		le.PutUint16(b[v1Fixed+2*i:], uint16(r))
	}
	le.PutUint32(b[216:], checksum1(b[:n]))
	return b, nil
}

// fromTime1 reads a 1.x time: 40 bits of seconds and 24 of microseconds. It drops
// a value of a million microseconds or more, which would carry into the seconds.
func fromTime1(t uint64) time.Time {
	micro := int64(t >> 40)
	if micro >= 1_000_000 {
		micro = 0
	}
	return time.Unix(int64(t&(1<<40-1)), micro*1000).UTC()
}

func toTime1(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.Unix())&(1<<40-1) | uint64(t.Nanosecond()/1000)<<40
}

func cutNUL(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i]
	}
	return b
}

func roundUp(n, to int64) int64 { return (n + to - 1) / to * to }
