package plan

import (
	"fmt"
	"slices"
	"strings"
)

// Columns of the picture: two boxes and what leads from the left one to the right one.
const (
	boxOld = 30
	boxNew = 34
	arrows = 8
)

type row struct {
	old, arrow, new string
	number          int // of the new partition
}

// picture draws the old disk beside the new one, each partition beside what becomes of it.
func (p *Plan) picture(g *page, f *Facts) {
	for i := range p.Target.Disks {
		t := &p.Target.Disks[i]
		if len(p.Source.Disks) == 0 {
			return
		}
		old, _ := f.Disk(p.Source.Disks[0])
		rows := p.rows(f, old, t)
		was := p.Source.Disks[0]
		left, right := fmt.Sprintf("%s %s", was.Was, size(was.Size)), fmt.Sprintf("%s %s, %s", t.Was, size(t.Size), t.Scheme)
		if old != nil && old.Table != nil {
			left += ", " + old.Table.Scheme
		}
		rule := func(n int) string { return "+" + strings.Repeat("-", n) + "+" }
		pad := strings.Repeat(" ", arrows)
		g.line("  %-*s%s%s", boxOld+2, left, pad, right)
		g.line("  %s%s%s", rule(boxOld), pad, rule(boxNew))
		for _, r := range rows {
			g.line("  |%-*s|%-*s|%-*s|", boxOld, cut(" "+plain(r.old), boxOld), arrows, r.arrow, boxNew, cut(" "+plain(r.new), boxNew))
		}
		g.line("  %s%s%s", rule(boxOld), pad, rule(boxNew))
		g.line("  %-*s%s%s", boxOld+2, "stays as it is", pad, "[U_] an array with one of two members")
	}
}

func (p *Plan) rows(f *Facts, old *Device, t *TargetDisk) []row {
	var rows []row
	seen := map[string]bool{}
	if old == nil {
		old = &Device{}
	}
	for _, x := range f.Parts(old.Name) {
		r := row{old: fmt.Sprintf("%d %9s %s", x.Number, size(x.Size), p.oldWords(old, x))}
		n, arrow := p.successor(old, x, t)
		if n != nil {
			seen[n.GUID] = true
			r.arrow, r.new, r.number = " "+arrow, p.newWords(*n), n.Number
		}
		rows = append(rows, r)
	}
	// What has no forerunner stands in its place by number, as far as the old order lets it.
	for _, n := range t.Partitions {
		if !seen[n.GUID] {
			at := slices.IndexFunc(rows, func(r row) bool { return r.number > n.Number })
			if at < 0 {
				at = len(rows)
			}
			rows = slices.Insert(rows, at, row{new: p.newWords(n), number: n.Number})
		}
	}
	return rows
}

func (p *Plan) oldWords(disk, x *Device) string {
	ref := Ref("part:" + x.GUID)
	for _, s := range p.Source.Filesystems {
		if s.On == ref {
			return s.Type + " " + s.Mount
		}
	}
	for _, s := range p.Source.Swaps {
		if s.On == ref {
			return "swap"
		}
	}
	for _, l := range p.Source.Left {
		if l == x.GUID {
			return "left behind"
		}
	}
	switch role := roleIn(disk.Table, x.Number); role {
	case RoleBIOSGrub:
		return "BIOS boot"
	case RoleESP:
		return "ESP, not used"
	}
	return "not moved"
}

// successor finds the planned partition that takes what an old one holds.
func (p *Plan) successor(disk, x *Device, t *TargetDisk) (*NewPart, string) {
	ref := Ref("part:" + x.GUID)
	var on Ref
	arrow := "-copy->"
	for _, s := range p.Source.Filesystems {
		for _, c := range p.Copies {
			if n := p.FindFS(c.To); s.On == ref && c.From == s.UUID && n != nil {
				on = n.On
			}
		}
	}
	for _, s := range p.Source.Swaps {
		for _, n := range p.Target.Swaps {
			if s.On == ref && n.Old == s.UUID {
				on, arrow = n.On, " -new->"
			}
		}
	}
	for i := range t.Partitions {
		n := &t.Partitions[i]
		if on != "" && p.partOf(on, n.GUID) {
			return n, arrow
		}
		if on == "" && n.Role == RoleBIOSGrub && roleIn(disk.Table, x.Number) == RoleBIOSGrub {
			return n, " -new->"
		}
	}
	return nil, ""
}

// partOf tells whether a volume lies on the partition, directly or through an array.
func (p *Plan) partOf(r Ref, guid string) bool {
	if r == Ref("part:"+guid) {
		return true
	}
	for _, a := range p.Target.Arrays {
		if r != Ref("md:"+a.UUID) {
			continue
		}
		for _, m := range a.Members {
			if m == Ref("part:"+guid) {
				return true
			}
		}
	}
	return false
}

func (p *Plan) newWords(n NewPart) string {
	s := fmt.Sprintf("%d %9s ", n.Number, size(n.Size))
	switch n.Role {
	case RoleBIOSGrub:
		return s + "BIOS boot"
	case RoleJournal:
		return s + "journal"
	}
	for _, a := range p.Target.Arrays {
		if p.partOf(Ref("md:"+a.UUID), n.GUID) {
			s += a.Node + " " + a.marksOf(a.Members) + " "
		}
	}
	return s + p.holds(n.GUID)
}

// holds tells what is made on a planned partition.
func (p *Plan) holds(guid string) string {
	for _, x := range p.Target.Filesystems {
		if p.partOf(x.On, guid) {
			return x.Type + " " + x.Mount
		}
	}
	for _, x := range p.Target.Swaps {
		if p.partOf(x.On, guid) {
			return "swap"
		}
	}
	return ""
}

func (n NewArray) marksOf(members []Ref) string {
	var b strings.Builder
	b.WriteByte('[')
	for _, m := range members {
		if m == "" {
			b.WriteByte('_')
		} else {
			b.WriteByte('U')
		}
	}
	b.WriteByte(']')
	return b.String()
}

// finished lists the arrays as they are at the end.
func (p *Plan) finished(g *page) {
	for _, a := range p.Target.Arrays {
		var on []string
		what := ""
		for i, t := range append(append([]TargetDisk(nil), p.Target.Disks...), p.Target.Mirrors...) {
			refs := a.Members
			if i >= len(p.Target.Disks) {
				refs = a.Later
			}
			for _, n := range t.Partitions {
				for _, r := range refs {
					if r != Ref("part:"+n.GUID) {
						continue
					}
					on = append(on, fmt.Sprintf("%s partition %d", t.Was, n.Number))
					if h := p.holds(n.GUID); h != "" {
						what = h + ", " + size(n.Size)
					}
				}
			}
		}
		g.para(fmt.Sprintf("  %-5s raid%d [%s]  ", a.Node, a.Level, strings.Repeat("U", max(0, a.Devices))), "%s on %s", what, strings.Join(on, " and "))
	}
	g.para("  ", "Each of the two disks then boots alone.")
}
