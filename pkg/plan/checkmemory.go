package plan

import "fmt"

const (
	// imageEstimate is an image, packed and unpacked, while it is not built yet.
	imageEstimate = 64 * mib
	// systemMemory is what the kernel of the image and its caches cannot do without.
	systemMemory = 64 * mib
	// rebuildMemory is what programs of the copied system take while they make initrds: compressors with a window for each
	// processor take the most.
	rebuildMemory = 256 * mib
)

func checkMemory(p *Plan, f *Facts, a *answers) {
	if x := CheckMemory(p, f, imageEstimate); x.Severity != OK {
		a.out = append(a.out, x)
	}
}

func okMemory(p *Plan, f *Facts) string { return CheckMemory(p, f, imageEstimate).Detail }

// CheckMemory reports whether the migration fits into this machine's memory: the image lives there, packed and unpacked, and what is
// left has to do for the copy. Schedule asks with the image's real size. What a copy surely needs refuses; what it, or a program of the
// copied system, may need warns.
func CheckMemory(p *Plan, f *Facts, image int64) Finding {
	a := &answers{id: "memory.room"}
	const fix = "give the machine more memory for the migration"
	if f.Machine.Memory <= 0 {
		a.warn("memory", "", "its size is not known: the migration needs some %s", size(image+systemMemory+rebuildMemory))
		return a.out[0]
	}
	var least, most int64
	largest := ""
	for _, m := range p.Copies() {
		d, err := f.FS(m.From.ID())
		if err != nil || d == nil || d.Filesystem() == nil || f.Rules.Memory == nil {
			continue
		}
		c := d.Filesystem()
		l, h := f.Rules.Memory(m.Engine, c.Size, c.Used, c.Inodes)
		least = max(least, l)
		if h > most {
			most = h
			if n := p.Source.Node(m.From); n != nil {
				largest = fmt.Sprintf(" (the copy of %s: up to %s)", n.FS.Mount, size(h))
			}
		}
	}
	for _, n := range p.Source {
		if n.LUKS != nil && n.LUKS.Memory > least { // it is free again before the copy begins
			least = n.LUKS.Memory
			if least > most {
				most, largest = least, fmt.Sprintf(" (deriving the key of %s: %s)", n.LUKS.Name, size(least))
			}
		}
	}
	if rebuildMemory > most {
		most, largest = rebuildMemory, fmt.Sprintf(" (making initrds: up to %s)", size(rebuildMemory))
	}
	least, most = least+image+systemMemory, most+image+systemMemory+StoreSum(p.Overlays)
	switch have := f.Machine.Memory; {
	case have < least:
		a.refuse("memory", fix, "this machine has %s; image and copy need at least %s", size(have), size(least))
	case have < most:
		a.warn("memory", fix+"; the old system comes back if it runs out", "this machine has %s; the migration may need %s%s", size(have), size(most), largest)
	default:
		a.add(OK, "", "", "%s of memory; the migration needs at most %s%s", size(have), size(most), largest)
	}
	return a.out[0]
}
