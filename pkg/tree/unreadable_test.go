package tree

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// medium is a source on which some reads fail.
type medium struct {
	mu      sync.Mutex
	asked   map[string]int // by operation and path
	refuses func(what string, n int) bool
}

func (m *medium) fault(op, path string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.asked == nil {
		m.asked = map[string]int{}
	}
	what := op + " " + path
	m.asked[what]++
	if m.refuses != nil && m.refuses(what, m.asked[what]) {
		return unix.EIO
	}
	return nil
}

// oneOfEach makes an object for each way to read a source.
func oneOfEach() []act {
	return []act{mkdir("d", 0o750), file("d/f", 0o640, noise(1, 3<<20)), mkdir("d/e", 0o700), file("d/e/g", 0o640, noise(2, 5000)), link("d/f", "z"),
		symlink("d/f", "s"), mknod("p", unix.S_IFIFO|0o600, 0, 0), file("good", 0o600, noise(3, 9000)), setx("good", "user.x", []byte("y"))}
}

func waysToRead() []string {
	return []string{"open d", "read metadata d", "list d", "list .", "open d/f", "read metadata d/f", "read d/f", "open d/e/g", "read metadata s", "read link s", "read metadata p"}
}

// TestReadsAreTriedAgain checks that a read that succeeds at the third attempt is enough.
func TestReadsAreTriedAgain(t *testing.T) {
	src, dst := newDisk(t, "ext4", 64<<20), newDisk(t, "ext4", 64<<20)
	apply(t, src.dir, oneOfEach()...)
	m := &medium{refuses: func(_ string, n int) bool { return n < 3 }}
	var man bytes.Buffer
	o := Options{cached: true, fault: m.fault, Manifest: &man}
	if _, err := Copy(t.Context(), src.dir, dst.dir, o); err != nil {
		t.Fatal(err)
	}
	for _, what := range waysToRead() {
		// One of its two names is enough.
		if n := max(m.asked[what], m.asked[strings.ReplaceAll(what, "d/f", "z")]); n < 3 {
			t.Errorf("%s: asked %d times", what, n)
		}
	}
	m.asked = nil
	o.Hashes = openManifest(t, man.Bytes())
	if rep, err := Verify(t.Context(), src.dir, dst.dir, o); err != nil || !rep.Equal() || m.asked["open good"] != 3 || m.asked["read link s"] != 3 {
		t.Errorf("verify: %v %v, asked %v", err, rep.Differences, m.asked)
	}
	sameTree(t, src.dir, dst.dir)
}

// TestUnreadable checks that a permanent read error ends the copy or is listed. If it is listed, the rest is copied and verified,
// and Verify knows what is missing, whether the source can be read by then or not.
func TestUnreadable(t *testing.T) {
	src, dst := newDisk(t, "ext4", 64<<20), newDisk(t, "ext4", 64<<20)
	apply(t, src.dir, oneOfEach()...)
	src.remount(t, unix.MS_RDONLY)
	for _, what := range waysToRead() {
		t.Run(what, func(t *testing.T) {
			wipe(t, dst.dir)
			// Both names of a file are.
			m := &medium{refuses: func(w string, _ int) bool {
				return w == what || strings.HasSuffix(what, " d/f") && w == strings.TrimSuffix(what, "d/f")+"z"
			}}
			o := Options{cached: true, fault: m.fault, Workers: 1}
			_, err := Copy(t.Context(), src.dir, dst.dir, o)
			var e *Error
			if !Unreadable(err) || !errors.As(err, &e) {
				t.Fatalf("stop: %v", err)
			}
			if was := e.Op + " " + e.Path; was != what && was != e.Op+" z" || m.asked[was] < 3 {
				t.Errorf("stop: %v, asked %v", err, m.asked)
			}

			wipe(t, dst.dir)
			var man bytes.Buffer
			o.OnReadError, o.Manifest = List, &man
			res, err := Copy(t.Context(), src.dir, dst.dir, o)
			if err != nil || len(res.Problems) == 0 || res.ProblemCount != int64(len(res.Problems)) {
				t.Fatalf("list: %v %v", err, res.Problems)
			}
			o.Manifest, o.Hashes = nil, openManifest(t, man.Bytes())
			for _, fault := range []func(string, string) error{m.fault, nil} {
				o.fault = fault
				rep, err := Verify(t.Context(), src.dir, dst.dir, o)
				if err != nil || !rep.Equal() || rep.DamagedCount == 0 || rep.DamagedCount != int64(len(rep.Damaged)) {
					t.Errorf("list: verify: %v %v, %d damaged %q", err, rep.Differences, rep.DamagedCount, rep.Damaged)
				}
			}
			o.OnReadError = Stop
			if rep, err := Verify(t.Context(), src.dir, dst.dir, o); err != nil || rep.Equal() || rep.DamagedCount > 0 {
				t.Errorf("stop: verify: %v, %d differences", err, rep.Count)
			}

			// It continues after the disk was repaired, except for an incomplete file with two names.
			n := int64(man.Len())
			o = Options{OnReadError: List, Manifest: &man, Resume: &Resume{Manifest: bytes.NewReader(bytes.Clone(man.Bytes())), ManifestBytes: n}}
			res, err = Copy(t.Context(), src.dir, dst.dir, o)
			if still := strings.HasPrefix(what, "read d/f"); err != nil || (len(res.Problems) > 0) != still {
				t.Fatalf("resumed: %v %v", err, res.Problems)
			}
			o = Options{OnReadError: List, Hashes: openManifest(t, man.Bytes())}
			rep, err := Verify(t.Context(), src.dir, dst.dir, o)
			if err != nil || !rep.Equal() || rep.DamagedCount != int64(len(res.Problems)) {
				t.Errorf("resumed: verify: %v %v, damaged %q", err, rep.Differences, rep.Damaged)
			}
			if len(res.Problems) == 0 {
				sameTree(t, src.dir, dst.dir)
				return
			}
			o = Options{Resume: &Resume{Manifest: bytes.NewReader(man.Bytes()), ManifestBytes: int64(man.Len())}}
			if _, err := Copy(t.Context(), src.dir, dst.dir, o); !errors.Is(err, errWasDamaged) {
				t.Errorf("a damaged file passes for whole: %v", err)
			}
		})
	}
}

