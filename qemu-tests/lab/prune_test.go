package lab

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestCachedKeepsTheNewest(t *testing.T) {
	l := &Lab{Cache: t.TempDir(), logf: t.Logf}
	old := time.Now().Add(-time.Hour)
	for i, n := range []string{"server-000000000001.raw", "server-000000000002.raw", "server-000000000003.raw", "fast-000000000001.raw", "root-bookworm-000000000001.tar.zst", "server-000000000001.tree"} {
		p := filepath.Join(l.Cache, n)
		if err := os.WriteFile(p, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(p, old, old.Add(time.Duration(i)*time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	builds := 0
	for range 2 {
		_, err := l.cached(t.Context(), "server-000000000004.raw", func(path string) error {
			builds++
			return os.WriteFile(path, []byte("made"), 0o600)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if builds != 1 {
		t.Errorf("built %d times", builds)
	}
	left, err := filepath.Glob(filepath.Join(l.Cache, "*[a-z]"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range left {
		if filepath.Ext(f) != ".lock" {
			got = append(got, filepath.Base(f))
		}
	}
	if len(got) != 6 || got[0] != "fast-000000000001.raw" || got[2] != "server-000000000001.tree" || got[3] != "server-000000000002.raw" {
		t.Errorf("left in the cache: %q", got)
	}
}
