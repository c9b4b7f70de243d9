package copy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// SlotHeader is the size, in bytes, of the header before the payload of a slot: a mark of four bytes, the length of the payload
// (u32, little endian) and the CRC-32C of salt and payload (u32, little endian). Zeros follow the payload.
const SlotHeader = 12

var errSlotTooSmall = errors.New("slot is too small")

// EncodeSlot returns a slot of size bytes. The salt is not stored, but is part of the checksum: a slot that was written with
// another salt does not decode.
func EncodeSlot(mark, salt string, payload []byte, size int) ([]byte, error) {
	if n := size - SlotHeader; len(payload) > n {
		return nil, fmt.Errorf("%w: payload of %d bytes, at most %d fit", errSlotTooSmall, len(payload), n)
	}
	b := make([]byte, size)
	copy(b, mark)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(b[8:], slotSum(salt, payload))
	copy(b[SlotHeader:], payload)
	return b, nil
}

// DecodeSlot returns the payload of a slot. ok is false if b is torn, not a slot with that mark, or written with another salt.
func DecodeSlot(mark, salt string, b []byte) (payload []byte, ok bool) {
	if len(b) < SlotHeader || string(b[:4]) != mark {
		return nil, false
	}
	n := binary.LittleEndian.Uint32(b[4:])
	if int64(n) > int64(len(b)-SlotHeader) {
		return nil, false
	}
	payload = b[SlotHeader:][:n]
	return payload, slotSum(salt, payload) == binary.LittleEndian.Uint32(b[8:])
}

func slotSum(salt string, payload []byte) uint32 {
	h := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	_, _ = io.WriteString(h, salt) // a hash never fails
	_, _ = h.Write(payload)
	return h.Sum32()
}