// TestHalfListing checks that a directory that cannot be listed to its end keeps the names that were read before the error.
func TestHalfListing(t *testing.T) {
	src, dst := newDisk(t, "ext4", 64<<20), newDisk(t, "ext4", 64<<20)
	const names = 10_000 // more than fit in a worker's buffer
	acts := []act{mkdir("many", 0o755)}
	for i := range names {
		acts = append(acts, mknod(fmt.Sprintf("many/n%05d", i), unix.S_IFREG|0o600, 0, 0))
	}
	apply(t, src.dir, acts...)
	src.remount(t, unix.MS_RDONLY)
	first := func(what string, n int) bool { return what == "list many" && n > 1 }
	var man bytes.Buffer
	o := Options{OnReadError: List, fault: (&medium{refuses: first}).fault, Manifest: &man}
	res, err := Copy(t.Context(), src.dir, dst.dir, o)
	if err != nil || len(res.Problems) != 1 || res.Problems[0].Path != "many" || res.Problems[0].What != "names" {
		t.Fatalf("%v %v", err, res.Problems)
	}
	if res.Files == 0 || res.Files >= names {
		t.Fatalf("%d of %d files were copied", res.Files, names)
	}
	o = Options{OnReadError: List, Hashes: openManifest(t, man.Bytes())}
	rep, err := Verify(t.Context(), src.dir, dst.dir, o)
	if err != nil || !rep.Equal() || rep.DamagedCount != 1+names-res.Files || len(rep.Damaged) != 1000 {
		t.Errorf("verify: %v %v, %d damaged", err, rep.Differences, rep.DamagedCount)
	}
	o.fault = (&medium{refuses: first}).fault
	if rep, err = Verify(t.Context(), src.dir, dst.dir, o); err != nil || !rep.Equal() || rep.DamagedCount != 1 {
		t.Errorf("verify with the same names: %v %v, %d damaged", err, rep.Differences, rep.DamagedCount)
	}
	// Verify lists fewer names than were copied: the others have not been compared.
	o.fault = (&medium{refuses: func(what string, _ int) bool { return what == "list many" }}).fault
	if rep, err = Verify(t.Context(), src.dir, dst.dir, o); err != nil || rep.Equal() || rep.Differences[0].Path != "many" {
		t.Errorf("verify without names: %v %v", err, rep.Differences)
	}
	o = Options{Hashes: o.Hashes}
	if rep, err = Verify(t.Context(), src.dir, dst.dir, o); err != nil || rep.Count != names-res.Files {
		t.Errorf("verify, policy stop: %v, %d differences", err, rep.Count)
	}
	o = Options{Manifest: &man, Resume: &Resume{Manifest: bytes.NewReader(bytes.Clone(man.Bytes())), ManifestBytes: int64(man.Len())}}
	if res, err = Copy(t.Context(), src.dir, dst.dir, o); err != nil || res.Skipped == 0 {
		t.Fatalf("resumed: %v, %d skipped", err, res.Skipped)
	}
	if rep, err = Verify(t.Context(), src.dir, dst.dir, Options{OnReadError: List, Hashes: openManifest(t, man.Bytes())}); err != nil || !rep.Equal() || rep.DamagedCount > 0 {
		t.Errorf("resumed: verify: %v %v %q", err, rep.Differences, rep.Damaged)
	}
	sameTree(t, src.dir, dst.dir)
}

