package extent

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
)

// headSize is what Hidden holds back, in bytes: the primary superblock of ext lies at bytes 1024 to 2047, the smallest
// unit of a direct write on any disk is at most 4096, and the unit of ranges is a block.
func (a *Allocation) headSize() int64 { return max(4096, a.BlockSize) }

// Hidden is the allocation without the first 4096 bytes, or the first block where that is larger, of an ext filesystem.
// A copy of it has no superblock where anybody looks for one: until [Allocation.Reveal] it can be found by no UUID, not
// even after a power cut. Two filesystems of one UUID would let the old system mount the wrong one.
func (a *Allocation) Hidden() (*Allocation, error) {
	if a.Type == "xfs" {
		return nil, fmt.Errorf("xfs %s: its superblocks cannot be held back yet: %w", a.UUID, ErrUnsupported)
	}
	if a.Has("uninit_bg") && !a.Has("metadata_csum") {
		return nil, fmt.Errorf("%s %s: feature uninit_bg ties the group descriptors' checksums to the uuid: %w", a.Type, a.UUID, ErrUnsupported)
	}
	if a.Has("stable_inodes") {
		return nil, fmt.Errorf("%s %s: feature stable_inodes binds encrypted files to the uuid: %w", a.Type, a.UUID, ErrUnsupported)
	}
	h := *a
	h.Ranges = slices.Clone(a.Ranges)
	head := a.headSize()
	for len(h.Ranges) > 0 && h.Ranges[0].End() <= head {
		h.Ranges = h.Ranges[1:]
	}
	if len(h.Ranges) > 0 && h.Ranges[0].Offset < head {
		h.Ranges[0] = Range{head, h.Ranges[0].End() - head}
	}
	return &h, nil
}

// Reveal gives the bytes that Hidden held back, which make a hidden copy a filesystem with the new UUID from the first
// instant, to be written at offset 0 of dev in one write, and the commands that follow. It has no label: a power cut
// may come before it gets one, and an old system that mounts by label would find the source's twice. With
// metadata_csum the old UUID stays the checksums' seed until tune2fs has rewritten them: for that while the superblock says so (metadata_csum_seed), which
// every e2fsprogs and kernel of ext4 reads but GRUB 2.06 does not. Source: the kernel's fs/ext4/ext4.h, struct
// ext4_super_block.
func (a *Allocation) Reveal(src io.ReaderAt, dev, uuid string) ([]byte, []Command, error) {
	id, err := hex.DecodeString(strings.ReplaceAll(uuid, "-", ""))
	if err != nil || len(id) != 16 {
		return nil, nil, fmt.Errorf("uuid %q: 16 bytes in hexadecimal expected", uuid)
	}
	head := make([]byte, a.headSize())
	if _, err := src.ReadAt(head, 0); err != nil {
		return nil, nil, fmt.Errorf("superblock: %w", err)
	}
	sb := head[1024:2048]
	if !slices.Equal(sb[0x38:0x3a], []byte{0x53, 0xef}) || formatUUID(sb[0x68:]) != a.UUID {
		return nil, nil, fmt.Errorf("superblock: not that of filesystem %s: %w", a.UUID, ErrCorrupt)
	}
	const (
		incompatCsumSeed = 0x2000
		uuidAt, seedAt   = 0x68, 0x270
		labelAt          = 0x78
		incompatAt       = 0x60
	)
	var cmds []Command
	if a.Has("metadata_csum") && !a.Has("metadata_csum_seed") {
		binary.LittleEndian.PutUint32(sb[seedAt:], rawCRC32C(^uint32(0), sb[uuidAt:uuidAt+16]))
		binary.LittleEndian.PutUint32(sb[incompatAt:], binary.LittleEndian.Uint32(sb[incompatAt:])|incompatCsumSeed)
		cmds = append(cmds, a.fsck(dev, "tune2fs rewrites checksums only of a filesystem just checked"),
			Command{[]string{"tune2fs", "-O", "^metadata_csum_seed", dev}, "the new uuid seeds the checksums: all metadata is rewritten", []int{0}})
	}
	copy(sb[uuidAt:], id)
	clear(sb[labelAt : labelAt+16])
	if a.Has("metadata_csum") {
		binary.LittleEndian.PutUint32(sb[0x3fc:], rawCRC32C(^uint32(0), sb[:0x3fc]))
	}
	return head, cmds, nil
}
