package gpt

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// guid holds the 16 bytes as they are on disk: the first three fields little-endian, the rest in order.
type guid [16]byte

// parseGUID reads only the 8-4-4-4-12 form, in either case: no braces, no urn prefix, no missing hyphens.
func parseGUID(s string) (guid, error) {
	var g guid
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return g, fmt.Errorf("guid %q: not of the form 01234567-89ab-cdef-0123-456789abcdef", s)
	}
	raw, err := hex.DecodeString(s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:])
	if err != nil {
		return g, fmt.Errorf("guid %q: %w", s, err)
	}
	binary.LittleEndian.PutUint32(g[0:], binary.BigEndian.Uint32(raw[0:]))
	binary.LittleEndian.PutUint16(g[4:], binary.BigEndian.Uint16(raw[4:]))
	binary.LittleEndian.PutUint16(g[6:], binary.BigEndian.Uint16(raw[6:]))
	copy(g[8:], raw[8:])
	return g, nil
}

// String returns the canonical form of this project: lower case, as udev names links under by-partuuid.
func (g guid) String() string {
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", binary.LittleEndian.Uint32(g[0:]),
		binary.LittleEndian.Uint16(g[4:]), binary.LittleEndian.Uint16(g[6:]), g[8:10], g[10:16])
}

// IsZero reports whether the GUID is all zeros, which marks an unused entry.
func (g guid) IsZero() bool { return g == guid{} }
