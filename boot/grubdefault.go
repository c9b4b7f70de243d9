package boot

import (
	"math"
	"strings"
)

// Chosen returns the entry that a value of default or next_entry selects: a number from 0, an id or a title for each
// menu level, separated by '>'. As in GRUB (get_entry_number in grub-core/normal/menu.c), a level that begins with a
// digit is a number, whatever follows; if there is no such entry, the first one counts; and if the value ends at a
// submenu, the submenu's first entry counts. ok is false if there is no entry at all.
func (c GRUBConfig) Chosen(value string) (e GRUBEntry, ok bool) {
	within := c.Entries
	parts := menuLevels(value)
	for depth := 0; len(within) > 0; depth++ {
		items := menuItems(within, depth)
		part := ""
		if depth < len(parts) {
			part = parts[depth]
		}
		within = pick(items, part, depth)
		if e := within[0]; len(within) == 1 && len(e.Submenus) <= depth {
			return e, true
		}
	}
	return GRUBEntry{}, false
}

// menuItems groups the entries of one menu: an item is a single entry, or all entries of one submenu.
func menuItems(es []GRUBEntry, depth int) [][]GRUBEntry {
	var out [][]GRUBEntry
	for _, e := range es {
		if n := len(out) - 1; n >= 0 && len(e.Submenus) > depth && len(out[n][0].Submenus) > depth && out[n][0].Submenus[depth] == e.Submenus[depth] {
			out[n] = append(out[n], e)
			continue
		}
		out = append(out, []GRUBEntry{e})
	}
	return out
}

// menuLevels splits a value at each '>'; a doubled '>' is one that belongs to an id or title.
func menuLevels(value string) []string {
	var out []string
	var level strings.Builder
	for i := 0; i < len(value); i++ {
		switch {
		case value[i] != '>':
			level.WriteByte(value[i])
		case i+1 < len(value) && value[i+1] == '>':
			level.WriteByte('>')
			i++
		default:
			out = append(out, level.String())
			level.Reset()
		}
	}
	return append(out, level.String())
}

// leadingNumber reads a number as grub_strtoul does without a base: 0x or 0 selects one, and the number ends with its
// digits.
func leadingNumber(s string) (n int, ok bool) {
	s = strings.TrimLeft(s, " \t\n\v\f\r")
	base := 10
	switch {
	case strings.HasPrefix(s, "0x"):
		base, s = 16, s[2:]
	case len(s) > 1 && s[0] == '0' && s[1] >= '0' && s[1] <= '7':
		base = 8
	}
	for _, c := range []byte(strings.ToLower(s)) {
		digit := strings.IndexByte("0123456789abcdef"[:base], c)
		if digit < 0 {
			break
		}
		// No menu is that long; the exact number does not matter.
		n, ok = min(n*base+digit, math.MaxInt32), true
	}
	return n, ok
}

func pick(items [][]GRUBEntry, part string, depth int) []GRUBEntry {
	if n, ok := leadingNumber(part); ok {
		if n < len(items) {
			return items[n]
		}
		return items[0]
	}
	for _, it := range items {
		e := it[0]
		if len(e.Submenus) > depth && e.Submenus[depth] == part || len(e.Submenus) <= depth && part != "" && (e.ID == part || e.Title == part) {
			return it
		}
	}
	return items[0]
}
