package md

import (
	"encoding/hex"
	"fmt"
)

// UUID identifies an array or a device; its bytes are in the order in which mdadm
// prints them. A 1.x superblock has the same bytes on disk. In a 0.90 superblock
// each group of four is a native-endian word, which this package swaps when it
// reads and writes.
type UUID [16]byte

// String returns mdadm's form, aaaaaaaa:bbbbbbbb:cccccccc:dddddddd.
func (u UUID) String() string {
	h := u.Hex()
	return h[0:8] + ":" + h[8:16] + ":" + h[16:24] + ":" + h[24:32]
}

// Hex returns 32 lower-case digits, the form of GRUB's mduuid/… device names.
// It is right for 0.90 too: GRUB swaps those words, as mdadm does.
func (u UUID) Hex() string { return hex.EncodeToString(u[:]) }

// IsZero reports whether the UUID is not set.
func (u UUID) IsZero() bool { return u == UUID{} }

// ParseUUID reads 32 hexadecimal digits and ignores every ':' and '-'.
func ParseUUID(s string) (UUID, error) {
	var u UUID
	digits := make([]byte, 0, 32)
	for i := 0; i < len(s); i++ {
		if s[i] == ':' || s[i] == '-' {
			continue
		}
		if len(digits) == 32 {
			return u, fmt.Errorf("uuid %.60q: more than 32 hexadecimal digits", s)
		}
		digits = append(digits, s[i])
	}
	if len(digits) != 32 {
		return u, fmt.Errorf("uuid %.60q: %d hexadecimal digits, not 32", s, len(digits))
	}
	if _, err := hex.Decode(u[:], digits); err != nil {
		return UUID{}, fmt.Errorf("uuid %.60q: %w", s, err)
	}
	return u, nil
}
