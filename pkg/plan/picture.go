package plan

import (
	"fmt"
	"slices"
	"strings"
)

// Columns of the picture: two boxes and what leads from the left one to the right one.
const (
	boxOld = 27
	boxNew = 37
	arrows = 8
)

type row struct {
	old, arrow, new string
	number          int // of the new partition
}

// picture draws each old disk beside a new one, each partition beside what becomes of it. New disks that are like the first
// one have a line each.
func (p *Plan) picture(g *page, f *Facts) {
	olds, news := p.Source.Disks(), p.NewDisks()
	alike := news[min(1, len(news)):]
	if len(olds) <= 1 && !slices.ContainsFunc(alike, func(n *Node) bool { return !p.alike(news[0], n) }) {
		news = news[:min(1, len(news))]
		defer func() {
			for _, n := range alike {
				g.line("  %*s%s%s", boxOld+2, "", strings.Repeat(" ", arrows), fmt.Sprintf("%s %s, %s: the same", n.Was, size(n.Size), n.Disk.Scheme)+p.waitWords(n))
			}
		}()
	}
	for i := range max(len(olds), len(news)) {
		at := func(list []*Node) *Node {
			if i < len(list) {
				return list[i]
			}
			return nil
		}
		p.pair(g, f, at(olds), at(news))
	}
}

// alike reports whether two disks get the same partitions.
func (p *Plan) alike(a, b *Node) bool {
	return slices.EqualFunc(p.Target.Parts(a.Ref), p.Target.Parts(b.Ref), func(x, y *Node) bool { return *x.Part == *y.Part && x.Size == y.Size })
}

// waitWords says of a new disk that its partitions are in no array before finish; "" for one of which some are.
func (p *Plan) waitWords(disk *Node) string {
	if len(slices.DeleteFunc(p.Target.Over(disk.Ref), func(n *Node) bool { return n.MD == nil })) > 0 {
		return ""
	}
	return ", joins at finish"
}

// pair draws two disks side by side; either may be nil.
func (p *Plan) pair(g *page, f *Facts, was, t *Node) {
	left, right, stays, legend := "", "", "", ""
	var old *Device
	if was != nil {
		if old, _ = f.Disk(was); old == nil {
			old = &Device{}
		}
		left, stays = fmt.Sprintf("%s %s", was.Was, size(was.Size)), "stays as it is until finish"
		if p.Final.Node(was.Ref) == nil {
			stays = "stays as it is"
		}
		if old.Table != nil {
			left += ", " + old.Table.Scheme
		}
	}
	if t != nil {
		right, legend = fmt.Sprintf("%s %s, %s", t.Was, size(t.Size), t.Disk.Scheme), p.legend(t)
	}
	rule := func(n int) string { return "+" + strings.Repeat("-", n) + "+" }
	pad, frame := strings.Repeat(" ", arrows), rule(boxNew)
	if t == nil {
		frame = ""
	}
	g.line("  %-*s%s%s", boxOld+2, left, pad, right)
	g.line("  %s%s%s", rule(boxOld), pad, frame)
	for _, r := range p.rows(f, old, t) {
		box := fmt.Sprintf("|%-*s|", boxNew, cut(" "+plain(r.new), boxNew))
		if t == nil {
			box = ""
		}
		g.line("  |%-*s|%-*s%s", boxOld, cut(" "+plain(r.old), boxOld), arrows, r.arrow, box)
	}
	g.line("  %s%s%s", rule(boxOld), pad, frame)
	g.line("  %-*s%s%s", boxOld+2, stays, pad, legend)
}

// legend explains the marks of the first array on a disk that misses members.
func (p *Plan) legend(disk *Node) string {
	for _, n := range p.Target.Over(disk.Ref) {
		missing := 0
		for _, r := range n.On {
			if r == "" {
				missing++
			}
		}
		if missing > 0 {
			what := "an array"
			if n.MD != nil && n.MD.Level != 1 {
				what = fmt.Sprintf("a raid%d", n.MD.Level)
			}
			return fmt.Sprintf("%s %s with %s of %s members", n.marks(), what, number(len(n.On)-missing), number(len(n.On)))
		}
	}
	return ""
}

// number spells small numbers.
func number(n int) string {
	if names := []string{"none", "one", "two", "three", "four", "five", "six"}; n >= 0 && n < len(names) {
		return names[n]
	}
	return fmt.Sprint(n)
}

