package tree

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// capable returns a target that can store everything.
func capable() Caps {
	return Caps{FS: "ext4", TimeMin: -1 << 40, TimeMax: 1 << 40, Nanoseconds: true, Flags: ^uint32(0), XFlags: ^uint32(0), Project: true, ProjectSpecial: true, ACL: true,
		Reflink: true, Verity: true, User: true, Trusted: true, Security: true, XattrValue: 64 << 10, XattrTotal: 1<<31 - 1, FileSize: 1 << 62, Links: 65000,
		DevMajor: 4095, DevMinor: 1<<20 - 1, BlockSize: 4096, FreeBytes: 1 << 50, FreeInodes: 1 << 40}
}

// scannerOf returns a Precheck of dir that has not run; walked runs it and closes dir.
func scannerOf(t *testing.T, dir string, c Caps) *scanner {
	t.Helper()
	r, err := openRoot(Source, dir, true, false)
	if err != nil {
		t.Fatal(err)
	}
	return newScanner(t.Context(), r, c, Options{Workers: 2})
}

func walked(t *testing.T, s *scanner) map[string]Finding {
	t.Helper()
	defer func() { _ = s.src.close() }()
	scan, err := s.walk()
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]Finding{}
	for _, f := range scan.Findings {
		m[f.ID] = f
	}
	return m
}

// expect checks all fields of one finding; words must be in its detail.
func expect(t *testing.T, got map[string]Finding, id string, sev Severity, count int64, path string, words ...string) {
	t.Helper()
	f, ok := got[id]
	if !ok {
		t.Errorf("%s: not found, but %v", id, got)
		return
	}
	if f.ID != id || f.Severity != sev || f.Count != count || f.Fix == "" {
		t.Errorf("%s: %+v, want %s, count %d", id, f, sev, count)
	}
	if path == "" && len(f.Paths) > 0 || path != "" && (len(f.Paths) == 0 || f.Paths[0] != path) {
		t.Errorf("%s: paths %q, want %q first", id, f.Paths, path)
	}
	for _, w := range words {
		if !strings.Contains(f.Detail, w) {
			t.Errorf("%s: detail %q does not have %q", id, f.Detail, w)
		}
	}
	if strings.Contains(f.Fix, "exclude") {
		t.Errorf("%s: fix %q: neither copy nor a plan can exclude anything", id, f.Fix)
	}
}

// TestFindingIsOfItsWorstCause checks that detail and fix are those of the most severe cause, whichever came first, and that the
// paths with that cause come first.
func TestFindingIsOfItsWorstCause(t *testing.T) {
	s := &scanner{found: map[string]*finding{}}
	for i := range 12 {
		s.find("x", Loss, fmt.Sprint("l", i), "fix a loss", "loss %d", i)
	}
	s.find("x", Fail, "f0", "fix a failure", "failure %d", 0)
	s.find("x", Loss, "l12", "fix a loss", "loss %d", 12)
	s.find("x", Fail, "f1", "fix another failure", "failure %d", 1)
	f := s.found["x"].Finding
	if f.ID != "x" || f.Severity != Fail || f.Detail != "failure 0" || f.Fix != "fix a failure" || f.Count != 15 {
		t.Errorf("%+v", f)
	}
	if want := []string{"f0", "f1", "l0", "l1", "l2", "l3", "l4", "l5", "l6", "l7"}; !slices.Equal(f.Paths, want) {
		t.Errorf("paths %q, want %q", f.Paths, want)
	}
	for i := range 20 {
		s.find("x", Fail, fmt.Sprint("more", i), "", "")
	}
	if f := s.found["x"].Finding; len(f.Paths) != findingPaths || f.Paths[9] != "more7" || f.Count != 35 {
		t.Errorf("%+v", f)
	}
	s.find("y", Info, "file", "fix the file", "of a file")
	s.find("y", Loss, "", "fix all", "of all")
	if f := s.found["y"].Finding; len(f.Paths) != 0 || f.Detail != "of all" || f.Count != 2 {
		t.Errorf("%+v", f)
	}
}

// TestFindingsOfMadeUpMetadata uses made-up metadata, so that the kernel need not support casefold or fs-verity.
func TestFindingsOfMadeUpMetadata(t *testing.T) {
	c := capable()
	c.Flags &^= flNodump | flCasefold
	s := &scanner{caps: c, found: map[string]*finding{}}
	at := func(name string) string { return name }
	for _, name := range []string{"a", "b"} {
		s.look(at, name, &meta{stat: stat{mode: unix.S_IFREG}, flags: flNodump})
	}
	got := func() map[string]Finding {
		m := map[string]Finding{}
		for id, f := range s.found {
			m[id] = f.Finding
		}
		return m
	}
	expect(t, got(), "tree.flags", Loss, 2, "a", "flags nodump", "ext4")
	s.look(at, "folded", &meta{stat: stat{mode: unix.S_IFDIR}, flags: flCasefold | flNodump})
	expect(t, got(), "tree.flags", Fail, 3, "folded", "flags nodump,casefold", "ext4")
	if f := s.found["tree.flags"]; !strings.Contains(f.Fix, "casefold") {
		t.Errorf("fix %q is of a lesser cause", f.Fix)
	}
	signed := verity{alg: 1, block: 4096, sig: make([]byte, 77)}
	s.verityFinding("unsigned", verity{alg: 1, block: 4096}, nil)
	if f := s.found["tree.verity"]; f != nil {
		t.Errorf("%+v", f)
	}
	s.verityFinding("signed", signed, nil)
	expect(t, got(), "tree.veritysig", Info, 1, "signed", "signature of 77 bytes")
	signed.block = 16384
	s.verityFinding("large", signed, nil)
	expect(t, got(), "tree.verity", Loss, 1, "large", "blocks of 16384 bytes", "blocks of 4096")
	s.caps.Verity = false
	s.verityFinding("none", signed, nil)
	s.verityFinding("unread", verity{}, unix.EIO)
	expect(t, got(), "tree.verity", Loss, 3, "large")
}
