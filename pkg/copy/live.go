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

// PrecheckLive checks every file below dir, while the system is in use, for what a copy into a planned filesystem would not
// keep. It derives the capabilities of that filesystem from its description. It ignores files that vanish meanwhile. During
// the migration, Precheck checks again with the real filesystem.
func PrecheckLive(ctx context.Context, dir string, to Planned, j Job) (tree.Scan, error) {
	o := treeOptions(j)
	o.Live = true
	return tree.Precheck(ctx, dir, to.caps(), o)
}

// caps returns the capabilities of a planned filesystem. It has the type, features and inode size of its source, so the limits
// of the type do not matter: they already hold for the source.
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
