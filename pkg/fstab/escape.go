package fstab

import "strings"

// Unescape replaces the octal escapes of fstab (\040 space, \011 tab, \012 line feed, \134 backslash, \043 number sign,
// and any other \ooo up to \377) with the byte. It leaves everything else unchanged.
func Unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		if c, ok := octal(s[i:]); ok {
			b.WriteByte(c)
			i += 4
			continue
		}
		b.WriteByte(s[i])
		i++
	}
	return b.String()
}

// escape is the inverse of Unescape: it writes blanks, line endings, NUL, backslash and a leading number sign as octal
// escapes. A number sign elsewhere stays (a cifs password may hold one): it does not start a comment there, and old C
// libraries do not read its escape.
func escape(s string) string {
	if !strings.ContainsAny(s, " \t\n\r\\#\x00") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case strings.IndexByte(" \t\n\r\\\x00", c) >= 0 || c == '#' && i == 0:
			b.WriteByte('\\')
			b.WriteByte('0' + c>>6)
			b.WriteByte('0' + c>>3&7)
			b.WriteByte('0' + c&7)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func octal(s string) (byte, bool) {
	if len(s) < 4 || s[0] != '\\' || s[1] < '0' || s[1] > '3' {
		return 0, false
	}
	n := 0
	for _, c := range []byte(s[1:4]) {
		if c < '0' || c > '7' {
			return 0, false
		}
		n = n<<3 | int(c-'0')
	}
	return byte(n), true
}
