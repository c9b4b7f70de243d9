package lvm

import (
	"fmt"
	"strings"
)

// ID identifies a physical volume, volume group or logical volume: 32 letters, digits, '!' or '#'.
type ID [32]byte

// String returns LVM's form, aaaaaa-bbbb-cccc-dddd-eeee-ffff-gggggg.
func (id ID) String() string {
	s := id.Compact()
	return strings.Join([]string{s[:6], s[6:10], s[10:14], s[14:18], s[18:22], s[22:26], s[26:]}, "-")
}

// Compact returns the 32 characters without dashes, as in system.devices and in device-mapper's UUIDs.
func (id ID) Compact() string { return string(id[:]) }

// IsZero reports whether the ID is not set.
func (id ID) IsZero() bool { return id == ID{} }

// ParseID reads an ID with or without dashes.
func ParseID(s string) (ID, error) {
	var id ID
	n := 0
	for i := range len(s) {
		c := s[i]
		switch {
		case c == '-':
			continue
		case !idByte(c):
			return ID{}, fmt.Errorf("id %.60q: character %q is not allowed", s, c)
		case n == len(id):
			return ID{}, fmt.Errorf("id %.60q: more than 32 characters", s)
		}
		id[n] = c
		n++
	}
	if n != len(id) {
		return ID{}, fmt.Errorf("id %.60q: %d characters, not 32", s, n)
	}
	return id, nil
}

func idByte(c byte) bool { return letter(c) || digit(c) || c == '!' || c == '#' }

func letter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
func digit(c byte) bool  { return c >= '0' && c <= '9' }

// validName reports whether LVM allows s as the name of a volume group or logical volume.
func validName(s string) bool {
	if s == "" || len(s) > 127 || s[0] == '-' || s == "." || s == ".." {
		return false
	}
	for i := range len(s) {
		if !nameByte(s[i]) {
			return false
		}
	}
	return true
}

func nameByte(c byte) bool {
	return letter(c) || digit(c) || c == '.' || c == '_' || c == '-' || c == '+'
}

// MapperName returns the name of a volume below /dev/mapper, in which dashes within the names are doubled.
func MapperName(vg, lv string) string {
	return strings.ReplaceAll(vg, "-", "--") + "-" + strings.ReplaceAll(lv, "-", "--")
}
