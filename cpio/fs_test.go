package cpio

import (
	"bytes"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestArchiveFS(t *testing.T) {
	img := image(t, []Entry{
		{Name: "lib", Mode: ModeSymlink | 0o777, Link: "/usr/lib"},
		{Name: "usr/lib/tool", Mode: ModeRegular | 0o4755, Size: 4, Body: strings.NewReader("tool")},
		file("usr/lib/empty", ""),
		{Name: "tmp", Mode: ModeDir | 0o1777},
	}, ImageOptions{WriterOptions: WriterOptions{MTime: 5}})
	a, err := Index(bytes.NewReader(img), IndexOptions{Keep: func(Entry) bool { return true }})
	if err != nil {
		t.Fatal(err)
	}
	fsys := a.FS()
	if err := fstest.TestFS(fsys, "usr/lib/tool", "usr/lib/empty", "dev"); err != nil {
		t.Error(err)
	}
	if target, err := fsys.ReadLink("lib"); err != nil || target != "/usr/lib" {
		t.Errorf("lib -> %q, %v", target, err)
	}
	if i, err := fs.Stat(fsys, "lib/tool"); err != nil || i.Mode() != fs.ModeSetuid|0o755 || i.Size() != 4 || i.ModTime().Unix() != 5 {
		t.Errorf("lib/tool is %v, %v", i, err)
	}
	bare, err := Index(bytes.NewReader(img), IndexOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fs.ReadFile(bare.FS(), "lib/tool"); !errors.Is(err, ErrNotKept) {
		t.Errorf("a file that was not kept: %v", err)
	}
}

// lz4 -l writes blocks of 8 MiB. Whether the last one is full or not, the kernel reads the next 4 bytes as a size
// unless they are zeros, and loses data that is appended without them.
func TestLz4Blocks(t *testing.T) {
	tool(t, "lz4")
	next := raw("next", ModeRegular, 1, 1, 0, "")
	for _, size := range []int{4096, 8 << 20, 16 << 20, 16<<20 + 4, 24<<20 - 4} {
		body := bytes.Repeat([]byte("lz4 legacy "), 3<<20)[:size-1024]
		plain := image(t, []Entry{{Name: "big", Mode: ModeRegular, Size: int64(len(body)), Body: bytes.NewReader(body)}}, ImageOptions{Method: None})
		plain = append(plain, make([]byte, size-len(plain))...)
		packed := run(t, t.TempDir(), plain, "lz4", "-lc")
		pad := -len(packed) & 3
		for what, tail := range map[string]string{
			"nothing": "", "a zero": "\x00", "zeros": strings.Repeat("\x00", 512),
			"a newc archive":  strings.Repeat("\x00", 4+pad) + next,
			"a newc archive,": strings.Repeat("\x00", 512+pad) + next,
			"zstd":            "\x00\x00\x00\x00" + string(image(t, []Entry{file("next", "")}, ImageOptions{})),
		} {
			got, _ := walkAll(t, append(bytes.Clone(packed), tail...))
			if want := 1 + strings.Count(what, "a newc") + strings.Count(what, "zstd"); len(got) != want || !bytes.Equal([]byte(got[0].Data), body) {
				t.Errorf("%d bytes and %s: %d entries, want %d", size, what, len(got), want)
			}
		}
		for zeros := range 4 {
			for _, tail := range [][]byte{[]byte(next), image(t, []Entry{file("next", "")}, ImageOptions{})} {
				refused(t, slices.Concat(packed, make([]byte, zeros), tail), "fewer than 4 zero bytes")
			}
		}
	}
}
