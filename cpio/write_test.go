package cpio

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func file(name, body string) Entry {
	return Entry{Name: name, Mode: ModeRegular | 0o644, Size: int64(len(body)), Body: strings.NewReader(body)}
}

// seen is an entry from a reader, with its body.
type seen struct {
	Entry
	Data string
}

func walkAll(t testing.TB, image []byte) ([]seen, []Segment) {
	t.Helper()
	var all []seen
	var segs []Segment
	err := Walk(bytes.NewReader(image), Options{}, func(s Segment, e Entry) error {
		b, err := io.ReadAll(e.Body)
		if err != nil {
			return err
		}
		e.Body = nil
		all = append(all, seen{e, string(b)})
		if len(segs) == 0 || segs[len(segs)-1] != s {
			segs = append(segs, s)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all, segs
}

func names(all []seen) []string {
	var n []string
	for _, s := range all {
		n = append(n, s.Name)
	}
	return n
}

func sample() []Entry {
	return []Entry{
		file("init", "#!/bin/sh\n"),
		{Name: "/dev/console", Mode: ModeChar | 0o600, RdevMajor: 5, RdevMinor: 1},
		{Name: "dev/sda", Mode: ModeBlock | 0o660, RdevMajor: 8, RdevMinor: 0x12345, GID: 6},
		{Name: "./bin", Mode: ModeSymlink | 0o777, Link: "usr/bin"},
		file("usr/bin/tool", strings.Repeat("tool", 1001)),
		file("usr/bin/empty", ""),
		{Name: "run", Mode: ModeDir | 0o1777},
		{Name: "run/fifo", Mode: ModeFifo | 0o600},
		{Name: "run/sock", Mode: ModeSocket | 0o600},
		{Name: "h1", Mode: ModeRegular | 0o600, Ino: 7, Nlink: 2},
		{Name: "h2", Mode: ModeRegular | 0o600, Ino: 7, Nlink: 2, Size: 4, Body: strings.NewReader("link")},
		file("name with spaces and \xff", "x"),
	}
}

func image(t testing.TB, entries []Entry, opts ImageOptions) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := WriteImage(&b, entries, opts); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRoundTrip(t *testing.T) {
	want := []seen{
		{Entry: Entry{Name: "bin", Mode: ModeSymlink | 0o777, Link: "usr/bin", Size: 7}, Data: "usr/bin"},
		{Entry: Entry{Name: "dev", Mode: ModeDir | 0o755, Nlink: 2}},
		{Entry: Entry{Name: "dev/console", Mode: ModeChar | 0o600, RdevMajor: 5, RdevMinor: 1}},
		{Entry: Entry{Name: "dev/sda", Mode: ModeBlock | 0o660, RdevMajor: 8, RdevMinor: 0x12345, GID: 6}},
		{Entry: Entry{Name: "h1", Mode: ModeRegular | 0o600, Nlink: 2, Ino: 5}},
		{Entry: Entry{Name: "h2", Mode: ModeRegular | 0o600, Nlink: 2, Ino: 5, Size: 4}, Data: "link"},
		{Entry: Entry{Name: "init", Mode: ModeRegular | 0o644, Size: 10}, Data: "#!/bin/sh\n"},
		{Entry: Entry{Name: "name with spaces and \xff", Mode: ModeRegular | 0o644, Size: 1}, Data: "x"},
		{Entry: Entry{Name: "run", Mode: ModeDir | 0o1777, Nlink: 2}},
		{Entry: Entry{Name: "run/fifo", Mode: ModeFifo | 0o600}},
		{Entry: Entry{Name: "run/sock", Mode: ModeSocket | 0o600}},
		{Entry: Entry{Name: "usr", Mode: ModeDir | 0o755, Nlink: 2}},
		{Entry: Entry{Name: "usr/bin", Mode: ModeDir | 0o755, Nlink: 2}},
		{Entry: Entry{Name: "usr/bin/empty", Mode: ModeRegular | 0o644}},
		{Entry: Entry{Name: "usr/bin/tool", Mode: ModeRegular | 0o644, Size: 4004}, Data: strings.Repeat("tool", 1001)},
	}
	inode := uint64(0)
	for i := range want {
		if want[i].Ino == 0 || want[i].Name == "h1" {
			inode++
		}
		want[i].Ino, want[i].MTime = inode, 1700000000
		want[i].Nlink = max(1, want[i].Nlink)
	}
	for _, m := range []Method{None, Gzip, Zstd} {
		b := image(t, sample(), ImageOptions{Method: m, WriterOptions: WriterOptions{MTime: 1700000000}})
		got, _ := walkAll(t, b)
		if d := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Entry{}), cmpopts.IgnoreFields(Entry{}, "Open")); d != "" {
			t.Errorf("%s: written, then read (-want +got):\n%s", m, d)
		}
	}
}

func TestImageDependsOnNothingElse(t *testing.T) {
	for _, parts := range []int{1, 3} {
		opts := ImageOptions{WriterOptions: WriterOptions{MTime: 1}, Parts: parts}
		a := image(t, sample(), opts)
		again := sample()
		h1, h2 := again[9], again[10]
		slices.Reverse(again)
		again[1], again[2] = h2, h1
		for i := range again {
			again[i].MTime = int64(i) * 99
			if again[i].Nlink < 2 {
				again[i].Ino = uint64(i) << 40
			}
		}
		if b := image(t, again, opts); !bytes.Equal(a, b) {
			t.Errorf("%d parts: order, inodes or times of the source show in the image", parts)
		}
	}
}

type closer struct {
	io.Reader
	closed *int
}

func (c closer) Close() error { *c.closed++; return nil }

func TestOpen(t *testing.T) {
	opened, closed := 0, 0
	e := Entry{Name: "lazy", Mode: ModeRegular, Size: 4, Open: func() (io.ReadCloser, error) {
		opened++
		return closer{strings.NewReader("body"), &closed}, nil
	}}
	got, _ := walkAll(t, image(t, []Entry{e}, ImageOptions{}))
	if got[0].Data != "body" || opened != 1 || closed != 1 {
		t.Errorf("body is %q, opened %d times, closed %d", got[0].Data, opened, closed)
	}
	e.Open = func() (io.ReadCloser, error) { return nil, os.ErrPermission }
	if err := WriteImage(io.Discard, []Entry{e}, ImageOptions{}); !errors.Is(err, os.ErrPermission) {
		t.Errorf("error is %v", err)
	}
}

func TestParts(t *testing.T) {
	var entries []Entry
	rnd := func(i int) string { return strings.Repeat(string(rune('a'+i%26))+"xyz", 300*i) }
	for i := range 40 {
		entries = append(entries, file(filepath.Join("d", string(rune('a'+i%7)), string(rune('A'+i))), rnd(i)))
	}
	for i := range entries {
		entries[i].Body = strings.NewReader(rnd(i))
	}
	got, segs := walkAll(t, image(t, entries, ImageOptions{Parts: 4}))
	if len(segs) != 4 {
		t.Errorf("segments are %v, want 4", segs)
	}
	n := names(got)
	if !slices.IsSorted(n) || len(slices.Compact(n)) != len(got) || len(got) != 40+1+7 {
		t.Errorf("parts together: want each of 48 names once and sorted, got %q", names(got))
	}
}

func TestAddRefuses(t *testing.T) {
	dir := Entry{Name: "d", Mode: ModeDir | 0o755}
	cases := []struct {
		name    string
		entries []Entry
		want    string
	}{
		{"4 GiB", []Entry{{Name: "big", Mode: ModeRegular, Size: 1 << 32, Body: strings.NewReader("")}}, "4 GiB"},
		{"mtime", []Entry{{Name: "a", Mode: ModeRegular, MTime: math.MaxUint32 + 1}}, "mtime"},
		{"before 1970", []Entry{{Name: "a", Mode: ModeRegular, MTime: -1}}, "mtime"},
		{"no type", []Entry{{Name: "a", Mode: 0o644}}, "no file type"},
		{"bits", []Entry{{Name: "a", Mode: ModeRegular | 1<<20}}, "beyond"},
		{"dots", []Entry{file("a/../../b", "")}, ".."},
		{"empty name", []Entry{file("", "")}, "empty"},
		{"nul", []Entry{file("a\x00b", "")}, "NUL"},
		{"long", []Entry{file(strings.Repeat("a/", 2048)+"b", "")}, "limit"},
		{"trailer", []Entry{file("TRAILER!!!", "")}, "end mark"},
		{"twice", []Entry{file("a", ""), file("./a", "")}, "duplicate name"},
		{"file as parent", []Entry{file("a", ""), file("a/b", "")}, "not a directory"},
		{"late directory", []Entry{file("d/a", ""), dir}, "before its contents"},
		{"short body", []Entry{{Name: "a", Mode: ModeRegular, Size: 5, Body: strings.NewReader("abc")}}, "after 3 of 5"},
		{"long body", []Entry{{Name: "a", Mode: ModeRegular, Size: 2, Body: strings.NewReader("abc")}}, "longer"},
		{"body of an empty file", []Entry{{Name: "a", Mode: ModeRegular, Body: strings.NewReader("abc")}}, "longer"},
		{"opened body of an empty file", []Entry{{Name: "a", Mode: ModeRegular, Open: func() (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader("abc")), nil
		}}}, "longer"},
		{"no body", []Entry{{Name: "a", Mode: ModeRegular, Size: 2}}, "no body"},
		{"no target", []Entry{{Name: "a", Mode: ModeSymlink}}, "target"},
		{"device on file", []Entry{{Name: "a", Mode: ModeRegular, RdevMajor: 1}}, "device number"},
		{"early link data", []Entry{{Name: "a", Mode: ModeRegular, Ino: 3, Nlink: 2, Size: 1, Body: strings.NewReader("x")}}, "only the last"},
		{"link group open", []Entry{{Name: "a", Mode: ModeRegular, Ino: 3, Nlink: 2}}, "missing"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := NewWriter(io.Discard, WriterOptions{KeepMTime: true})
			var err error
			for _, e := range c.entries {
				if err = w.Add(e); err != nil {
					break
				}
			}
			if err == nil {
				err = w.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want one with %q", err, c.want)
			}
			if w.Close() == nil {
				t.Error("Close after an error says nothing")
			}
		})
	}
}

