package extent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// memory is a simulated disk: a power cut loses what was not flushed, and reads
// and writes fail as configured.
type memory struct {
	mu       sync.Mutex
	b        []byte // on the medium
	pending  []Range
	data     [][]byte // of pending
	written  int64
	maxWrite int64 // ENOSPC after so many bytes, if > 0
	syncErr  error
	loses    bool // the next flush fails, loses what was written, and the one after it says nothing
	badRead  []Range
	tries    int // reads that met badRead
	heals    int // number of attempts after which badRead can be read
}

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.written += int64(len(p))
	if m.maxWrite > 0 && m.written > m.maxWrite {
		return 0, &os.PathError{Op: "write", Path: "disk", Err: syscall.ENOSPC}
	}
	m.pending, m.data = append(m.pending, Range{off, int64(len(p))}), append(m.data, bytes.Clone(p))
	return len(p), nil
}

func (m *memory) Sync() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.syncErr != nil {
		return m.syncErr
	}
	if m.loses {
		m.loses, m.pending, m.data = false, nil, nil
		return syscall.EIO
	}
	for i, r := range m.pending {
		copy(m.b[r.Offset:], m.data[i])
	}
	m.pending, m.data = nil, nil
	return nil
}

// cut is a power cut: some unflushed writes arrive, others do not.
func (m *memory) cut(rnd *rand.Rand) {
	for i, r := range m.pending {
		if rnd.IntN(2) == 0 {
			copy(m.b[r.Offset:], m.data[i])
		}
	}
	m.pending, m.data = nil, nil
}

func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.badRead {
		if off < r.end() && r.Offset < off+int64(len(p)) {
			if m.tries++; m.heals == 0 || m.tries <= m.heals {
				return 0, &os.PathError{Op: "read", Path: "disk", Err: syscall.EIO}
			}
		}
	}
	n := copy(p, m.b[min(off, int64(len(m.b))):])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// fixture returns a source of random bytes, an allocation of it, and a target with other bytes.
func fixture(seed uint64, windows, pieces int) (src, dst *memory, a *Allocation) {
	rnd := rand.New(rand.NewPCG(seed, 9))
	size := int64(windows)*Window - 8192
	src, dst = &memory{b: make([]byte, size)}, &memory{b: bytes.Repeat([]byte{0xa5}, int(size))}
	chacha := rand.NewChaCha8([32]byte{byte(seed)})
	chacha.Read(src.b) //nolint:errcheck // never fails
	cuts := map[int64]bool{}
	for len(cuts) < 2*pieces {
		cuts[rnd.Int64N(size/1024)] = true
	}
	var at []int64
	for c := range cuts {
		at = append(at, c*1024)
	}
	slices.Sort(at)
	a = &Allocation{Type: "ext4", BlockSize: 1024, Size: size, UUID: "u", Identity: "id"}
	for i := 0; i+1 < len(at); i += 2 {
		a.Ranges = append(a.Ranges, Range{at[i], at[i+1] - at[i]})
	}
	return src, dst, a
}

// equalUsed fails unless dst has src's bytes in a's ranges, and 0xa5 elsewhere.
func equalUsed(t testing.TB, src, dst *memory, a *Allocation) {
	t.Helper()
	want := bytes.Repeat([]byte{0xa5}, len(dst.b))
	for _, r := range a.Ranges {
		copy(want[r.Offset:r.end()], src.b[r.Offset:])
	}
	if !bytes.Equal(want, dst.b) {
		t.Fatal("the target has other bytes than the source in use, or was written elsewhere")
	}
}

func TestCopyWindows(t *testing.T) {
	for _, pieces := range []int{1, 3, 200} {
		src, dst, a := fixture(uint64(pieces), 5, pieces)
		var last Event
		res, err := copyWindows(t.Context(), src, dst, a, Options{Progress: func(e Event) { last = e }})
		must(t, err)
		equalUsed(t, src, dst, a)
		if last.Bytes != a.CopyBytes() || last.Total != last.Bytes || res.Bytes != last.Bytes {
			t.Errorf("last event %+v, result %d, want %d bytes", last, res.Bytes, a.CopyBytes())
		}
		_, err = verifyWindows(t.Context(), dst, a, res.Sums, Options{})
		must(t, err)
		if _, err = verifyWindows(t.Context(), dst, a, res.Sums[1:], Options{}); err == nil {
			t.Error("verified with a sum too few")
		}
		if _, err = verifyWindows(t.Context(), dst, a, append(res.Sums, Sum{}), Options{}); err == nil {
			t.Error("verified with a sum too many")
		}
	}
}

