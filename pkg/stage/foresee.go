package stage

import (
	"context"
	"fmt"
	"slices"

	"migrate-init/pkg/plan"
	"migrate-init/pkg/tree"
)

// Foresee looks at every file below dir, as long as the old system runs, for what a copy into a planned filesystem would not
// keep. That is not made yet: what it can hold is taken from the plan. The stages look again, at the filesystem itself.
// What vanishes meanwhile, as files of a system at work do, is no finding.
func Foresee(ctx context.Context, dir, noun string, n *plan.NewFS, j Job) (plan.Findings, error) {
	o := TreeOptions(j)
	o.Live = true
	scan, err := tree.Precheck(ctx, dir, likely(n), o)
	if err != nil {
		return nil, err
	}
	out := plan.Findings{{ID: "tree.files", Severity: plan.OK, Noun: noun, Evidence: fmt.Sprintf("%d files and %d directories were looked at", scan.Files, scan.Dirs)}}
	for _, f := range scan.Findings {
		if sev, ok := foreseen(f, j); ok {
			out = append(out, plan.Finding{ID: f.ID, Severity: sev, Noun: noun, Evidence: evidence(f), Mend: f.Mend})
		}
	}
	return out, nil
}

// foreseen is how much a finding means on the live system; ok is false for what is so with every copy by files.
func foreseen(f tree.Finding, j Job) (sev plan.Severity, ok bool) {
	switch {
	case f.ID == "tree.mountpoint": // an old kernel; the stages mount the filesystem alone
		return plan.Warn, true
	case forbids(f, j):
		return plan.Refuse, true
	}
	return plan.Warn, f.Severity != tree.Info || len(f.Paths) > 0
}

// likely is what a planned filesystem can hold. It is of its source's type, with its features and inodes as large: what they
// have room for in the one, they have in the other.
func likely(n *plan.NewFS) tree.Caps {
	has := func(feature string) bool { return slices.Contains(n.Features, feature) }
	c := tree.Caps{FS: n.Type, TimeMin: -1 << 31, TimeMax: 1<<31 - 1, Flags: ^uint32(0), XFlags: ^uint32(0),
		Project: has("project"), Verity: has("verity"), ACL: true, User: true, Trusted: true, Security: true,
		XattrValue: 64 << 10, XattrTotal: 1<<31 - 1, FileSize: 1<<63 - 1, Links: 65000, DevMajor: 4095, BlockSize: n.BlockSize, FreeInodes: n.Inodes}
	if n.InodeSize > 128 {
		c.TimeMax, c.Nanoseconds = 15032385535, true // two bits more, ext4.h
	}
	if !has("casefold") {
		c.Flags &^= 0x40000000 // FS_CASEFOLD_FL
	}
	return c
}