func (p *Plan) rows(f *Facts, old *Device, t *Node) []row {
	var rows []row
	seen := map[Ref]bool{}
	if old != nil {
		places := f.Parts(old.Name)
		if old.Table == nil && len(places) == 0 && old.Name != "" {
			places = []*Device{old} // a filesystem or a layer on the disk itself
		}
		for _, x := range places {
			number := ""
			if x.Number > 0 {
				number = fmt.Sprint(x.Number)
			}
			r := row{old: fmt.Sprintf("%1s %9s %s", number, size(x.Size), p.oldText(f, x))}
			if n, arrow := p.becomes(f, x, t); n != nil {
				seen[n.Ref] = true
				r.arrow, r.new, r.number = " "+arrow, p.newText(n), n.Part.Number
			}
			rows = append(rows, r)
		}
	}
	if t == nil {
		return rows
	}
	// What has no forerunner stands in its place by number, as far as the old order lets it.
	for _, n := range p.Target.Parts(t.Ref) {
		if !seen[n.Ref] {
			at := slices.IndexFunc(rows, func(r row) bool { return r.number > n.Part.Number })
			if at < 0 {
				at = len(rows)
			}
			rows = slices.Insert(rows, at, row{new: p.newText(n), number: n.Part.Number})
		}
	}
	return rows
}

func (p *Plan) oldText(f *Facts, x *Device) string {
	ref := p.refIn(f, x)
	if s := p.Source.ends(ref); s != "" {
		return s
	}
	if p.Dropped(f, x) {
		return "left behind"
	}
	switch role := roleIn(f.tableOf(x), x.Number); role {
	case RoleBIOSGrub:
		return "BIOS boot"
	case RoleESP:
		return "ESP, not used"
	}
	return "not moved"
}

// ends describes what lies on a reference as people look for it: the filesystems and swap areas, and then the layers between.
func (g Graph) ends(r Ref) string {
	var ends, layers []string
	for _, n := range g.Over(r) {
		k, ok := kindOf(n)
		switch box := k.box(n); {
		case !ok || box == "":
		case n.FS != nil || n.Swap != nil:
			ends = append(ends, box)
		default:
			layers = append(layers, box)
		}
	}
	return strings.Join(append(ends, layers...), " ")
}

// boxes describes everything that lies on a reference, the lowest layer first.
func (g Graph) boxes(r Ref) string {
	var out []string
	for _, n := range g.Over(r) {
		if k, ok := kindOf(n); ok {
			out = append(out, k.box(n))
		}
	}
	return strings.Join(out, " ")
}

// becomes finds the partition of a planned disk that takes what an old one holds.
func (p *Plan) becomes(f *Facts, x *Device, t *Node) (*Node, string) {
	if t == nil {
		return nil, ""
	}
	ref := p.refIn(f, x)
	for _, m := range p.Moves {
		if m.Path != "" || !p.Source.Rests(m.From, ref) {
			continue
		}
		arrow := "-copy->"
		if m.Engine == EngineMake {
			arrow = " -new->"
		}
		if n := p.Target.PartUnder(m.To); n != nil && n.Lower().Is(t.Ref) {
			return n, arrow
		}
		return nil, ""
	}
	for _, n := range p.Target.Parts(t.Ref) {
		if n.Part.Role == RoleBIOSGrub && roleIn(f.tableOf(x), x.Number) == RoleBIOSGrub {
			return n, " -new->"
		}
	}
	return nil, ""
}

func (p *Plan) newText(n *Node) string {
	s := fmt.Sprintf("%d %9s ", n.Part.Number, size(n.Size))
	switch n.Part.Role {
	case RoleBIOSGrub:
		return s + "BIOS boot"
	case RoleJournal:
		return s + "journal"
	case RoleOneShot:
		return s + "boot block"
	}
	return s + p.Target.boxes(n.Ref)
}

// finished lists what gathers several layers, as it is at the end.
func (p *Plan) finished(g *page, f *Facts) {
	for i := range p.Final {
		n := &p.Final[i]
		k, ok := kindOf(n)
		if !ok || k.whole == nil {
			continue
		}
		var on []string
		what := p.Final.boxes(n.Ref)
		for _, r := range n.On {
			x := p.Final.PartUnder(r)
			if x == nil {
				continue
			}
			if disk := p.Final.Node(x.Lower()); disk != nil {
				on = append(on, fmt.Sprintf("%s partition %d", disk.Was, x.Part.Number))
			}
		}
		if room := p.Final.Room(n.Ref); room > 0 && what != "" {
			what += ", " + size(room)
		}
		label, text := k.whole(n)
		g.para(fmt.Sprintf("  %-13s  %s  ", label, text), "%s on %s", what, listed(on, "and"))
	}
	if s := p.survives(f.loader()); s != "" {
		g.para("  ", "%s", s)
	}
}

// survives says what may fail once every array is whole.
func (p *Plan) survives(l Loader) string {
	loaders := 0
	for _, d := range p.Final.Disks() {
		if l.boots(d) && slices.ContainsFunc(p.Final.Parts(d.Ref), func(x *Node) bool { return x.Part.Role == RoleBIOSGrub }) {
			loaders++
		}
	}
	for _, a := range p.Final.Arrays() {
		r, ok := raidOf(a.MD.Level)
		switch {
		case !ok || loaders < len(a.On) || loaders < 2:
			return ""
		case a.MD.Level == 1:
			return fmt.Sprintf("Each of the %s disks then boots alone.", number(loaders))
		default:
			return fmt.Sprintf("Each of the %s disks then has a boot loader; %s.", number(loaders), r.lives)
		}
	}
	return ""
}