// The zstd frame must have what the kernel needs: a window within its limit, and no
// second frame after it.
func TestZstdFrame(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	for _, level := range []int{0, 1, 19, 22} {
		b := image(t, []Entry{{Name: "big", Mode: ModeRegular, Size: int64(len(body)), Body: bytes.NewReader(body)}}, ImageOptions{Level: level})
		descriptor := b[4]
		if descriptor&4 == 0 {
			t.Errorf("level %d: frame has no checksum", level)
		}
		if descriptor&0x20 != 0 {
			t.Fatalf("level %d: single segment: the window is the whole content", level)
		}
		exponent, mantissa := b[5]>>3, b[5]&7
		window := (int64(1) << (10 + exponent)) / 8 * int64(8+mantissa)
		if window > 8<<20 {
			t.Errorf("level %d: window is %d bytes", level, window)
		}
		if _, segs := walkAll(t, b); len(segs) != 1 {
			t.Errorf("level %d: segments are %v", level, segs)
		}
	}
}

func tool(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("SKIPPED, the oracle is not there: %v", err)
	}
}

func run(t *testing.T, dir string, stdin []byte, argv ...string) []byte {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	cmd.Stdin = bytes.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%q: %v\n%s", argv, err, stderr.Bytes())
	}
	return out
}

