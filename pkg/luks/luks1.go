package luks

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

const (
	magic  = "LUKS\xba\xbe"
	magic2 = "SKUL\xba\xbe" // of the second copy of a LUKS2 header
)

const slotInUse = 0x00ac71f3

func be16(b []byte) uint16 { return binary.BigEndian.Uint16(b) }
func be32(b []byte) uint32 { return binary.BigEndian.Uint32(b) }
func be64(b []byte) uint64 { return binary.BigEndian.Uint64(b) }

// text is a field that ends at the first NUL. What is not printable ASCII is not a name of anything.
func text(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	for _, c := range b {
		if c < ' ' || c > '~' {
			return ""
		}
	}
	return string(b)
}

// read1 reads struct luks_phdr.
func read1(b []byte) (Header, error) {
	h := Header{Version: 1, UUID: text(b[168:208]), Cipher: text(b[8:40]) + "-" + text(b[40:72]), KeySize: int(be32(b[108:])), Offset: int64(be32(b[104:])) * 512, Sector: 512}
	if h.UUID == "" || h.KeySize < 1 || h.KeySize > 512 {
		return Header{}, fmt.Errorf("LUKS header: a key of %d bytes, UUID %q: it is damaged", h.KeySize, h.UUID)
	}
	for i := range 8 {
		if s := b[208+48*i:]; be32(s) == slotInUse {
			h.Slots = append(h.Slots, Slot{Number: i, Cipher: h.Cipher, Hash: text(b[72:104]), KDF: "pbkdf2"})
		}
	}
	return h, nil
}
