package sim

import "encoding/binary"

// SwapHeader is the first page of a swap area (include/linux/swap.h).
func SwapHeader(id string, size int64) []byte {
	b := make([]byte, 4096)
	binary.LittleEndian.PutUint32(b[1024:], 1)
	binary.LittleEndian.PutUint32(b[1028:], uint32(size/4096)-1)
	copy(b[1036:], mustID(id))
	copy(b[4086:], "SWAPSPACE2")
	return b
}
