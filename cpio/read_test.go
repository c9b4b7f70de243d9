package cpio

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// toolArchive has cpio write a small tree with hard links, a symbolic link and a large file.
func toolArchive(t *testing.T) []byte {
	t.Helper()
	tool(t, "cpio")
	dir := t.TempDir()
	big := strings.Repeat("0123456789abcdef", 1<<16) + "end" // 1 MiB: several blocks of every compression
	for name, body := range map[string]string{"etc/conf": "conf\n", "big": big, "etc/one": "linked"} {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(body), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(filepath.Join(dir, "etc/one"), filepath.Join(dir, "etc/two")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/conf", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	list := ".\nbig\netc\netc/conf\netc/one\netc/two\nlink\n"
	return run(t, dir, []byte(list), "cpio", "-o", "-H", "newc", "--quiet")
}

func TestReadsWhatToolsWrote(t *testing.T) {
	archive := toolArchive(t)
	early := image(t, []Entry{file("kernel/x86/microcode/GenuineIntel.bin", strings.Repeat("u", 5000))}, ImageOptions{Method: None})
	early = append(early, make([]byte, 512-len(early)%512)...)
	tail := image(t, []Entry{file("etc/mdadm.conf", "ARRAY")}, ImageOptions{Method: None})
	for _, argv := range [][]string{
		{"cat"}, {"gzip", "-c"}, {"gzip", "-9nc"}, {"zstd", "-qc", "-19", "-T0"}, {"zstd", "-qc", "--ultra", "-22", "--long=27"}, {"zstd", "-qc", "-1", "--no-check"},
		{"xz", "-c", "--check=crc32"}, {"xz", "-c", "--check=none", "--block-size=100000"}, {"xz", "-c", "--check=crc32", "--x86", "--lzma2=dict=1MiB", "-T2"},
		{"lz4", "-lc"}, {"lz4", "-9lc"},
	} {
		t.Run(strings.Join(argv, " "), func(t *testing.T) {
			tool(t, argv[0])
			packed := run(t, t.TempDir(), archive, argv...)
			pad := make([]byte, -len(packed)&3)
			whole := slices.Concat(early, packed, pad, make([]byte, 8), tail)
			got, segs := walkAll(t, whole)
			want := []string{"kernel", "kernel/x86", "kernel/x86/microcode", "kernel/x86/microcode/GenuineIntel.bin", ".", "big", "etc", "etc/conf", "etc/one", "etc/two", "link", "etc", "etc/mdadm.conf"}
			if d := cmp.Diff(want, names(got)); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
			if len(segs) == 0 || segs[len(segs)-1].Format != "cpio" {
				t.Errorf("segments are %v", segs)
			}
			for _, s := range got {
				if s.Name == "big" && len(s.Data) != 16<<16+3 {
					t.Errorf("big has %d bytes", len(s.Data))
				}
			}
			// The same stream twice, unpadded, as several microcode-less segments. To the kernel two of lz4 are one.
			if argv[0] != "cat" {
				twice, segs := walkAll(t, slices.Concat(packed, packed))
				if want := map[bool]int{true: 1, false: 2}[argv[0] == "lz4"]; len(segs) != want || len(twice) != 14 {
					t.Errorf("two streams in a row are %v, %d entries", segs, len(twice))
				}
			}
			for _, cut := range []int{1, 20, len(packed) / 2} {
				if argv[0] == "cat" && cut <= 20 {
					continue // the tool's padding
				}
				err := Walk(bytes.NewReader(packed[:len(packed)-cut]), Options{}, func(Segment, Entry) error { return nil })
				if err == nil {
					t.Errorf("no error when %d bytes are missing at the end", cut)
				}
			}
		})
	}
}

func TestFormatsRefusedByName(t *testing.T) {
	archive := image(t, sample(), ImageOptions{Method: None})
	for name, argv := range map[string][]string{
		"bzip2": {"bzip2", "-c"}, "lzma": {"xz", "--format=lzma", "-c"}, "lz4 frame": {"lz4", "-c"}, "lzo": {"lzop", "-c"},
	} {
		t.Run(name, func(t *testing.T) {
			tool(t, argv[0])
			packed := run(t, t.TempDir(), archive, argv...)
			seen := 0
			err := Walk(bytes.NewReader(slices.Concat(archive, packed)), Options{}, func(Segment, Entry) error { seen++; return nil })
			var bad *FormatError
			if !errors.As(err, &bad) || bad.Format != name || bad.Offset != int64(len(archive)) || seen != 15 {
				t.Errorf("error is %v after %d entries", err, seen)
			}
		})
	}
}

// Streams that other programs can read, but not the kernel's decompressors: nothing in them may count as in the image.
func TestStreamsThatTheKernelDrops(t *testing.T) {
	archive := image(t, sample(), ImageOptions{Method: None})
	for want, argv := range map[string][]string{"check of type 4": {"xz", "-c", "--check=crc64"}, "check of type 10": {"xz", "-c", "--check=sha256"}} {
		tool(t, argv[0])
		refused(t, run(t, t.TempDir(), archive, argv...), want)
	}
	tool(t, "gzip")
	packed := run(t, t.TempDir(), archive, "gzip", "-nc")
	for flag, field := range map[byte]string{1 << 1: "\x00\x00", 1 << 2: "\x02\x00xx", 1 << 4: "comment\x00"} {
		with := slices.Concat(packed[:10], []byte(field), packed[10:])
		with[3] = flag
		refused(t, with, "gzip header has flags")
	}
}

// refused fails unless reading an image returns an error that contains a word.
func refused(t *testing.T, img []byte, want string) {
	t.Helper()
	if err := Walk(bytes.NewReader(img), Options{}, func(Segment, Entry) error { return nil }); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error is %v, want %q", err, want)
	}
}

// raw returns a record that a hostile or unusual writer could produce.
func raw(name string, mode, nlink, ino, size uint32, body string) string {
	s := fmt.Sprintf("070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		ino, mode, 0, 0, nlink, 0, size, 0, 0, 0, 0, len(name)+1, 0) + name + "\x00"
	s += strings.Repeat("\x00", -len(s)&3)
	return s + body + strings.Repeat("\x00", -len(body)&3)
}

func TestWalkAcceptsWhatTheKernelDoes(t *testing.T) {
	a := raw("./a", ModeRegular, 1, 1, 1, "A")
	b := raw("//b/", ModeDir, 2, 2, 0, "")
	trailer := raw(trailerName, 0, 1, 0, 0, "")
	for what, img := range map[string]string{
		"no trailer":            a + b,
		"zeros between entries": a + "\x00\x00\x00\x00" + b + trailer,
		"trailer in between":    a + trailer + b + trailer,
		"zeros in front":        strings.Repeat("\x00", 512) + a + b,
		"checksum magic":        strings.Replace(a, "070701", "070702", 1) + b,
		"NUL in name":           raw("a\x00junk", ModeRegular, 1, 1, 1, "A") + b,
	} {
		got, segs := walkAll(t, []byte(img))
		if d := cmp.Diff([]string{"a", "b"}, names(got)); d != "" || len(segs) != 1 {
			t.Errorf("%s: %v\n%s", what, segs, d)
		}
	}
}

func TestWalkRefuses(t *testing.T) {
	a := raw("a", ModeRegular, 1, 1, 1, "A")
	for _, c := range []struct {
		what, image, want string
		opts              Options
	}{
		{what: "empty", want: "empty"},
		{what: "zeros", image: "\x00\x00\x00\x00", want: "empty after 4"},
		{what: "junk", image: "hello", want: "neither a newc archive"},
		{what: "junk behind", image: a + "junk", want: "at byte 116: neither"},
		{what: "old format", image: "070707" + strings.Repeat("0", 104), want: "-H newc"},
		{what: "not hex", image: strings.Replace(a, "070701000", "070701+00", 1), want: "not hexadecimal"},
		{what: "short header", image: a[:60], want: "unexpected EOF"},
		{what: "short name", image: a[:111], want: "unexpected EOF"},
		{what: "short body", image: raw("a", ModeRegular, 1, 1, 100, "A"), want: "96 of its 100 bytes"},
		{what: "unaligned", image: "\x00" + a, want: "not a multiple of 4"},
		{what: "no NUL", image: a[:94] + "00000001" + a[102:], want: "not terminated by a NUL"},
		{what: "name 0", image: a[:94] + "00000000" + a[102:], want: "name of 0"},
		{what: "huge name", image: a[:94] + "FFFFFFFF" + a[102:], want: "name of 4294967295"},
		{what: "huge link", image: raw("l", ModeSymlink, 1, 1, 1<<31, ""), want: "target of"},
		{what: "entries", image: a + a, want: "more than 1 entries", opts: Options{MaxEntries: 1}},
		{what: "bytes", image: a, want: "more than 20 bytes", opts: Options{MaxBytes: 20}},
		{what: "name limit", image: a, want: "limit is 1", opts: Options{MaxName: 1}},
		{what: "zstd bomb", image: string(bomb(t)), want: "more than", opts: Options{MaxBytes: 1 << 20}},
		{what: "segments", image: strings.Repeat(string(image(t, []Entry{file("a", "")}, ImageOptions{})), 3), want: "more than 2 segments", opts: Options{MaxSegments: 2}},
		{what: "zstd window", image: "\x28\xb5\x2f\xfd\x00\xb0\x09\x00\x000", want: "window"},
		{what: "not quite zstd", image: "\x28\xb5\x2f\xfe\x00\xb0\x09\x00\x000", want: "magic"},
		{what: "not quite lz4", image: "\x02\x21\x4c\x19", want: "lz4 magic"},
	} {
		err := Walk(strings.NewReader(c.image), c.opts, func(_ Segment, e Entry) error {
			_, err := io.Copy(io.Discard, e.Body)
			return err
		})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error is %v, want one with %q", c.what, err, c.want)
		}
	}
	mine := errors.New("mine")
	if err := Walk(strings.NewReader(a), Options{}, func(Segment, Entry) error { return mine }); err != mine { //nolint:errorlint // as it is
		t.Errorf("the callback's error comes back as %v", err)
	}
}

// bomb is a few hundred bytes that unpack to 64 MiB of zeros.
func bomb(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := NewCompressor(&b, Zstd, 1)
	if err != nil {
		t.Fatal(err)
	}
	for range 64 {
		if _, err := z.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestIndex(t *testing.T) {
	first := image(t, []Entry{
		{Name: "bin", Mode: ModeSymlink | 0o777, Link: "usr/bin"},
		{Name: "usr/bin/mdadm", Mode: ModeRegular | 0o755, Size: 3, Body: strings.NewReader("elf")},
		file("etc/mdadm/mdadm.conf", "old"),
		{Name: "etc/md", Mode: ModeSymlink | 0o777, Link: "../etc/mdadm"},
		{Name: "abs", Mode: ModeSymlink | 0o777, Link: "/etc/md/mdadm.conf"},
		{Name: "loop", Mode: ModeSymlink | 0o777, Link: "loop"},
		{Name: "h1", Mode: ModeRegular, Ino: 9, Nlink: 2},
		{Name: "h2", Mode: ModeRegular, Ino: 9, Nlink: 2, Size: 4, Body: strings.NewReader("link")},
	}, ImageOptions{})
	img := slices.Concat(first, make([]byte, -len(first)&3), []byte(raw("etc/mdadm/mdadm.conf", ModeRegular|0o644, 1, 1, 3, "new")+
		raw("bin/extra", ModeRegular|0o644, 1, 2, 1, "x")+
		raw("nodir/file", ModeRegular|0o644, 1, 3, 1, "x")+
		raw("dev/console", ModeChar|0o600, 1, 4, 0, "")+
		raw("etc", ModeRegular|0o644, 1, 5, 0, "")+
		raw("etc", ModeDir|0o700, 2, 6, 0, "")))
	a, err := Index(bytes.NewReader(img), IndexOptions{Keep: func(e Entry) bool { return e.Name != "usr/bin/mdadm" }})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"etc/mdadm/mdadm.conf": "new", "/etc/md/mdadm.conf": "new", "./abs": "new", "abs": "new", "bin/extra": "x", "usr/bin/extra": "x",
		"../../abs": "new", "h1": "link", "h2": "link",
	} {
		got, err := a.ReadFile(name)
		if err != nil || string(got) != want {
			t.Errorf("%s is %q, %v; want %q", name, got, err, want)
		}
	}
	if _, err := a.ReadFile("bin/mdadm"); !errors.Is(err, ErrNotKept) {
		t.Errorf("bin/mdadm: %v", err)
	}
	if e, err := a.Lookup("/bin/mdadm"); err != nil || e.Name != "usr/bin/mdadm" || e.Size != 3 || e.Mode != ModeRegular|0o755 {
		t.Errorf("/bin/mdadm is %+v, %v", e, err)
	}
	if e, err := a.Lookup("h1"); err != nil || e.Size != 4 {
		t.Errorf("h1 is %+v, %v", e, err)
	}
	if e, err := a.Lookup("etc"); err != nil || e.Mode != ModeDir|0o700 {
		t.Errorf("etc is %+v, %v", e, err)
	}
	for _, name := range []string{"nodir/file", "abs/x", "none"} {
		if _, err := a.Lookup(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := a.Lookup("loop"); err == nil || !strings.Contains(err.Error(), "symbolic links") {
		t.Errorf("loop: %v", err)
	}
	if d := cmp.Diff([]string{"nodir/file", "etc"}, a.Dropped); d != "" {
		t.Errorf("dropped -want +got:\n%s", d)
	}
	var list []string
	for _, e := range a.List() {
		list = append(list, e.Name)
	}
	want := strings.Fields("abs bin dev dev/console etc etc/md etc/mdadm etc/mdadm/mdadm.conf h1 h2 loop root usr usr/bin usr/bin/extra usr/bin/mdadm")
	if d := cmp.Diff(want, list); d != "" {
		t.Errorf("list -want +got:\n%s", d)
	}
	if len(a.Segments) != 2 || a.Segments[0].Format != "zstd" || a.Segments[1].Format != "cpio" {
		t.Errorf("segments are %v", a.Segments)
	}
	if _, err := Index(bytes.NewReader(img), IndexOptions{Keep: func(Entry) bool { return true }, MaxKept: 5}); err == nil {
		t.Error("bodies beyond MaxKept are no error")
	}
}

// What the kernel does with concatenated archives (init/initramfs.c: find_link, do_name, do_header).
func TestIndexUnpacksAsTheKernel(t *testing.T) {
	reg, trailer := uint32(ModeRegular|0o644), raw(trailerName, 0, 1, 0, 0, "")
	for _, c := range []struct {
		what, image string
		want        map[string]string
		dropped     []string
	}{
		{
			"a trailer ends the groups of hard links, and inode numbers start again",
			raw("a1", reg, 2, 5, 0, "") + raw("a2", reg, 2, 5, 3, "old") + trailer + raw("b1", reg, 2, 5, 0, "") + raw("b2", reg, 2, 5, 5, "other") + trailer,
			map[string]string{"a1": "old", "a2": "old", "b1": "other", "b2": "other"}, nil,
		},
		{
			"permissions do not tell links apart",
			raw("a1", reg, 2, 5, 0, "") + raw("a2", ModeRegular|0o600, 2, 5, 3, "old"),
			map[string]string{"a1": "old", "a2": "old"}, nil,
		},
		{
			"a file that is there is emptied and written under all of its names",
			raw("a1", reg, 2, 5, 0, "") + raw("a2", reg, 2, 5, 3, "old") + trailer + raw("a1", reg, 1, 9, 3, "new"),
			map[string]string{"a1": "new", "a2": "new"}, nil,
		},
		{
			"emptied, even by an empty one",
			raw("a1", reg, 1, 5, 3, "old") + raw("a1", reg, 1, 9, 0, ""),
			map[string]string{"a1": ""}, nil,
		},
		{
			"a link in place of a file leaves that file's other name alone",
			raw("a1", reg, 2, 5, 0, "") + raw("a2", reg, 2, 5, 3, "old") + trailer + raw("b", reg, 2, 7, 1, "b") + raw("a1", reg, 2, 7, 0, ""),
			map[string]string{"a1": "b", "b": "b", "a2": "old"}, nil,
		},
		{
			"a directory with data is passed over",
			raw("d", ModeDir|0o755, 2, 1, 4, "data") + raw("d/x", reg, 1, 2, 1, "x") + raw("y", reg, 1, 3, 1, "y"),
			map[string]string{"y": "y"}, []string{"d", "d/x"},
		},
	} {
		a, err := Index(strings.NewReader(c.image), IndexOptions{Keep: func(Entry) bool { return true }})
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		got := map[string]string{}
		for _, e := range a.List() {
			if e.IsRegular() {
				data, err := a.ReadFile(e.Name)
				if err != nil || int64(len(data)) != e.Size {
					t.Errorf("%s: %s has %d bytes, %d read, %v", c.what, e.Name, e.Size, len(data), err)
				}
				got[e.Name] = string(data)
			}
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: -want +got:\n%s", c.what, d)
		}
		if d := cmp.Diff(c.dropped, a.Dropped); d != "" {
			t.Errorf("%s: dropped -want +got:\n%s", c.what, d)
		}
	}
}

// Links to directories let short names nest: each entry would hold a path that is longer than the image.
func TestIndexBoundsPaths(t *testing.T) {
	var b strings.Builder
	dir := strings.Repeat("d/", 100)
	b.WriteString(raw("l0", ModeSymlink|0o777, 1, 1, 1, "."))
	for i := range 60 {
		at := fmt.Sprintf("l%d/", i)
		for n := 2; n <= len(dir); n += 2 {
			b.WriteString(raw(at+dir[:n], ModeDir|0o755, 2, 1, 0, ""))
		}
		target := at + strings.TrimSuffix(dir, "/")
		b.WriteString(raw(fmt.Sprintf("l%d", i+1), ModeSymlink|0o777, 1, 1, uint32(len(target)), target))
	}
	_, err := Index(strings.NewReader(b.String()), IndexOptions{})
	if err == nil || !strings.Contains(err.Error(), "through symbolic links") {
		t.Errorf("got %v, want a limit on paths", err)
	}
}

func FuzzWalk(f *testing.F) {
	for _, m := range []Method{None, Gzip, Zstd} {
		f.Add(image(f, sample(), ImageOptions{Method: m}))
	}
	f.Add(image(f, sample(), ImageOptions{Parts: 3}))
	f.Add([]byte(raw("a", ModeRegular, 2, 1, 0, "") + raw("b", ModeRegular, 2, 1, 3, "abc") + raw("l", ModeSymlink, 1, 1, 4, "../a")))
	// One file "a", by xz and lz4 -l.
	f.Add([]byte("\xfd7zXZ\x00\x00\x01\x69\x22\xde\x36\x02\x00\x21\x01"))
	f.Add([]byte("\x02\x21\x4c\x18\x05\x00\x00\x00\x400707"))
	opts := Options{MaxEntries: 1000, MaxBytes: 1 << 20, MaxSegments: 20, MaxWindow: 1 << 20}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := Index(bytes.NewReader(b), IndexOptions{Options: opts, MaxKept: 1 << 19, Keep: func(Entry) bool { return true }})
		if err != nil {
			return
		}
		var kept int
		for _, e := range a.List() {
			if data, err := a.ReadFile(e.Name); err == nil && !e.IsSymlink() {
				if int64(len(data)) != e.Size {
					t.Fatalf("%q: %d bytes, size says %d", e.Name, len(data), e.Size)
				}
				kept++
			}
		}
		if kept > opts.MaxEntries {
			t.Fatalf("%d files", kept)
		}
	})
}

func FuzzRoundTrip(f *testing.F) {
	f.Add("usr/bin/tool", []byte("body"), uint32(0o755), int64(1), uint32(8), "->x")
	f.Add("/./a//b/", []byte{}, uint32(0o7777), int64(1<<32-1), uint32(0), "b")
	f.Fuzz(func(t *testing.T, name string, body []byte, mode uint32, mtime int64, minor uint32, target string) {
		in := []Entry{
			{Name: name, Mode: ModeRegular | mode&0o7777, MTime: mtime, Size: int64(len(body)), Body: bytes.NewReader(body)},
			{Name: name + ".dev", Mode: ModeBlock, MTime: mtime, RdevMinor: minor},
			{Name: name + ".link", Mode: ModeSymlink, MTime: mtime, Link: target},
		}
		var b bytes.Buffer
		if err := WriteImage(&b, in, ImageOptions{Method: None, WriterOptions: WriterOptions{KeepMTime: true}}); err != nil {
			return
		}
		found := 0
		err := Walk(&b, Options{}, func(_ Segment, e Entry) error {
			got, err := io.ReadAll(e.Body)
			switch {
			case err != nil:
				return err
			case e.IsDir():
				return nil
			case e.MTime != mtime:
				t.Fatalf("%q: mtime %d, wrote %d", e.Name, e.MTime, mtime)
			case e.IsRegular() && (e.Name != clean(name) || e.Mode != in[0].Mode || !bytes.Equal(got, body)):
				t.Fatalf("%q %o %q, wrote %q %o %q", e.Name, e.Mode, got, name, in[0].Mode, body)
			case e.IsDevice() && (e.RdevMajor != 0 || e.RdevMinor != minor):
				t.Fatalf("device %d:%d, wrote 0:%d", e.RdevMajor, e.RdevMinor, minor)
			case e.IsSymlink() && (e.Link != target || string(got) != target):
				t.Fatalf("link to %q, wrote %q", e.Link, target)
			}
			found++
			return nil
		})
		if err != nil || found != 3 {
			t.Fatalf("%d of 3 entries: %v", found, err)
		}
	})
}
