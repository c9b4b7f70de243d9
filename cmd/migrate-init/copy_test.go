package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"migrate-init/pkg/plan"
)

// An interrupt ends a copy cleanly, says how to go on, and the same command does.
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
	if code := report(&errw, transfer(gone, c, &plan.Facts{}, src, dst, copied{}, nil)); code != 1 || !strings.Contains(errw.String(), "copy: interrupted after 0 files; the same command goes on there") {
		t.Errorf("code %d: %s", code, &errw)
	}
	if !begun(dst) {
		t.Error("nothing tells that a copy was cut short")
	}
	errw.Reset()
	if code := c.run(t.Context(), []string{"copy", src, dst}, &out, &errw); code != 0 || !strings.Contains(errw.String(), "it goes on where it was") {
		t.Errorf("code %d: %s", code, &errw)
	}
	if !strings.Contains(out.String(), "3 files and 1 directories") || begun(dst) {
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

// Marks are read up to the last whole line.
func TestLastMark(t *testing.T) {
	for _, c := range []struct {
		text string
		want mark
		size int64
		ok   bool
	}{
		{`{"source":"/a","manifest":0}` + "\n", mark{"/a", 0}, 29, true},
		{`{"source":"/a","manifest":0}` + "\n" + `{"manifest":77}` + "\n" + `{"manifest":9`, mark{"/a", 77}, 45, true},
		{`{"source":"/a","manifest":0}` + "\n" + `garbage` + "\n" + `{"manifest":9}` + "\n", mark{"/a", 0}, 29, true},
		{"", mark{}, 0, false},
		{`{"source":"/a"`, mark{}, 0, false},
	} {
		name := filepath.Join(t.TempDir(), "marks")
		if err := os.WriteFile(name, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, size, err := lastMark(name)
		if (err == nil) != c.ok || got != c.want && c.ok || size != c.size {
			t.Errorf("%q: %+v %d %v", c.text, got, size, err)
		}
	}
}
