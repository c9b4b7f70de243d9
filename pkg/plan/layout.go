package plan

import "slices"

// layout is a row of the table of what New can plan: each filesystem and swap area moves to an array of its own, whose
// members are the new disks from the start, and from finish on the old disks that join.
type layout struct {
	name  string // as --to has it
	level int
	// keeps reports whether the old disks stay as they are, with so many new ones, unless --old says otherwise.
	keeps func(news int) bool
}

// layouts is the table.
func layouts() []layout {
	never := func(int) bool { return false }
	return []layout{
		{name: "raid1", level: 1, keeps: func(news int) bool { return news > 1 }},
		{name: "raid5", level: 5, keeps: never},
		{name: "raid6", level: 6, keeps: never},
		{name: "raid10", level: 10, keeps: never},
	}
}

// Layouts are the names that --to takes, as a sentence lists them.
func Layouts() string {
	var out []string
	for _, l := range layouts() {
		out = append(out, l.name)
	}
	return listed(out, "or")
}

func layoutOf(name string) (layout, bool) {
	i := slices.IndexFunc(layouts(), func(l layout) bool { return l.name == name })
	if i < 0 {
		return layout{}, false
	}
	return layouts()[i], true
}

// mostMembers bounds the members of an array: more were not tried.
const mostMembers = 8

// What --old says of the source disks.
const (
	OldJoin = "join"
	OldKeep = "keep"
)

// member is a disk that is in every array at the end.
type member struct {
	dev   *Device
	disk  Node
	joins bool // it is an old disk, which joins at finish
	waits bool // it is a new disk whose partitions join at finish, too
	slot  int
}

// arrays plans a layout.
func (b *builder) arrays(l layout) {
	b.id = "plan.target"
	b.proto = MD{Level: l.level, Metadata: b.metadata(), Bitmap: true}
	r, _ := raidOf(l.level)
	if r.chunked {
		b.proto.Chunk = sizeChunk
	}
	news := b.newDisks()
	if len(news) == 0 {
		return
	}
	if !slices.Contains([]string{"1.0", "1.1", "1.2"}, b.metadata()) {
		b.refuse("metadata "+b.metadata(), "use 1.2, 1.1 or 1.0", "not supported for a root array (0.90 has no name, and can be mistaken for an array of whole disks)")
	}
	if !slices.Contains([]string{"", EngineTree, EngineExtent}, b.in.Engine) {
		b.refuse("engine "+b.in.Engine, "use tree or extent", "unknown")
	}
	b.members = b.slots(l, r, news)
	if b.members == nil {
		return
	}
	b.sectors()
	places := b.places()
	if b.out.Err() != nil {
		return
	}
	lists := [][]string{}
	for _, m := range b.members {
		lists = append(lists, m.dev.Drivers)
	}
	for _, d := range b.disks {
		lists = append(lists, d.Drivers)
	}
	b.p.Drivers = merge(lists...)
	b.build(places)
	if b.p.WriteHole() {
		b.warn("layout "+l.name, "run finish soon, and shut the machine down cleanly until then; with enough new disks (--old keep) the arrays are whole from the start",
			"until finish is complete the arrays have no redundancy, and a power cut may damage blocks beside those that were being written, unnoticed; the new system starts all the same")
	}
}

func (b *builder) metadata() string {
	if b.in.Metadata == "" {
		return "1.2"
	}
	return b.in.Metadata
}

// slots gives each member its slot, nil where the level cannot be made, or cannot be started before finish, with these disks.
func (b *builder) slots(l layout, r raid, news []*Device) []member {
	joins := b.in.Old == OldJoin || b.in.Old == "" && !l.keeps(len(news))
	if !slices.Contains([]string{"", OldJoin, OldKeep}, b.in.Old) {
		b.refuse("--old "+b.in.Old, "use join or keep", "unknown")
		return nil
	}
	var out []member
	for i, d := range news {
		n := diskNode(d, newKey(i))
		n.Disk.Wipe = b.wipes(d)
		out = append(out, member{dev: d, disk: n})
	}
	for i, d := range b.disks {
		if joins {
			out = append(out, member{dev: d, disk: diskNode(d, oldKey(i)), joins: true})
		}
	}
	noun := "layout " + l.name
	olds := len(out) - len(news)
	have := membersWords(len(news), olds)
	switch {
	case len(out) < r.least && !joins && len(news)+len(b.disks) >= r.least:
		b.refuse(noun, "name "+count(r.least-len(out), "more disk")+": --disk /dev/NAME; or let the old one join: --old join", "it takes at least %d members; there are %s", r.least, have)
		return nil
	case len(out) < r.least:
		b.refuse(noun, "name "+count(r.least-len(out), "more disk")+": --disk /dev/NAME", "it takes at least %d members; there are %s", r.least, have)
		return nil
	case len(out) > mostMembers:
		b.refuse(noun, "name fewer disks, or keep the old ones out of it: --old keep", "it takes at most %d members here; there are %s", mostMembers, have)
		return nil
	}
	present, order := make([]bool, len(out)), r.after(len(out))
	for i := range out {
		out[i].slot = order[i]
		present[out[i].slot] = !out[i].joins
	}
	for i := len(news) - r.wait(olds); i < len(news); i++ {
		out[i].waits = true
		present[out[i].slot] = false
	}
	if !r.enough(present) {
		more := 1
		for ; more < len(out); more++ {
			// What would do: as many new disks more, with the same old ones.
			p, o := make([]bool, len(out)+more), r.after(len(out)+more)
			for i := range len(news) + more {
				p[o[i]] = true
			}
			if r.enough(p) {
				break
			}
		}
		b.refuse(noun, "name "+count(more, "more disk")+": --disk /dev/NAME", "it cannot be started before finish: %s, and %s of %d slots would be empty until then", have, number(olds), len(out))
		return nil
	}
	if gone := countOf(present, false); gone > r.boots {
		b.refuse(noun, "keep the old disks out of it (--old keep, with enough new disks), or choose --to raid1 or raid6",
			"until finish, %s of %d slots would be empty, and GRUB reads such an array with at most %s missing: it could not start the new system", number(gone), len(out), number(r.boots))
		return nil
	}
	return out
}

// membersWords counts the members of a layout.
func membersWords(news, olds int) string {
	s := count(news, "new disk")
	if olds == 1 {
		return s + " and 1 old disk that joins at finish"
	} else if olds > 1 {
		return s + " and " + count(olds, "old disk") + " that join at finish"
	}
	return s
}
