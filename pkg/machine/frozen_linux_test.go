package machine

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestFrozen sets the attributes with chattr.
func TestFrozen(t *testing.T) {
	dir := t.TempDir()
	for _, want := range []string{"", "i", "a"} {
		name := filepath.Join(dir, "file"+want)
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if want != "" {
			if out, err := exec.Command("chattr", "+"+want, name).CombinedOutput(); err != nil {
				t.Skipf("SKIPPED: chattr: %v: %s", err, out)
			}
			t.Cleanup(func() {
				if out, err := exec.Command("chattr", "-"+want, name).CombinedOutput(); err != nil {
					t.Errorf("chattr: %v: %s", err, out)
				}
			})
		}
		if got := Frozen(name); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := Frozen(filepath.Join(dir, "missing")); got != "" {
		t.Errorf("missing: %q", got)
	}
	if err := os.Symlink("filei", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if got := Frozen(filepath.Join(dir, "link")); got != "" {
		t.Errorf("link: %q", got)
	}
}