func TestCpioToolReadsOurs(t *testing.T) {
	tool(t, "cpio")
	b := image(t, sample(), ImageOptions{Method: None, WriterOptions: WriterOptions{MTime: 1700000000}})
	got := strings.Split(strings.TrimSpace(string(run(t, t.TempDir(), b, "cpio", "-itv", "--quiet", "--numeric-uid-gid"))), "\n")
	want := []string{
		`lrwxrwxrwx   1 0        0               7 Nov 14  2023 bin -> usr/bin`,
		`drwxr-xr-x   2 0        0               0 Nov 14  2023 dev`,
		`crw-------   1 0        0          5,   1 Nov 14  2023 dev/console`,
		`brw-rw----   1 0        6          8, 74565 Nov 14  2023 dev/sda`,
		`-rw-------   2 0        0               0 Nov 14  2023 h1`,
		`-rw-------   2 0        0               4 Nov 14  2023 h2`,
	}
	squeeze := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	for i, w := range want {
		if i >= len(got) || squeeze(got[i]) != squeeze(w) {
			t.Fatalf("cpio -itv line %d: want\n%s\ngot\n%s", i, w, strings.Join(got, "\n"))
		}
	}
	if len(got) != 15 {
		t.Errorf("cpio shows %d entries, want 15", len(got))
	}
}

