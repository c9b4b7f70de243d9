package plan

import (
	"fmt"
	"slices"
)

// newFS is the filesystem that takes the place of a source, on a volume of room bytes: of its type, and with its features.
func (b *builder) newFS(s source, room int64) *FS {
	was := s.node.FS
	if typ := b.becomes(was.Mount, was.Type); typ != was.Type {
		return &FS{Type: typ, Label: was.Label, Mount: was.Mount, Features: b.newFeatures(typ), BlockSize: max(4096, b.sector()), Tools: b.f.version(FSTypeOf(typ).Tools.Package)}
	}
	return &FS{Type: was.Type, Label: was.Label, Mount: was.Mount, Subvols: was.Subvols, Default: was.Default, LeaveSnapshots: was.LeaveSnapshots, Options: was.Options,
		Features: s.use.Features, BlockSize: s.use.BlockSize, InodeSize: s.use.InodeSize, NodeSize: s.use.NodeSize, Checksum: s.use.Checksum,
		Inodes: inodes(s.use, room), Tools: b.f.version(FSTypeOf(was.Type).Tools.Package)}
}

// notByBlocks says why a source is not copied by its used blocks, "" when it can be.
func (b *builder) notByBlocks(s source) string {
	if typ := b.becomes(s.node.FS.Mount, s.node.FS.Type); typ != s.node.FS.Type {
		return "it becomes " + typ
	}
	if big := b.sector(); s.use.Sector > 0 && s.use.Sector < big {
		return fmt.Sprintf("it writes sectors of %d bytes, and a disk has sectors of %d", s.use.Sector, big)
	}
	return FSTypeOf(s.use.Type).NotByBlocks(s.use.Features)
}

// sector is the largest logical sector of the disks of the plan, which is that of an array over them.
func (b *builder) sector() int64 {
	var big int64
	for _, d := range b.disks {
		big = max(big, d.Sector)
	}
	for _, name := range b.in.Disks {
		if d := b.f.Dev(name); d != nil {
			big = max(big, d.Sector)
		}
	}
	return big
}

// makeable refuses a filesystem that its program would refuse to make, in the image.
func (b *builder) makeable(n Node, m Move, room int64) {
	t := FSTypeOf(n.FS.Type)
	if m.Engine == EngineTree && room < t.Least {
		b.refuse("filesystem at "+n.FS.Mount, "make it larger, or use a larger disk so that it is copied by blocks",
			"%s makes no filesystem smaller than %s, and its new volume has %s; it would be copied by files, because %s", t.Tools.Make, size(t.Least), size(room), m.Why)
	}
}

// uses reports whether a migration of what is on this machine takes a package.
func (f *Facts) uses(pkg string) bool {
	return pkg == packageMD || slices.ContainsFunc(f.Devices, func(d Device) bool {
		c := d.Filesystem()
		return c != nil && FSTypeOf(c.Type).Tools.Package == pkg
	})
}

// version is that of a package, "" where it is not known.
func (f *Facts) version(pkg string) string {
	for _, x := range f.Distro.Packages {
		if x.Name == pkg {
			return x.Version
		}
	}
	return ""
}
