package boot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

const (
	listSize    = 12
	coreSegment = 0x820 // where diskboot.img loads the second sector: 0x8200
	// The largest core image for the BIOS, in bytes: it is loaded below 640 KiB (util/mkimage.c).
	maxCore = 1 << 20

	coreCompressedSize   = biosSector + 0x08
	coreUncompressedSize = biosSector + 0x0c
	coreRedundancy       = biosSector + 0x10
	coreDecompressorMax  = 0x9000 - 0x8200
)

// blockList is one entry of diskboot.img: length sectors from LBA start, loaded at segment.
type blockList struct {
	start           uint64
	length, segment uint16
}

// Extent is a run of 512-byte sectors on the disk.
type Extent struct{ LBA, Sectors uint64 }

// Core describes GRUB's core image for i386-pc.
type Core struct {
	Extents []Extent // of all sectors but the first, in the order in which they are loaded
	Sectors uint64   // total number, including the first and any Reed-Solomon redundancy
	Prefix  string   // where GRUB looks for its modules and grub.cfg: (mduuid/...)/boot/grub
	Modules []string // names, in the order in which they are embedded
	Config  string   // embedded configuration; "" for none
}

// Missing returns those of names that are not embedded.
func (c Core) Missing(names ...string) []string {
	var out []string
	for _, n := range names {
		if !slices.Contains(c.Modules, n) {
			out = append(out, n)
		}
	}
	return out
}

// CoreExtents reads from the first sector of a core image where the rest of it is. A caller that reads a disk needs
// this before it can pass all sectors to [ParseCore].
func CoreExtents(first []byte) ([]Extent, error) {
	lists, err := coreLists(first)
	if err != nil {
		return nil, err
	}
	var out []Extent
	for _, l := range lists {
		out = append(out, Extent{LBA: l.start, Sectors: uint64(l.length)})
	}
	return out, nil
}

// ParseCore reads a whole core image: the first sector, then the others in the order of [CoreExtents]. It unpacks the
// image to find prefix and modules, so it returns an error for an image that is truncated or damaged.
func ParseCore(core []byte) (Core, error) {
	lists, err := coreLists(core)
	if err != nil {
		return Core{}, err
	}
	if len(core) > maxCore {
		return Core{}, fmt.Errorf("core image: %d bytes, at most %d can be loaded", len(core), maxCore)
	}
	c := Core{Sectors: coreSectors(lists)}
	for _, l := range lists {
		c.Extents = append(c.Extents, Extent{l.start, uint64(l.length)})
	}
	if n := uint64(len(core)+biosSector-1) / biosSector; n < c.Sectors {
		return Core{}, fmt.Errorf("core image: %d sectors, its block lists name %d", n, c.Sectors)
	}
	image, err := unpackCore(core)
	if err != nil {
		return Core{}, fmt.Errorf("core image: %w", err)
	}
	if err := c.readModules(image); err != nil {
		return Core{}, fmt.Errorf("core image: %w", err)
	}
	return c, nil
}

// coreLists reads the block lists at the end of the first sector, which grow downwards and end with a length of 0
// (grub-core/boot/i386/pc/diskboot.S).
func coreLists(core []byte) ([]blockList, error) {
	if len(core) < biosSector {
		return nil, fmt.Errorf("core image: %d bytes, less than a sector", len(core))
	}
	if !bytes.Contains(core[:biosSector], []byte("Geom\x00Read\x00 Error")) {
		return nil, errors.New("core image: its first sector is not GRUB's diskboot.img")
	}
	var out []blockList
	segment := uint64(coreSegment)
	for at := biosSector - listSize; at >= biosSector/2; at -= listSize {
		l := blockList{
			start:   binary.LittleEndian.Uint64(core[at:]),
			length:  binary.LittleEndian.Uint16(core[at+8:]),
			segment: binary.LittleEndian.Uint16(core[at+10:]),
		}
		if l.length == 0 {
			if out == nil {
				return nil, errors.New("core image: no block list")
			}
			return out, nil
		}
		// Segments are 16 bytes, so a sector is 32 of them.
		if uint64(l.segment) != segment {
			return nil, fmt.Errorf("core image: block list %d: loads at segment %#x, %#x expected", len(out)+1, l.segment, segment)
		}
		segment += uint64(l.length) * 32
		if l.start+uint64(l.length) < l.start {
			return nil, fmt.Errorf("core image: block list %d: LBA %d overflows", len(out)+1, l.start)
		}
		out = append(out, l)
	}
	return nil, errors.New("core image: block lists have no end")
}

func coreSectors(lists []blockList) uint64 {
	n := uint64(1)
	for _, l := range lists {
		n += uint64(l.length)
	}
	return n
}

func putList(core []byte, l blockList) {
	at := biosSector - listSize
	binary.LittleEndian.PutUint64(core[at:], l.start)
	binary.LittleEndian.PutUint16(core[at+8:], l.length)
	binary.LittleEndian.PutUint16(core[at+10:], l.segment)
}
