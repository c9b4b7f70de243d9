package md

import (
	"encoding/binary"
	"fmt"
	"io"
)

const (
	bitmapMagic   = 0x6d746962
	bitmapHeader  = 256
	bitmapVersion = 4 // little-endian, BITMAP_MAJOR_HI
	maxBitmap     = 128 << 20
)

// Bitmap is the header of an internal write-intent bitmap (bitmap_super_t in drivers/md/md-bitmap.h).
type Bitmap struct {
	UUID          UUID
	Version       Version // of the superblock that it belongs to; it decides the UUID's byte order
	Events        uint64
	EventsCleared uint64
	SyncSize      int64 // bytes covered
	ChunkSize     int64 // bytes per bit
	DaemonSleep   uint32
	WriteBehind   uint32
	State         uint32
	Nodes         uint32
}

// Bits returns the number of bits in use.
func (m Bitmap) Bits() int64 {
	if m.ChunkSize <= 0 {
		return 0
	}
	return (m.SyncSize + m.ChunkSize - 1) / m.ChunkSize
}

// Bytes returns the size of header and bits, rounded up to 4 KiB.
func (m Bitmap) Bytes() int64 { return roundUp((m.Bits()+7)/8+bitmapHeader, 4096) }

// uuidBytes returns the UUID as the bitmap stores it: the bytes of the superblock.
func uuidBytes(v Version, u UUID) UUID {
	if v != V090 {
		return u
	}
	var out UUID
	for i := 0; i < 16; i += 4 {
		binary.LittleEndian.PutUint32(out[i:], binary.BigEndian.Uint32(u[i:]))
	}
	return out
}

// Marshal returns the header followed by bits that are all clean or all dirty:
// length bytes in total, or Bytes if that is more.
func (m Bitmap) Marshal(dirty bool, length int64) []byte {
	le := binary.LittleEndian
	b := make([]byte, max(length, m.Bytes()))
	if dirty {
		for i := bitmapHeader; i < len(b); i++ {
			b[i] = 0xff
		}
	}
	le.PutUint32(b, bitmapMagic)
	le.PutUint32(b[4:], bitmapVersion)
	u := uuidBytes(m.Version, m.UUID)
	copy(b[8:], u[:])
	le.PutUint64(b[24:], m.Events)
	le.PutUint64(b[32:], m.EventsCleared)
	le.PutUint64(b[40:], uint64(m.SyncSize/Sector))
	le.PutUint32(b[48:], m.State)
	le.PutUint32(b[52:], uint32(m.ChunkSize))
	le.PutUint32(b[56:], m.DaemonSleep)
	le.PutUint32(b[60:], m.WriteBehind)
	le.PutUint32(b[68:], m.Nodes)
	return b
}

// parseBitmap reads a bitmap's header; v is the superblock's version.
func parseBitmap(v Version, b []byte) (Bitmap, error) {
	le := binary.LittleEndian
	if len(b) < bitmapHeader {
		return Bitmap{}, fmt.Errorf("md bitmap: %d bytes, a header has %d", len(b), bitmapHeader)
	}
	if g := le.Uint32(b); g != bitmapMagic {
		return Bitmap{}, fmt.Errorf("md bitmap: magic %#08x, not %#08x", g, uint32(bitmapMagic))
	}
	// Version 5 has a bitmap for each node of a cluster, version 6 (lockless) a byte for each chunk. Marshal writes
	// neither.
	if g := le.Uint32(b[4:]); g != 3 && g != bitmapVersion {
		return Bitmap{}, fmt.Errorf("md bitmap: version %d, only 3 and %d are known: add members with mdadm --add", g, bitmapVersion)
	}
	m := Bitmap{Version: v}
	var raw UUID
	copy(raw[:], b[8:24])
	m.UUID = uuidBytes(v, raw)
	m.Events, m.EventsCleared = le.Uint64(b[24:]), le.Uint64(b[32:])
	n := le.Uint64(b[40:])
	if n > maxSectors {
		return Bitmap{}, fmt.Errorf("md bitmap: sync size of %d sectors", n)
	}
	m.SyncSize, m.ChunkSize = int64(n)*Sector, int64(le.Uint32(b[52:]))
	m.State, m.DaemonSleep, m.WriteBehind, m.Nodes = le.Uint32(b[48:]), le.Uint32(b[56:]), le.Uint32(b[60:]), le.Uint32(b[68:])
	if m.ChunkSize < Sector || m.ChunkSize&(m.ChunkSize-1) != 0 {
		return Bitmap{}, fmt.Errorf("md bitmap: chunk of %d bytes, not a power of two of at least %d", m.ChunkSize, Sector)
	}
	return m, nil
}

// ReadBitmap reads the header of a member's internal bitmap and checks that it
// belongs to the member's array. s must come from a Scan of the same device.
func ReadBitmap(r io.ReaderAt, s Superblock) (Bitmap, error) {
	if !s.Features.Has(FeatureBitmap) {
		return Bitmap{}, fmt.Errorf("array %s: no internal bitmap", s.UUID)
	}
	off := s.SuperOffset + s.BitmapOffset
	if off < 0 {
		return Bitmap{}, fmt.Errorf("array %s: bitmap at byte %d", s.UUID, off)
	}
	b := make([]byte, bitmapHeader)
	if _, err := r.ReadAt(b, off); err != nil {
		return Bitmap{}, fmt.Errorf("array %s: bitmap at byte %d: read: %w", s.UUID, off, err)
	}
	m, err := parseBitmap(s.Version, b)
	if err != nil {
		return Bitmap{}, fmt.Errorf("array %s: bitmap at byte %d: %w", s.UUID, off, err)
	}
	if m.UUID != s.UUID {
		return Bitmap{}, fmt.Errorf("array %s: bitmap at byte %d belongs to %s", s.UUID, off, m.UUID)
	}
	return m, nil
}

// planBitmap chooses the chunk size as mdadm does: 64 MiB, or the smallest larger
// power of two for which header and bits fit into room bytes.
func planBitmap(v Version, u UUID, sync, room int64, events uint64) (Bitmap, error) {
	m := Bitmap{UUID: u, Version: v, Events: events, EventsCleared: events, SyncSize: sync, ChunkSize: 64 << 20, DaemonSleep: 5}
	if room <= bitmapHeader {
		return m, fmt.Errorf("array %s: no room for a bitmap: %d bytes", u, room)
	}
	for (m.Bits()+7)/8+bitmapHeader > room {
		if m.ChunkSize >= 1<<31 {
			return m, fmt.Errorf("array %s: no room for a bitmap of %d bytes in %d", u, sync, room)
		}
		m.ChunkSize *= 2
	}
	return m, nil
}
