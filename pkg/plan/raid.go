package plan

import "slices"

// raid is a row of the table of RAID levels that can be planned.
type raid struct {
	level int
	// least is how many members such an array has at least, whether they are there yet or not (mdadm(8), drivers/md/raid5.c).
	least int
	// chunked says that data is spread over the members in chunks.
	chunked bool
	// halves is how many halves of a member's data an array of n members offers.
	halves func(n int) int64
	// enough reports whether the members that are present hold everything.
	enough func(present []bool) bool
	// after is the order in which members that are there from the start fill the slots; the rest is for those that join later.
	after func(n int) []int
	// wait is how many members more than missing ones have to stay out of an array that is made with so many missing.
	wait func(missing int) int
	// boots is how many members may be missing for GRUB to read it, as is_lv_readable in GRUB's diskfilter.c counts them.
	boots int
	// lives says in a few words which disks may fail once it is whole.
	lives string
}

// raids is the table.
func raids() []raid {
	missing := func(most int) func([]bool) bool {
		return func(present []bool) bool { return countOf(present, false) <= most }
	}
	none := func(int) int { return 0 }
	return []raid{
		{level: 1, least: 2, halves: func(int) int64 { return 2 }, enough: func(p []bool) bool { return slices.Contains(p, true) },
			after: inOrder, wait: none, boots: mostMembers - 1, lives: "all disks but one may fail"},
		{level: 5, least: 3, chunked: true, halves: func(n int) int64 { return 2 * int64(n-1) }, enough: missing(1),
			after: inOrder, wait: none, boots: 1, lives: "one disk may fail"},
		// The kernel does not start a RAID6 that misses one member unless its parity is known to be right: that would take a
		// resync of all members first. One that misses two has no parity to be wrong, and both are rebuilt at finish.
		{level: 6, least: 4, chunked: true, halves: func(n int) int64 { return 2 * int64(n-2) }, enough: missing(2), after: inOrder,
			wait: func(missing int) int {
				if missing == 1 {
					return 1
				}
				return 0
			}, boots: 2, lives: "two disks may fail"},
		{level: 10, least: 3, chunked: true, halves: func(n int) int64 { return int64(n) }, enough: near2, after: evenFirst, wait: none, boots: 1,
			lives: "one disk may fail, and more where a copy of everything is left; GRUB starts it with one missing"},
	}
}

// raidOf returns the row of a level.
func raidOf(level int) (raid, bool) {
	i := slices.IndexFunc(raids(), func(r raid) bool { return r.level == level })
	if i < 0 {
		return raid{}, false
	}
	return raids()[i], true
}

func countOf(list []bool, what bool) int {
	n := 0
	for _, x := range list {
		if x == what {
			n++
		}
	}
	return n
}

func inOrder(n int) []int {
	var out []int
	for i := range n {
		out = append(out, i)
	}
	return out
}

// evenFirst puts what is there from the start where RAID10's default layout has the first of two copies: slots 0 and 1 are
// a pair, then 2 and 3.
func evenFirst(n int) []int {
	var out []int
	for first := range 2 {
		for i := first; i < n; i += 2 {
			out = append(out, i)
		}
	}
	return out
}

// near2 reports whether each chunk of a RAID10 with layout near=2 has a copy on a member that is present: copies lie on
// neighbouring slots, and with an odd number of slots the last one and the first are neighbours, too (drivers/md/raid10.c).
func near2(present []bool) bool {
	n := len(present)
	for i := 0; i < n; i++ {
		if n%2 == 0 && i%2 == 1 {
			continue
		}
		if !present[i] && !present[(i+1)%n] {
			return false
		}
	}
	return n > 0
}
