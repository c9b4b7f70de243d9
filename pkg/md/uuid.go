package md

import (
	"encoding/hex"
	"fmt"
)

// UUID is an array's or a device's identity in the order mdadm prints it. On a
// 1.x superblock these are the bytes on the disk; on 0.90 each group of four is
// a native-endian word, which this package turns round when it reads and writes.
type UUID [16]byte

// String gives mdadm's form, aaaaaaaa:bbbbbbbb:cccccccc:dddddddd.
func (u UUID) String() string {
	h := u.Hex()
	return h[0:8] + ":" + h[8:16] + ":" + h[16:24] + ":" + h[24:32]
}

// Hex gives 32 lower-case digits, the form of GRUB's mduuid/… device names.
// It holds for 0.90 as well: GRUB swaps those words just as mdadm prints them.
func (u UUID) Hex() string { return hex.EncodeToString(u[:]) }

// IsZero reports whether no identity is set.
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