func TestProblemsAreBounded(t *testing.T) {
	c := &copier{diskMode: &diskMode{}}
	for range problemsListed + 5 {
		c.problem(Problem{Path: "p"})
	}
	if len(c.res.Problems) != problemsListed || c.res.ProblemCount != problemsListed+5 {
		t.Errorf("%d listed, %d counted", len(c.res.Problems), c.res.ProblemCount)
	}
	p := Problem{Path: "a\nb", What: "data", Offset: 4096, Length: 10, Err: unix.EIO}
	if got, want := p.String(), `"a\nb": data in bytes 4096 to 4105: input/output error`; got != want {
		t.Error(got)
	}
}

// TestLeftOutIsRemoved checks that an unfinished file of a first attempt is removed if the second attempt cannot read it.
func TestLeftOutIsRemoved(t *testing.T) {
	src, dst := newDisk(t, "ext4", 32<<20), newDisk(t, "ext4", 32<<20)
	apply(t, src.dir, file("f", 0o600, noise(1, 5000)), file("g", 0o600, nil))
	apply(t, dst.dir, file("f", 0o600, []byte("half")))
	src.remount(t, unix.MS_RDONLY)
	var man bytes.Buffer
	m := &medium{refuses: func(what string, _ int) bool { return what == "open f" }}
	res, err := Copy(t.Context(), src.dir, dst.dir, Options{OnReadError: List, Resume: &Resume{}, Manifest: &man, fault: m.fault, cached: true})
	if err != nil || len(res.Problems) != 1 {
		t.Fatalf("%v %v", err, res.Problems)
	}
	if names, err := filepath.Glob(filepath.Join(dst.dir, "[fg]")); err != nil || !slices.Equal(names, []string{filepath.Join(dst.dir, "g")}) {
		t.Errorf("the target has %q, %v", names, err)
	}
}

// TestLeftOutDirectoryIsKept checks that an unfinished directory of a first attempt is kept if the next attempt cannot read it.
// Verify lists it as incomplete, whether the source can be read by then or not, and everything else is verified.
func TestLeftOutDirectoryIsKept(t *testing.T) {
	src, dst := newDisk(t, "ext4", 32<<20), newDisk(t, "ext4", 32<<20)
	apply(t, src.dir, mkdir("d", 0o750), file("d/a", 0o600, noise(1, 5000)), file("d/b", 0o600, noise(2, 5000)), file("g", 0o600, noise(3, 100)))
	apply(t, dst.dir, mkdir("d", 0o700), file("d/a", 0o600, noise(1, 5000)))
	src.remount(t, unix.MS_RDONLY)
	var man bytes.Buffer
	m := &medium{refuses: func(what string, _ int) bool { return what == "open d" }}
	o := Options{OnReadError: List, Resume: &Resume{}, Manifest: &man, fault: m.fault, cached: true, Workers: 1}
	res, err := Copy(t.Context(), src.dir, dst.dir, o)
	if err != nil || len(res.Problems) != 1 || res.Problems[0].Path != "d" {
		t.Fatalf("%v %v", err, res.Problems)
	}
	if names, err := filepath.Glob(filepath.Join(dst.dir, "d", "*")); err != nil || len(names) != 1 {
		t.Errorf("the target has %q in it, %v", names, err)
	}
	for _, fault := range []func(string, string) error{m.fault, nil} {
		rep, err := Verify(t.Context(), src.dir, dst.dir, Options{OnReadError: List, Hashes: openManifest(t, man.Bytes()), fault: fault})
		if err != nil || !rep.Equal() || rep.DamagedCount != 1 || !strings.Contains(rep.Damaged[0], "what an earlier attempt copied of it") {
			t.Errorf("verify: %v %v, damaged %q", err, rep.Differences, rep.Damaged)
		}
	}
	if rep, err := Verify(t.Context(), src.dir, dst.dir, Options{Hashes: openManifest(t, man.Bytes()), fault: m.fault}); err != nil || rep.Equal() {
		t.Errorf("policy stop: %v, %d differences", err, rep.Count)
	}
	// Once it can be read again, the copy becomes complete.
	o = Options{OnReadError: List, Manifest: &man, Resume: &Resume{Manifest: bytes.NewReader(bytes.Clone(man.Bytes())), ManifestBytes: int64(man.Len())}}
	if res, err = Copy(t.Context(), src.dir, dst.dir, o); err != nil || len(res.Problems) != 0 {
		t.Fatalf("resumed: %v %v", err, res.Problems)
	}
	if rep, err := Verify(t.Context(), src.dir, dst.dir, Options{OnReadError: List, Hashes: openManifest(t, man.Bytes())}); err != nil || !rep.Equal() || rep.DamagedCount != 0 {
		t.Errorf("resumed: verify: %v %v, damaged %q", err, rep.Differences, rep.Damaged)
	}
	sameTree(t, src.dir, dst.dir)
}