func TestCpioToolExtractsLinks(t *testing.T) {
	tool(t, "cpio")
	dir := t.TempDir()
	b := image(t, []Entry{
		{Name: "a/h1", Mode: ModeRegular | 0o600, Ino: 7, Nlink: 2},
		{Name: "a/h2", Mode: ModeRegular | 0o600, Ino: 7, Nlink: 2, Size: 4, Body: strings.NewReader("link")},
	}, ImageOptions{Method: None})
	run(t, dir, b, "cpio", "-i", "--quiet", "--no-preserve-owner")
	one, err1 := os.Stat(filepath.Join(dir, "a/h1"))
	two, err2 := os.Stat(filepath.Join(dir, "a/h2"))
	if err1 != nil || err2 != nil || !os.SameFile(one, two) || one.Size() != 4 {
		t.Errorf("cpio -i made %v and %v (%v, %v), want one file of 4 bytes", one, two, err1, err2)
	}
}

func TestInitramfsToolsReadOurs(t *testing.T) {
	for _, m := range []Method{None, Gzip, Zstd} {
		t.Run(string(m), func(t *testing.T) {
			tool(t, "lsinitramfs")
			tool(t, "unmkinitramfs")
			dir := t.TempDir()
			// lsinitramfs treats an uncompressed archive as microcode and looks for another after it.
			b := image(t, sample(), ImageOptions{Method: m})
			if m == None {
				b = append(b, image(t, []Entry{file("second", "2")}, ImageOptions{})...)
			}
			img := filepath.Join(dir, "initrd.img")
			if err := os.WriteFile(img, b, 0o600); err != nil {
				t.Fatal(err)
			}
			ls := strings.Split(strings.TrimSpace(string(run(t, dir, nil, "lsinitramfs", img))), "\n")
			got, _ := walkAll(t, b)
			want := names(got)
			slices.Sort(ls)
			slices.Sort(want)
			if d := cmp.Diff(want, ls); d != "" {
				t.Errorf("lsinitramfs against our reader (-ours +theirs):\n%s", d)
			}
			if os.Getuid() != 0 {
				t.Skip("SKIPPED: unmkinitramfs makes device nodes: needs root")
			}
			out := filepath.Join(dir, "out")
			run(t, dir, nil, "unmkinitramfs", img, out)
			if m == None {
				out = filepath.Join(out, "early")
			}
			body, err := os.ReadFile(filepath.Join(out, "usr/bin/tool"))
			if err != nil || string(body) != strings.Repeat("tool", 1001) {
				t.Errorf("unmkinitramfs: usr/bin/tool: %v, %d bytes", err, len(body))
			}
		})
	}
}

func TestRoundTripProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bodies := rapid.MapOf(rapid.StringMatching(`[a-c\xff]{1,3}(/[ab.-]{1,4}x){0,3}`), rapid.SliceOfN(rapid.Byte(), 0, 40)).Draw(t, "files")
		mode := rapid.Uint32Range(0, 0o7777).Draw(t, "mode")
		parts := rapid.IntRange(1, 3).Draw(t, "parts")
		method := rapid.SampledFrom([]Method{None, Gzip, Zstd}).Draw(t, "method")
		var entries []Entry
		for name, body := range bodies {
			entries = append(entries, Entry{Name: name, Mode: ModeRegular | mode, Size: int64(len(body)), Body: bytes.NewReader(body)})
		}
		var b bytes.Buffer
		if err := WriteImage(&b, entries, ImageOptions{Method: method, Parts: parts}); err != nil {
			if strings.Contains(err.Error(), "not a directory") {
				return
			}
			t.Fatal(err)
		}
		files := 0
		err := Walk(&b, Options{}, func(_ Segment, e Entry) error {
			if e.IsDir() {
				return nil
			}
			files++
			got, err := io.ReadAll(e.Body)
			want, ok := bodies[e.Name]
			if err != nil || !ok || !bytes.Equal(got, want) || e.Mode != ModeRegular|mode {
				t.Fatalf("%q: %v %o %q, want %o %q", e.Name, err, e.Mode, got, mode, want)
			}
			return nil
		})
		if len(entries) == 0 && err == nil && files == 0 {
			return
		}
		if err != nil || files != len(entries) {
			t.Fatalf("%d files of %d: %v", files, len(entries), err)
		}
	})
}
