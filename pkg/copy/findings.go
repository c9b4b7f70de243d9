package copy

import (
	"fmt"

	"migrate-init/pkg/tree"
)

// Forbids reports whether a finding of Precheck ends a job before it begins: what cannot be copied, and what the target
// will not hold, because a copy by files stops at the first loss.
func Forbids(f tree.Finding, j Job) bool {
	switch f.ID {
	case "tree.xattrs":
		return false // the room for them is a lower bound; where they do not fit the copy stops
	case "tree.quota", "tree.projectunread":
		return false // a copy does not meet them: they are listed, also in the report, and can be set again
	case "tree.unreadable":
		return !j.SkipBad
	}
	return f.Severity != tree.Info
}

// Line spells a finding on one line: severity, id, detail and fix.
func Line(f tree.Finding) string {
	s := f.Severity.String() + " " + f.ID + ": " + Detail(f)
	if f.Fix != "" {
		s += "; " + f.Fix
	}
	return s
}

// Detail of a finding, with the name of the first file it is about.
func Detail(f tree.Finding) string {
	switch {
	case len(f.Paths) == 0:
		return f.Detail
	case f.Count > 1:
		return fmt.Sprintf("%q and %d more: %s", f.Paths[0], f.Count-1, f.Detail)
	}
	return fmt.Sprintf("%q: %s", f.Paths[0], f.Detail)
}
