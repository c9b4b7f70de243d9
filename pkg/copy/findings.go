package copy

import (
	"fmt"

	"migrate-init/pkg/tree"
)

// Forbids reports whether a finding of Precheck must prevent the job. That is so for what cannot be copied, and for what the
// target will not keep, because a copy by files stops at the first loss.
func Forbids(f tree.Finding, j Job) bool {
	switch f.ID {
	case "tree.xattrs":
		return false // the limit is a lower bound; if they do not fit, the copy stops
	case "tree.quota", "tree.projectunread":
		return false // the copy does not stop at them: they are listed, also in the report, and can be set again
	case "tree.unreadable":
		return !j.SkipBad
	}
	return f.Severity != tree.Info
}

// Line formats a finding as one line: severity, id, detail and fix.
func Line(f tree.Finding) string {
	s := f.Severity.String() + " " + f.ID + ": " + Detail(f)
	if f.Fix != "" {
		s += "; " + f.Fix
	}
	return s
}

// Detail returns the detail of a finding, preceded by the first file it is about.
func Detail(f tree.Finding) string {
	switch {
	case len(f.Paths) == 0:
		return f.Detail
	case f.Count > 1:
		return fmt.Sprintf("%q and %d more: %s", f.Paths[0], f.Count-1, f.Detail)
	}
	return fmt.Sprintf("%q: %s", f.Paths[0], f.Detail)
}
