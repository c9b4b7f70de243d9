package boot

import (
	"math"
	"strings"
)

// Chosen returns the entry that a value of default or next_entry leads to: numbers from 0, ids or titles, one a menu
// level with '>' between. As in GRUB (grub-core/normal/menu.c, get_entry_number) what begins with a digit is a number,
// whatever follows; the first one is taken where there is no such entry, and what a submenu would show by itself is its
// first. ok is false when there is no entry at all.
func (c GRUBConfig) Chosen(value string) (GRUBEntry, bool) {
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

// menuItems groups the entries below one menu: an entry alone, or all those of one submenu.
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

// menuLevels splits a value at each '>'; two of them are one that belongs to an id or title.
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

// leadingNumber reads a number as grub_strtoul does without a base: 0x and 0 tell one, and it ends where its digits end.
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
		// No menu is that long; the exact number does not count.
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
