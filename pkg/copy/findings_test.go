package copy

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"migrate-init/pkg/tree"
)

func TestForbids(t *testing.T) {
	for _, c := range []struct {
		id      string
		sev     tree.Severity
		skipBad bool
		want    bool
	}{
		{"tree.identity", tree.Info, false, false},
		{"tree.flags", tree.Loss, false, true},
		{"tree.encrypted", tree.Fail, true, true},
		{"tree.unreadable", tree.Fail, false, true},
		{"tree.unreadable", tree.Fail, true, false},
		{"tree.xattrs", tree.Loss, false, false},
		{"tree.xattrsize", tree.Loss, false, true},
		{"tree.quota", tree.Loss, false, false},
		{"tree.projectunread", tree.Loss, false, false},
	} {
		if got := Forbids(tree.Finding{ID: c.id, Severity: c.sev}, Job{SkipBad: c.skipBad}); got != c.want {
			t.Errorf("%s %s, skip-and-list %v: forbids %v", c.sev, c.id, c.skipBad, got)
		}
	}
}

// TestEnginesPrecheck checks that Precheck with the real engine scans the source, and leaves nothing on the target.
func TestEnginesPrecheck(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(src, "aquota.user"), []byte("q"), 0o600); err != nil {
		t.Fatal(err)
	}
	scan, err := (&Engines{}).Precheck(t.Context(), Job{From: src, To: dst, Engine: Tree})
	if err != nil {
		t.Fatal(err)
	}
	if scan.Files != 1 || !slices.ContainsFunc(scan.Findings, func(f tree.Finding) bool {
		return f.ID == "tree.quota" && slices.Equal(f.Paths, []string{"aquota.user"})
	}) {
		t.Errorf("scan: %+v", scan)
	}
	if left, err := os.ReadDir(dst); err != nil || len(left) > 0 {
		t.Errorf("left on the target: %v, %v", left, err)
	}
	file := filepath.Join(src, "device")
	if err := os.WriteFile(file, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (&Engines{}).Precheck(t.Context(), Job{FromDev: file, Engine: Extent}); err == nil || !strings.Contains(err.Error(), "neither an ext nor an xfs superblock") {
		t.Errorf("a device without a filesystem: %v", err)
	}
}
