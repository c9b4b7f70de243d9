package survey

import (
	"slices"
	"strings"

	"migrate-init/pkg/md"
	"migrate-init/pkg/plan"
)

// shared decides whose superblock it is that both a disk and its last partition show. Metadata 0.90 does not record where it
// lies, and where the partition ends within 64 KiB of the disk's end, both look at the same bytes. What the kernel has in an
// array decides. Otherwise it is the partition's, unless it counts more bytes than the partition has. The other device keeps
// the signature as a remnant, which nothing acts on.
func (l *looker) shared() {
	for _, m := range slices.Clone(l.supers) {
		p := l.f.Dev(m.Device)
		at := p // where it lies: an overlay shows what its partition has
		if p != nil && p.Over != "" {
			at = l.f.Dev(p.Over)
		}
		if at == nil || at.Kind != plan.KindPart || m.Super.Version != md.V090 {
			continue
		}
		d := l.f.Dev(at.Parent)
		i := slices.IndexFunc(l.supers, func(o md.Member) bool {
			return d != nil && o.Device == d.Name && o.Super.Version == md.V090 && o.Super.UUID == m.Super.UUID && o.Super.SuperOffset == at.Start+m.Super.SuperOffset
		})
		if i < 0 {
			continue
		}
		other := d
		if !l.inArray(p) && l.inArray(d) {
			other = p
		}
		l.disown(other, m.Super.UUID)
	}
}

// inArray reports whether a running array has a device for a member.
func (l *looker) inArray(d *plan.Device) bool {
	return slices.ContainsFunc(d.Holders, func(h string) bool { x := l.f.Dev(h); return x != nil && x.Kind == plan.KindArray })
}

// disown takes an array's superblock from a device that is not its member.
func (l *looker) disown(d *plan.Device, uuid md.UUID) {
	l.supers = slices.DeleteFunc(l.supers, func(m md.Member) bool { return m.Device == d.Name && m.Super.UUID == uuid })
	if a := l.f.Array(uuid.String()); a != nil {
		a.Members = slices.DeleteFunc(a.Members, func(m plan.Member) bool { return m.Device == d.Name })
	}
	for i := range d.Contents {
		// Signatures spell it as blkid does.
		if c := &d.Contents[i]; c.Kind == plan.ContentRaid && strings.ReplaceAll(c.UUID, "-", "") == uuid.Hex() {
			c.Ghost = true
		}
	}
}

// peculiar notes what of an array the kernel could not start by its superblocks alone.
func (l *looker) peculiar() {
	for _, set := range md.Group(l.supers) {
		a := l.f.Array(set.UUID.String())
		if a == nil {
			continue
		}
		sizes := map[int64]bool{}
		for _, m := range set.Members {
			s := m.Super
			a.Journal = a.Journal || s.Features.Has(md.FeatureJournal) || s.Role() == md.RoleJournal
			if chunk := max(s.ChunkSize, 1); s.Level == 0 && !s.Features.Has(md.FeatureRaid0Layout) {
				sizes[s.DataSize/chunk] = true
			}
		}
		a.NoLayout = len(sizes) > 1
	}
}