// TestVerifyNamesTheByte checks that any used byte that differs is found and
// its block reported, and that unused bytes do not matter.
func TestVerifyNamesTheByte(t *testing.T) {
	src, dst, a := fixture(7, 3, 40)
	res, err := copyWindows(t.Context(), src, dst, a, Options{})
	must(t, err)
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 30 {
		off := rnd.Int64N(a.Size)
		dst.b[off] ^= 0x10
		i := slices.IndexFunc(a.Ranges, func(r Range) bool { return r.Offset <= off && off < r.end() })
		rep, err := verifyWindows(t.Context(), dst, a, res.Sums, Options{Source: src})
		if i < 0 && err != nil {
			t.Errorf("byte %d is not used, but: %v", off, err)
		}
		want := []Range{{off / 1024 * 1024, 1024}}
		if i >= 0 && (!errors.Is(err, ErrDiffers) || !slices.Equal(rep.Differs, want)) {
			t.Errorf("byte %d: %v, %v; want %v", off, rep.Differs, err, want)
		}
		rep, err = verifyWindows(t.Context(), dst, a, res.Sums, Options{})
		covers := slices.ContainsFunc(rep.Differs, func(r Range) bool { return r.Offset <= off && off < r.end() })
		if covers != (i >= 0) || covers != errors.Is(err, ErrDiffers) {
			t.Errorf("byte %d, no source: %v, %v", off, rep.Differs, err)
		}
		dst.b[off] ^= 0x10
	}
}

// TestResume cuts the power at random moments, with whatever checkpoint was
// the last, until the copy ends; with and without the sums in the checkpoint.
func TestResume(t *testing.T) {
	for _, keepSums := range []bool{true, false} {
		src, dst, a := fixture(11, 16, 30)
		rnd := rand.New(rand.NewPCG(3, 4))
		var saved Checkpoint
		var written int64
		var res Result
		cuts := 0
		for {
			ctx, cancel := context.WithCancel(t.Context())
			o := Options{CheckpointEvery: time.Nanosecond, Workers: 3}
			left := rnd.IntN(2)
			o.Checkpoint = func(c Checkpoint) error {
				if ctx.Err() != nil {
					return errors.New("the power is off")
				}
				add(t, &saved, roundTrip(t, c))
				if o.Resume == nil || c.Windows > o.Resume.Windows {
					left--
				}
				if left < 0 {
					cancel()
				}
				return nil
			}
			if saved.Identity != "" {
				resume := saved
				if !keepSums {
					resume.First, resume.Sums = 0, nil
					saved.First, saved.Sums = 0, nil
				}
				o.Resume = &resume
			}
			var err error
			res, err = copyWindows(ctx, src, dst, a, o)
			cancel()
			written += res.Written
			if err == nil {
				break
			}
			dst.cut(rnd)
			if cuts++; cuts > 200 {
				t.Fatal("no progress in 200 power cuts")
			}
		}
		equalUsed(t, src, dst, a)
		_, err := verifyWindows(t.Context(), dst, a, res.Sums, Options{})
		must(t, err)
		// Three windows are in flight at a cut, and the one before may be unsaved.
		if limit := a.CopyBytes() + int64(cuts)*6*Window; cuts == 0 || written > limit {
			t.Errorf("%d cuts, %d bytes written, limit %d", cuts, written, limit)
		}
	}
}

// add appends the next checkpoint to c.
func add(t testing.TB, c *Checkpoint, next Checkpoint) {
	t.Helper()
	if c.Identity == "" {
		*c = next
		c.Sums, c.Bad = slices.Clone(next.Sums), slices.Clone(next.Bad)
		return
	}
	if next.Identity != c.Identity || next.Windows < c.Windows {
		t.Fatalf("checkpoint of %s at window %d does not follow %s at %d", next.Identity, next.Windows, c.Identity, c.Windows)
	}
	if next.First == 0 {
		c.First, c.Sums = 0, nil
	}
	if len(next.Sums) > 0 && next.First != c.First+len(c.Sums) {
		t.Fatalf("checkpoint with sums from window %d does not follow one with sums to %d", next.First, c.First+len(c.Sums))
	}
	c.Windows, c.Bytes, c.Bad = next.Windows, next.Bytes, slices.Clone(next.Bad)
	c.Sums = append(c.Sums, next.Sums...)
}

func roundTrip(t testing.TB, c Checkpoint) (out Checkpoint) {
	t.Helper()
	b, err := json.Marshal(c)
	must(t, err)
	must(t, json.Unmarshal(b, &out))
	return out
}

