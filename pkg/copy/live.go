package copy

import (
	"context"
	"slices"

	"migrate-init/pkg/tree"
)

// Planned describes a filesystem that does not exist yet.
type Planned struct {
	Type      string
	Features  []string
	InodeSize int64
	BlockSize int64
	Inodes    int64
}

// PrecheckLive looks at every file below dir, while the system is in use, for what a copy into a planned filesystem would
// not keep. What the filesystem can hold is derived from its description. Files that vanish meanwhile are no finding.
// Precheck, in the migration itself, looks again and tries out the real filesystem.
func PrecheckLive(ctx context.Context, dir string, to Planned, j Job) (tree.Scan, error) {
	o := treeOptions(j)
	o.Live = true
	return tree.Precheck(ctx, dir, to.caps(), o)
}

// caps is what a planned filesystem can hold. It has the type, features and inode size of its source, so what fits the
// one fits the other.
func (p Planned) caps() tree.Caps {
	has := func(feature string) bool { return slices.Contains(p.Features, feature) }
	c := tree.Caps{FS: p.Type, TimeMin: -1 << 31, TimeMax: 1<<31 - 1, Flags: ^uint32(0), XFlags: ^uint32(0),
		Project: has("project"), Verity: has("verity"), ACL: true, User: true, Trusted: true, Security: true,
		XattrValue: 64 << 10, XattrTotal: 1<<31 - 1, FileSize: 1<<63 - 1, Links: 65000, DevMajor: 4095, BlockSize: p.BlockSize, FreeInodes: p.Inodes}
	if p.InodeSize > 128 {
		c.TimeMax, c.Nanoseconds = 15032385535, true // two bits more, ext4.h
	}
	if !has("casefold") {
		c.Flags &^= 0x40000000 // FS_CASEFOLD_FL
	}
	return c
}
