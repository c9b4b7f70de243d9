package plan

import "slices"

// leaves resolves --leave: only a volume of a source disk can be left behind, and never the root.
func (b *builder) leaves(w *walk) map[string]bool {
	left := map[string]bool{}
	for _, l := range b.in.Leave {
		d := b.f.Dev(l)
		upper := ""
		if d != nil && w.done[d.Name] {
			upper = b.f.upper(d)
		}
		switch {
		case upper != "":
			b.refuse("--leave "+l, "name what lies on it instead: "+upper, "%s lies on it", upper)
		case d == nil || !slices.Contains(w.leaves, d):
			b.refuse("--leave "+l, "name a partition of "+pathsOf(b.disks), "it is not a partition of the source disk %s", pathsOf(b.disks))
		case d == b.root:
			b.refuse("--leave "+l, "leave it out of --leave", "it is the root filesystem, which is always moved")
		default:
			left[d.Name] = true
		}
	}
	return left
}

// leave notes a partition that the administrator gives up.
func (b *builder) leave(p *Device, tab *Fstab) {
	if b.refOf(p) == "" {
		b.nameless(p)
		return
	}
	if at := b.f.system(p, tab); at != "" {
		b.refuse("--leave "+p.Path, "leave it out of --leave", "it is %s of this system, which cannot boot or be rebuilt without it", at)
		return
	}
	if tab != nil && !tab.optional() {
		b.refuse("--leave "+p.Path, "add nofail to its line in /etc/fstab, or remove the line", "fstab %s: the new system would hang at boot waiting for it", tab.use())
	}
	if u := p.usedBy(); u != "" {
		b.warn("--leave "+p.Path, "", "it is %s: the new system will not have it, and finish erases it", u)
	}
	if fs := p.Filesystem(); fs != nil && seedDir(fs.Label) != "" {
		b.warn("--leave "+p.Path, "unless it is done: "+saveSeed(p, seedDir(fs.Label)), "%s", seedLoss)
	}
	b.p.Drop = append(b.p.Drop, b.refOf(p))
}

// idleESP is an EFI system partition of a machine that boots by BIOS: nothing reads it, and it is not moved.
func (b *builder) idleESP(p *Device, tab *Fstab) {
	noun := "EFI system partition " + p.Path
	if tab != nil && !tab.optional() {
		b.refuse(noun, "add nofail to its line in /etc/fstab: this machine boots by BIOS and does not need it", "fstab mounts it at %s, it is not moved, and after finish the new system would hang at boot waiting for it", tab.Target)
		return
	}
	if tab != nil || len(p.Contents) > 0 {
		b.warn(noun, "copy what you want to keep", "this machine boots by BIOS: it is not moved, and finish erases it (%s)", joined(orNothing(p.carries()), p.usedBy(), fstabWords(tab)))
	}
}
