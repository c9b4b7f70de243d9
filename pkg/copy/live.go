package copy

import (
	"context"

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

// caps returns the capabilities of a planned filesystem.
func (p Planned) caps() tree.Caps {
	return tree.PlannedCaps(p.Type, p.Features, p.InodeSize, p.BlockSize, p.Inodes)
}