func TestResumeRefusesAnother(t *testing.T) {
	src, dst, a := fixture(1, 2, 3)
	for _, c := range []Checkpoint{{Identity: "other"}, {Identity: "id", Windows: 1, Sums: make([]Sum, 2)}, {Identity: "id", Windows: -1}} {
		if _, err := copyWindows(t.Context(), src, dst, a, Options{Resume: &c}); err == nil || dst.written > 0 {
			t.Errorf("resumed from %+v", c)
		}
	}
}

func TestReadErrors(t *testing.T) {
	src, dst, a := fixture(5, 3, 1)
	a.Ranges = []Range{{0, 1 << 20}, {5 << 20, 1 << 20}}
	src.badRead = []Range{{5<<20 + 2048, 2048}, {3 << 20, 4096}} // the second is not in use
	_, err := copyWindows(t.Context(), src, dst, a, Options{})
	var re *ReadError
	if !errors.As(err, &re) || !errors.Is(err, syscall.EIO) || !slices.Equal(re.Ranges, []Range{{5<<20 + 2048, 2048}}) {
		t.Fatalf("got %v", err)
	}

	res, err := copyWindows(t.Context(), src, dst, a, Options{SkipBad: true})
	must(t, err)
	if !slices.Equal(res.Bad, re.Ranges) {
		t.Errorf("bad %v, want %v", res.Bad, re.Ranges)
	}
	_, err = verifyWindows(t.Context(), dst, a, res.Sums, Options{})
	must(t, err)
	whole := src.b
	src.b = bytes.Clone(whole)
	clear(src.b[5<<20+2048:][:2048])
	equalUsed(t, src, dst, a)
	src.b = whole

	src.tries, src.heals = 0, 2
	res, err = copyWindows(t.Context(), src, dst, a, Options{})
	must(t, err)
	if src.tries <= src.heals || len(res.Bad) > 0 {
		t.Errorf("%d tries, bad %v", src.tries, res.Bad)
	}
	equalUsed(t, src, dst, a)
}

