package stage

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"migrate-init/pkg/copy"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/tree"
)

// TestPrecheckLive: a look at the live source refuses what the copy would be refused for, by what the plan says of the target.
func TestPrecheckLive(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "aquota.user")
	if err := os.WriteFile(file, []byte("q"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file, time.Unix(100, 5), time.Unix(100, 5)); err != nil {
		t.Fatal(err)
	}
	look := func(kind plan.FS) map[string]plan.Finding {
		fs, err := PrecheckLive(t.Context(), dir, "filesystem at /x", plan.Place{}, &plan.Node{Layer: plan.Layer{FS: &kind}}, &plan.Node{Layer: plan.Layer{FS: &kind}}, copy.Job{})
		if err != nil {
			t.Fatal(err)
		}
		m := map[string]plan.Finding{}
		for _, f := range fs {
			if f.Subject != "filesystem at /x" {
				t.Errorf("noun of %+v", f)
			}
			m[f.ID] = f
		}
		return m
	}
	same := look(plan.FS{Type: "ext4", InodeSize: 256, BlockSize: 4096, Inodes: 1000})
	if len(same) != 2 || same["tree.files"].Severity != plan.OK || !strings.Contains(same["tree.files"].Detail, "1 files and 1 directories") || same["tree.quota"].Severity != plan.Warn {
		t.Errorf("of the same kind: %+v", same)
	}
	small := look(plan.FS{Type: "ext4", InodeSize: 128, BlockSize: 4096, Inodes: 1})
	for id, words := range map[string]string{"tree.nanoseconds": "ext4 stores only whole seconds", "tree.inodes": "2 objects, but only 1 free inodes"} {
		if f := small[id]; f.Severity != plan.Refuse || !strings.Contains(f.Detail, words) || f.Fix == "" {
			t.Errorf("%s: %+v", id, f)
		}
	}
}

// Nothing that would be lost goes unsaid, whether it has a name or is of the whole filesystem.
func TestLiveSeverity(t *testing.T) {
	for _, c := range []struct {
		f    tree.Finding
		want plan.Severity
		told bool
	}{
		{tree.Finding{ID: "tree.identity", Severity: tree.Info}, plan.Warn, false},
		{tree.Finding{ID: "tree.subvolume", Severity: tree.Info, Paths: []string{"a"}}, plan.Warn, true},
		{tree.Finding{ID: "tree.quota", Severity: tree.Loss}, plan.Warn, true},
		{tree.Finding{ID: "tree.projectunread", Severity: tree.Loss, Paths: []string{"a"}}, plan.Warn, true},
		{tree.Finding{ID: "tree.mountpoint", Severity: tree.Fail, Paths: []string{"proc"}}, plan.Warn, true},
		{tree.Finding{ID: "tree.space", Severity: tree.Fail}, plan.Refuse, true},
		{tree.Finding{ID: "tree.flags", Severity: tree.Loss, Paths: []string{"a"}}, plan.Refuse, true},
	} {
		if sev, told := liveSeverity(c.f, copy.Job{}); told != c.told || told && sev != c.want {
			t.Errorf("%s: %v, told %v", c.f.ID, sev, told)
		}
	}
}
