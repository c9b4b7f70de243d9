package cpio

import (
	"bytes"
	"errors"
	"io/fs"
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

// lz4 -l cuts into blocks of 8 MiB; a frame of whole blocks has no short one to end it.
func TestLz4Blocks(t *testing.T) {
	tool(t, "lz4")
	next := image(t, []Entry{file("next", "")}, ImageOptions{})
	for _, size := range []int{8 << 20, 16 << 20, 16<<20 + 4, 24<<20 - 4} {
		body := bytes.Repeat([]byte("lz4 legacy "), 3<<20)[:size-1024]
		plain := image(t, []Entry{{Name: "big", Mode: ModeRegular, Size: int64(len(body)), Body: bytes.NewReader(body)}}, ImageOptions{Method: None})
		plain = append(plain, make([]byte, size-len(plain))...)
		packed := run(t, t.TempDir(), plain, "lz4", "-lc")
		for what, tail := range map[string][]byte{
			"nothing": nil, "zstd": next, "zeros": make([]byte, 512), "a newc archive": append(make([]byte, -len(packed)&3), raw("next", ModeRegular, 1, 1, 0, "")...),
		} {
			got, _ := walkAll(t, append(bytes.Clone(packed), tail...))
			if want := 1 + strings.Count(what, "a newc") + strings.Count(what, "zstd"); len(got) != want || !bytes.Equal([]byte(got[0].Data), body) {
				t.Errorf("%d bytes and %s: %d entries, want %d", size, what, len(got), want)
			}
		}
	}
}
