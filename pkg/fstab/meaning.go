package fstab

import (
	"path"
	"strconv"
	"strings"
)

// Meaning returns the canonical form of a spec, which is independent of its spelling: a link of udev becomes its tag,
// escapes and quotes are removed, UUIDs are lower case. Two specs name the same thing if and only if their meanings are
// equal.
//
// Escapes by udev (\x20), a shell or the kernel command line (\040) are removed from tags too: dracut reads
// LABEL=a\x20b as the label "a b", mount(8) as a label with a backslash, but no one uses such a label.
func (s Spec) Meaning() Spec {
	s.Quote = 0
	if s.Kind == Device {
		s.Value = path.Clean(s.Value)
		for _, k := range []Kind{UUID, Label, PartUUID, PartLabel, ID} {
			if v, ok := strings.CutPrefix(s.Value, linkDir(k)); ok && v != "" {
				s = Spec{Kind: k, Value: v}
				break
			}
		}
	}
	switch s.Kind {
	case UUID, PartUUID:
		s.Value = lowerASCII(plainText(s.Value, nameLayers))
	case Label, PartLabel, ID:
		s.Value = plainText(s.Value, nameLayers)
	}
	return s
}

// Same reports whether two specs have the same [Spec.Meaning].
func (s Spec) Same(o Spec) bool { return s.Meaning() == o.Meaning() }

// Tag returns the word before the equals sign, or "" if the spec has no tag.
func (s Spec) Tag() string { return tagOf(s.Kind) }

// Number reads a device number in the forms that root= and resume= accept: 8:2, or hexadecimal digits such as 802, in
// which the high bits of the minor number precede the major number (new_decode_dev in the kernel's kdev_t.h).
func (s Spec) Number() (major, minor uint32, ok bool) {
	if a, b, both := strings.Cut(s.Value, ":"); both {
		x, errA := strconv.ParseUint(a, 10, 32)
		y, errB := strconv.ParseUint(b, 10, 32)
		return uint32(x), uint32(y), s.Kind == Other && errA == nil && errB == nil
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(s.Value, "0x"), 16, 32)
	return uint32(n&0xfff00) >> 8, uint32(n&0xff | n>>12&0xfff00), s.Kind == Other && err == nil && len(s.Value) > 2
}

// linkDir returns the directory of udev's links for a kind of name.
func linkDir(k Kind) string {
	return "/dev/disk/by-" + strings.ToLower(tagOf(k)) + "/"
}

// nameLayers limits how often a name may be escaped: more often than any name on a disk has room for.
const nameLayers = 256

// plainText removes quoting and escapes: quotes, backslashes, \ooo and \xHH. Each pass removes one layer, because a
// text may be escaped more than once, as in a setting whose value another parser reads.
func plainText(s string, passes int) string {
	for range passes {
		next := unescapeOnce(s)
		if next == s {
			break
		}
		s = next
	}
	return s
}

func unescapeOnce(s string) string {
	if !strings.ContainsAny(s, `\'"`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '"' || c == '\'':
		case c != '\\' || i+1 == len(s):
			b.WriteByte(c)
		default:
			if o, ok := octal(s[i:]); ok {
				b.WriteByte(o)
				i += 3
			} else if h, ok := hex(s[i:]); ok {
				b.WriteByte(h)
				i += 3
			} else if i++; s[i] != '\n' {
				b.WriteByte(s[i])
			}
		}
	}
	return b.String()
}

// hex reads \xHH, which udev and libblkid write (blkid_encode_string).
func hex(s string) (byte, bool) {
	if len(s) < 4 || s[1] != 'x' || !isHex(s[2]) || !isHex(s[3]) {
		return 0, false
	}
	return digit(s[2])<<4 | digit(s[3]), true
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func digit(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&0xf + 9
}
