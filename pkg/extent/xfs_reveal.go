package extent

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
)

// Where a UUID is in an xfs: every group begins with a superblock, of which only group 0's is looked at by who searches
// for a filesystem; the log's last record must carry the UUID of the superblock, or the kernel takes the log for another
// filesystem's and does not mount (xlog_header_check_mount). The blocks of version 5 carry one too; the superblock
// says, by the feature metauuid, that theirs is the first one. Source: the kernel's fs/xfs/libxfs/xfs_format.h, struct
// xfs_dsb, and xfs_log_format.h, struct xlog_rec_header.
const (
	xfsUUIDAt, xfsMetaUUIDAt = 32, 248
	xfsLabelAt, xfsLabelLen  = 108, 12
	xfsIncompatAt            = 216
	logChecksumAt, logUUIDAt = 32, 304
	// maxXFSSupers bounds the memory for the superblocks of all groups. mkfs.xfs makes groups of 16 MiB at least.
	maxXFSSupers = 64 << 20
)

// renameXFS changes the superblock in head, and returns the writes that must come before it.
func (a *Allocation) renameXFS(src io.ReaderAt, head, id []byte) ([]Write, error) {
	s, err := parseXFSSuper(bytes.Clone(head), a.Size)
	if err != nil {
		return nil, err
	}
	if s.agCount > maxXFSSupers/uint64(s.sectSize) {
		return nil, fmt.Errorf("xfs %s: %d allocation groups, each with a superblock to change: %w", a.UUID, s.agCount, ErrUnsupported)
	}
	record, err := s.checkLog(src)
	if err != nil {
		return nil, err
	}
	b := make([]byte, logBlock)
	if err := readFull(src, b, record); err != nil {
		return nil, fmt.Errorf("xfs log: %w", err)
	}
	// The kernel accepts a record without a checksum, as mkfs.xfs writes it.
	clear(b[logChecksumAt : logChecksumAt+4])
	copy(b[logUUIDAt:], id)
	out := []Write{{record, b}}
	for ag := uint64(1); ag < s.agCount; ag++ {
		b := make([]byte, s.sectSize)
		at := int64(ag*s.agBlocks) * s.blockSize
		if err := readFull(src, b, at); err != nil {
			return nil, fmt.Errorf("xfs group %d: superblock: %w", ag, err)
		}
		if !isXFS(b) || !bytes.Equal(b[xfsUUIDAt:xfsUUIDAt+16], s.uuid) || s.v5 && !crcOK(b, xfsSuperCRC) {
			return nil, fmt.Errorf("xfs group %d: superblock: not that of filesystem %s, or damaged; run xfs_repair: %w", ag, a.UUID, ErrCorrupt)
		}
		s.rename(b, id)
		out = append(out, Write{at, b})
	}
	s.rename(head[:s.sectSize], id)
	return out, nil
}

func (s *xfsSuper) rename(sb, id []byte) {
	if s.v5 {
		if f := binary.BigEndian.Uint32(sb[xfsIncompatAt:]); f&xfsIncompatMetaUUID == 0 {
			binary.BigEndian.PutUint32(sb[xfsIncompatAt:], f|xfsIncompatMetaUUID)
			copy(sb[xfsMetaUUIDAt:xfsMetaUUIDAt+16], sb[xfsUUIDAt:])
		}
	}
	copy(sb[xfsUUIDAt:], id)
	clear(sb[xfsLabelAt : xfsLabelAt+xfsLabelLen])
	if s.v5 {
		clear(sb[xfsSuperCRC : xfsSuperCRC+4])
		binary.LittleEndian.PutUint32(sb[xfsSuperCRC:], crc32.Checksum(sb, crc32.MakeTable(crc32.Castagnoli)))
	}
}
