package stage

import (
	"context"
	"fmt"
	"strings"

	"migrate-init/pkg/copy"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/tree"
)

// partsBelow tells a look at the files of a part which of the subvolumes below it move.
func partsBelow(dir string, x plan.Place, s *plan.Node, j *copy.Job) error {
	list, err := Subvolumes(dir)
	if err != nil {
		return err
	}
	j.Subvolumes, j.Exclude = []string{}, nil
	for _, sub := range list.List {
		name, below := strings.CutPrefix("/"+sub.Path, strings.TrimSuffix(x.Root(), "/")+"/")
		if !below {
			continue
		}
		if s.FS.Moved(sub.Path, sub.Snapshot) {
			j.Subvolumes = append(j.Subvolumes, name)
		} else {
			j.Exclude = append(j.Exclude, name)
		}
	}
	return nil
}

// PrecheckLive reports, while the old system runs, what a copy of the files below dir into a planned filesystem would not
// keep. The copy stage looks again, with the filesystem itself.
func PrecheckLive(ctx context.Context, dir, noun string, x plan.Place, s, n *plan.Node, j copy.Job) (plan.Findings, error) {
	to := copy.Planned{Type: n.FS.Type, Features: n.FS.Features, InodeSize: n.FS.InodeSize, BlockSize: n.FS.BlockSize, Inodes: n.FS.Inodes}
	if plan.FSTypeOf(s.FS.Type).Part != "" && s.FS.Type == n.FS.Type {
		if err := partsBelow(dir, x, s, &j); err != nil {
			return nil, err
		}
	}
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
	case f.ID == "tree.border": // true of this plan, and not of every copy by files
		return plan.Warn, true
	case copy.Forbids(f, j):
		return plan.Refuse, true
	}
	return plan.Warn, f.Severity != tree.Info || len(f.Paths) > 0
}
