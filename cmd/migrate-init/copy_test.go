package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"migrate-init/pkg/copy"
	"migrate-init/pkg/plan"
)

// unfinished reports whether the state of a copy lies in a directory.
func unfinished(dir string) bool {
	found, _ := filepath.Glob(filepath.Join(dir, ".migrate-init*"))
	return len(found) > 0
}

// An interrupt ends a copy cleanly, and says how to resume it; the same command does.
func TestCopyInterrupted(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: copying needs root")
	}
	src, dst := t.TempDir(), t.TempDir()
	for _, n := range []string{"a", "b", "c"} {
		if err := os.WriteFile(filepath.Join(src, n), []byte(n), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	var out, errw bytes.Buffer
	c := &call{app: thisMachine(), out: &out, err: &errw}
	gone, stop := context.WithCancel(t.Context())
	stop()
	d, err := copy.OpenDir(src, dst)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	err = transfer(gone, c, &plan.Facts{}, dirCopy{dir: d, src: src, dst: dst, engines: &copy.Engines{}}, copied{}, nil)
	if code := report(&errw, err); code != 1 || !strings.Contains(errw.String(), "copy: interrupted after 0 files; run the same command again to resume it") {
		t.Errorf("code %d: %s", code, &errw)
	}
	if !unfinished(dst) {
		t.Error("no state of the interrupted copy")
	}
	errw.Reset()
	if code := c.run(t.Context(), []string{"copy", src, dst}, &out, &errw); code != 0 || !strings.Contains(errw.String(), "resuming an interrupted copy") {
		t.Errorf("code %d: %s", code, &errw)
	}
	if !strings.Contains(out.String(), "3 files and 1 directories") || unfinished(dst) {
		t.Errorf("said %s", &out)
	}
	es, err := os.ReadDir(dst)
	if err != nil || len(es) != 3 {
		t.Errorf("target: %v %v", es, err)
	}
	// Interrupted before anything began.
	errw.Reset()
	if code := c.run(gone, []string{"copy", src, t.TempDir()}, &out, &errw); code != 1 || !strings.Contains(errw.String(), "copy: interrupted before anything was copied") {
		t.Errorf("code %d: %s", code, &errw)
	}
}