// TestResumeAfterBadReads checks that skipped ranges are zeros on the target, and stay listed, whether the disk can read them by
// then or not.
func TestResumeAfterBadReads(t *testing.T) {
	src, dst, a := fixture(7, 3, 1)
	a.Ranges = []Range{{0, 1 << 20}, {5 << 20, 1 << 20}}
	bad := []Range{{2048, 2048}}
	src.badRead = bad
	var saved Checkpoint
	o := Options{SkipBad: true, Checkpoint: func(c Checkpoint) error { saved = c; return nil }}
	_, err := copyWindows(t.Context(), src, dst, a, o)
	must(t, err)
	for _, c := range []struct{ told, healed bool }{{true, false}, {false, false}, {true, true}} {
		if c.healed {
			src.badRead = nil
		}
		// Without the sums, which are computed again.
		resume := Checkpoint{Identity: saved.Identity, Windows: saved.Windows, First: saved.Windows, Bytes: saved.Bytes}
		if c.told {
			resume.Bad = saved.Bad
		}
		res, err := copyWindows(t.Context(), src, dst, a, Options{SkipBad: true, Resume: &resume})
		must(t, err)
		if !slices.Equal(res.Bad, bad) || res.Written > 0 {
			t.Errorf("%+v: bad %v, %d bytes written", c, res.Bad, res.Written)
		}
		if _, err := verifyWindows(t.Context(), dst, a, res.Sums, Options{}); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// TestTargetErrors checks that after ENOSPC the checkpoint has what was
// flushed, and that there is no checkpoint after a failed flush.
func TestTargetErrors(t *testing.T) {
	src, dst, a := fixture(6, 8, 4)
	dst.maxWrite = a.CopyBytes() / 2
	var saved Checkpoint
	o := Options{Workers: 1, Checkpoint: func(c Checkpoint) error { add(t, &saved, c); return nil }}
	if _, err := copyWindows(t.Context(), src, dst, a, o); !errors.Is(err, syscall.ENOSPC) || saved.Windows == 0 {
		t.Fatalf("got %v, checkpoint at window %d", err, saved.Windows)
	}
	dst.maxWrite = 0
	o.Resume = &saved
	res, err := copyWindows(t.Context(), src, dst, a, o)
	must(t, err)
	equalUsed(t, src, dst, a)
	if res.Written >= a.CopyBytes() || res.Bytes != a.CopyBytes() {
		t.Errorf("written %d of %d", res.Written, res.Bytes)
	}

	dst.syncErr = syscall.EIO
	called := false
	o = Options{Checkpoint: func(Checkpoint) error { called = true; return nil }}
	if _, err := copyWindows(t.Context(), src, dst, a, o); !errors.Is(err, syscall.EIO) || called {
		t.Errorf("got %v, checkpoint made %t", err, called)
	}
}

// TestNoCheckpointAfterALostFlush: the kernel reports a lost write only once, so a later flush that succeeds proves nothing.
func TestNoCheckpointAfterALostFlush(t *testing.T) {
	src, dst, a := fixture(9, 4, 20)
	dst.loses = true
	var told []Checkpoint
	o := Options{Workers: 1, CheckpointEvery: time.Nanosecond, Checkpoint: func(c Checkpoint) error { told = append(told, c); return nil }}
	if _, err := copyWindows(t.Context(), src, dst, a, o); !errors.Is(err, syscall.EIO) || len(told) > 0 {
		t.Errorf("got %v, and then checkpoints %v", err, told)
	}
}

// TestCopyFiles copies real files, and checks sizes and that differing bytes are found.
func TestCopyFiles(t *testing.T) {
	src, _, a := fixture(8, 3, 20)
	path := filepath.Join(t.TempDir(), "src")
	must(t, os.WriteFile(path, src.b, 0o600))
	f, _ := openImage(t, path)
	dst := dirtyTarget(t, a.Size/2) // is grown
	res, err := Copy(t.Context(), f, dst, a, Options{})
	must(t, err)
	off := a.Ranges[9].Offset
	b := []byte{src.b[off] ^ 1}
	_, err = dst.WriteAt(b, off)
	must(t, err)
	rep, err := Verify(t.Context(), dst, a, res.Sums, Options{Source: f})
	if !errors.Is(err, ErrDiffers) || !slices.Equal(rep.Differs, []Range{{off, 1024}}) {
		t.Errorf("%v, %v; want the block at %d", rep, err, off)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Copy(ctx, f, dst, a, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled copy: %v", err)
	}
	if _, err := Verify(ctx, dst, a, res.Sums, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled verification: %v", err)
	}
}

func TestWindowsProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var ranges []Range
		at := int64(0)
		for range rapid.IntRange(0, 30).Draw(t, "n") {
			at += 512 * rapid.Int64Range(1, 20_000).Draw(t, "gap")
			n := 512 * rapid.Int64Range(1, 30_000).Draw(t, "length")
			ranges = append(ranges, Range{at, n})
			at += n
		}
		w := windows{ranges: ranges}
		back := rangeList{max: 1000}
		for want := 0; ; want++ {
			n, base, pieces, ok := w.next(nil)
			if !ok {
				break
			}
			if n != want || base%Window != 0 || len(pieces) == 0 {
				t.Fatalf("window %d at %d: %v", n, base, pieces)
			}
			for _, p := range pieces {
				if p.Offset < base || p.end() > base+Window || p.Length <= 0 {
					t.Fatalf("window at %d: %v", base, p)
				}
				back.add(p.Offset, p.Length)
			}
		}
		if !slices.Equal(back.ranges, ranges) {
			t.Fatalf("%v became %v", ranges, back.ranges)
		}
	})
}

// TestRangeListProperty checks that the ranges cover everything that was added, whatever the bound.
func TestRangeListProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := rangeList{max: rapid.IntRange(1, 20).Draw(t, "max"), unit: 4096}
		var all []Range
		at, sum := int64(0), int64(0)
		for range rapid.IntRange(1, 100).Draw(t, "n") {
			at += 4096 * rapid.Int64Range(0, 50).Draw(t, "gap")
			n := 4096 * rapid.Int64Range(1, 9).Draw(t, "length")
			l.add(at, n)
			all, sum = append(all, Range{at, n}), sum+n
			at += n
		}
		if _, ok := uncovered(all, l.ranges); !ok || len(l.ranges) > l.max || l.used != sum {
			t.Fatalf("%d ranges of at most %d, used %d of %d, covers %t", len(l.ranges), l.max, l.used, sum, ok)
		}
	})
}

func TestEachRunProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bm := rapid.SliceOfN(rapid.Byte(), 24, 24).Draw(t, "bitmap")
		n := rapid.IntRange(0, 192).Draw(t, "n")
		seen := make([]bool, n)
		last := -1
		eachRun(bm, n, func(start, length int) {
			if start <= last || length <= 0 {
				t.Fatalf("run %d+%d after %d", start, length, last)
			}
			last = start + length
			for i := start; i < last; i++ {
				seen[i] = true
			}
		})
		for i := range n {
			if seen[i] != (bm[i/8]>>(i%8)&1 == 1) {
				t.Fatalf("bit %d", i)
			}
		}
	})
}
