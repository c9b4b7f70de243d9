package extent

import (
	"encoding/binary"
	"hash/crc32"
)

// rawCRC32C is crc32c without the customary inversions, as ext uses it.
func rawCRC32C(crc uint32, p []byte) uint32 {
	return ^crc32.Update(^crc, crc32.MakeTable(crc32.Castagnoli), p)
}

// crc16 is the reflected CRC-16 of polynomial 0x8005 that uninit_bg uses.
func crc16(crc uint16, p []byte) uint16 {
	for _, b := range p {
		crc ^= uint16(b)
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ 0xa001
			} else {
				crc >>= 1
			}
		}
	}
	return crc
}

const (
	extSuperChecksum = 0x3fc
	extDescChecksum  = 0x1e
)

// descChecksum computes the checksum of a group descriptor, taking the
// checksum field itself as zero (metadata_csum) or absent (uninit_bg).
func (s *extSuper) descChecksum(group uint32, desc []byte) uint16 {
	var g [4]byte
	binary.LittleEndian.PutUint32(g[:], group)
	if s.roCompat&extRoMetadataCsum != 0 {
		c := rawCRC32C(s.seed, g[:])
		c = rawCRC32C(c, desc[:extDescChecksum])
		c = rawCRC32C(c, []byte{0, 0})
		c = rawCRC32C(c, desc[extDescChecksum+2:])
		return uint16(c)
	}
	c := crc16(0xffff, s.uuid)
	c = crc16(c, g[:])
	c = crc16(c, desc[:extDescChecksum])
	if s.incompat&extIncompat64bit != 0 {
		c = crc16(c, desc[extDescChecksum+2:])
	}
	return c
}
