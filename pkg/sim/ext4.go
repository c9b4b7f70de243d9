package sim

import (
	"encoding/binary"

	"github.com/google/uuid"
)

func mustID(s string) []byte {
	u, err := uuid.Parse(s)
	if err != nil {
		panic(err)
	}
	return u[:]
}

// Ext4Super is an ext4 superblock as mke2fs leaves it, as far as a prober looks. mounts changes its stamp.
func Ext4Super(id, label string, size int64, mounts int) []byte {
	le := binary.LittleEndian
	b := make([]byte, 1024)
	blocks := uint32(size / 4096)
	le.PutUint32(b[0:], 65536)
	le.PutUint32(b[4:], blocks)
	le.PutUint32(b[12:], blocks-blocks/8)
	le.PutUint32(b[16:], 60000)
	le.PutUint32(b[24:], 2)
	le.PutUint32(b[32:], 32768)
	le.PutUint32(b[40:], 8192)
	le.PutUint16(b[52:], uint16(mounts))
	le.PutUint16(b[56:], 0xef53)
	le.PutUint16(b[58:], 1)
	le.PutUint32(b[76:], 1)
	le.PutUint16(b[88:], 256)
	le.PutUint32(b[92:], 0x3c)
	le.PutUint32(b[96:], 0x2c2)
	le.PutUint32(b[100:], 0x6b)
	copy(b[104:], mustID(id))
	copy(b[120:136], label)
	le.PutUint32(b[224:], 8)
	return b
}
