package boot

import (
	"strconv"
	"strings"
)

// Chosen returns the entry that a value of default or next_entry leads to: numbers from 0, ids or titles, one a menu
// level with '>' between. As in GRUB (grub-core/normal/menu.c, get_entry_number) the first one is taken where there is no
// such entry, and what a submenu would show by itself is its first. ok is false when there is no entry at all.
func (c GRUBConfig) Chosen(value string) (GRUBEntry, bool) {
	within := c.Entries
	parts := strings.Split(value, ">")
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

func pick(items [][]GRUBEntry, part string, depth int) []GRUBEntry {
	if n, err := strconv.Atoi(part); err == nil && n >= 0 && n < len(items) {
		return items[n]
	}
	for _, it := range items {
		e := it[0]
		if len(e.Submenus) > depth && e.Submenus[depth] == part || len(e.Submenus) <= depth && part != "" && (e.ID == part || e.Title == part) {
			return it
		}
	}
	return items[0]
}
