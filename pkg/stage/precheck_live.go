package stage

import (
	"context"
	"fmt"

	"migrate-init/pkg/copy"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/tree"
)

// PrecheckLive reports, while the old system runs, what a copy of the files below dir into a planned filesystem would not
// keep. The copy stage looks again, with the filesystem itself.
func PrecheckLive(ctx context.Context, dir, noun string, n *plan.Node, j copy.Job) (plan.Findings, error) {
	to := copy.Planned{Type: n.FS.Type, Features: n.FS.Features, InodeSize: n.FS.InodeSize, BlockSize: n.FS.BlockSize, Inodes: n.FS.Inodes}
	scan, err := copy.PrecheckLive(ctx, dir, to, j)
	if err != nil {
		return nil, err
	}
	out := plan.Findings{{ID: "tree.files", Severity: plan.OK, Subject: noun, Detail: fmt.Sprintf("%d files and %d directories were looked at", scan.Files, scan.Dirs)}}
	for _, f := range scan.Findings {
		if sev, ok := liveSeverity(f, j); ok {
			out = append(out, plan.Finding{ID: f.ID, Severity: sev, Subject: noun, Detail: copy.Detail(f), Fix: f.Fix})
		}
	}
	return out, nil
}

// liveSeverity is how much a finding means on the live system; ok is false for what is true of every copy by files.
func liveSeverity(f tree.Finding, j copy.Job) (sev plan.Severity, ok bool) {
	switch {
	case f.ID == "tree.mountpoint": // an old kernel; the stages mount the filesystem alone
		return plan.Warn, true
	case copy.Forbids(f, j):
		return plan.Refuse, true
	}
	return plan.Warn, f.Severity != tree.Info || len(f.Paths) > 0
}
