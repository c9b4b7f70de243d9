package fstab

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Text is a text of any syntax that may name devices: a shell script, a kernel command line, a boot loader's
// configuration.
type Text struct{ raw, plain, low string }

// TextOf prepares a text for [Text.Mentions]: it removes quotes and escapes, so that every spelling of a name is found.
func TextOf(b []byte) Text {
	const layers = 16 // more than anyone escapes a name
	s := plainText(string(b), layers)
	return Text{string(b), s, lowerASCII(s)}
}

// Mentions reports whether a text names what a spec means. If the answer depends on the syntax of the text, it is true:
// LABEL=a is found in LABEL=a b.
func (t Text) Mentions(spec Spec) bool {
	m := spec.Meaning()
	if m.Value == "" {
		return false
	}
	switch m.Kind {
	case UUID, PartUUID:
		return found(t.low, m.Value, func(before, after byte) bool { return !isHex(before) && !isHex(after) && after != '-' })
	case Label, PartLabel:
		for _, prefix := range []string{tagOf(m.Kind) + "=", linkDir(m.Kind)} {
			if found(t.plain, prefix+m.Value, func(before, after byte) bool { return !isName(before) && !isName(after) }) {
				return true
			}
		}
		return m.Kind == Label && slices.ContainsFunc(strings.Split(t.plain, "\n"), func(line string) bool { return searchesLabel(line, m.Value) })
	case ID:
		return slices.ContainsFunc([]string{tagOf(ID) + "=", linkDir(ID)}, func(prefix string) bool {
			return found(t.plain, prefix+m.Value, func(before, after byte) bool { return !isName(before) && !isName(after) })
		})
	case Device:
		alone := func(_, after byte) bool { return !isName(after) }
		return found(t.plain, plainText(m.Value, nameLayers), alone) || found(t.raw, m.String(), alone)
	case Other:
		// A number, 8:2 or 802, names a device only behind root= or resume=.
		return found(t.low, "="+lowerASCII(m.Value), func(_, after byte) bool { return !isName(after) && after != ':' })
	}
	return false
}

// searchesLabel reports whether a line of a GRUB script searches for a filesystem by a label (search --label, -l,
// search.fs_label).
func searchesLabel(line, label string) bool {
	by := false
	for _, w := range strings.Fields(line) {
		short := len(w) > 1 && w[0] == '-' && w[1] != '-' && strings.Contains(w, "l")
		by = by || w == "search.fs_label" || w == "--label" || w == "--fs-label" || short
	}
	return by && strings.Contains(line, "search") && found(line, label, func(before, after byte) bool { return !isName(before) && !isName(after) })
}

// found reports whether a text contains a name that is not part of a longer one. It passes alone the bytes before and
// after the name, or 0 at the ends of the text.
func found(text, name string, alone func(before, after byte) bool) bool {
	for at := 0; ; {
		i := strings.Index(text[at:], name)
		if i < 0 {
			return false
		}
		i += at
		var before, after byte
		if i > 0 {
			before = text[i-1]
		}
		if end := i + len(name); end < len(text) {
			after = text[end]
		}
		if alone(before, after) {
			return true
		}
		at = i + 1
	}
}

// isName reports whether c can continue the name of a device, a label or a path.
func isName(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= utf8.RuneSelf || c != 0 && strings.IndexByte("-_./+@", c) >= 0
}

// lowerASCII keeps every byte at its offset, unlike strings.ToLower, which can lengthen some letters.
func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
