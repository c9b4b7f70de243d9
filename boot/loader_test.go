package boot

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const blsEntry = "# Boot Loader Specification type#1 entry\ntitle      Debian GNU/Linux 12\nversion    6.1.0\noptions    root=UUID=a ro\n" +
	"options\tquiet  \nlinux      /debian/linux\r\ninitrd     /a\ninitrd     /b\nmachine-id\n"

func TestLoaderFile(t *testing.T) {
	f, err := ParseLoaderFile([]byte(blsEntry))
	if err != nil {
		t.Fatal(err)
	}
	if f.Options() != "root=UUID=a ro quiet" || !cmp.Equal(f.All("initrd"), []string{"/a", "/b"}) {
		t.Errorf("options %q, initrds %q", f.Options(), f.All("initrd"))
	}
	if v, ok := f.Get("linux"); v != "/debian/linux" || !ok {
		t.Errorf("linux %q %v", v, ok)
	}
	if _, ok := f.Get("machine-id"); ok {
		t.Error("a key without value has none")
	}
	for _, err := range []error{f.SetOptions("root=UUID=b ro"), f.Set("linux", "/x"), f.Set("sort-key", "zz")} {
		if err != nil {
			t.Error(err)
		}
	}
	f.Unset("version")
	want := "# Boot Loader Specification type#1 entry\ntitle      Debian GNU/Linux 12\noptions    root=UUID=b ro\n" +
		"linux      /x\r\ninitrd     /a\ninitrd     /b\nmachine-id\nsort-key zz\n"
	if d := cmp.Diff(want, string(f.Bytes())); d != "" {
		t.Error(d)
	}
	for _, v := range []string{"", " a", "a\nb"} {
		if f.Set("k", v) == nil || f.SetOptions(v) == nil {
			t.Errorf("%q accepted", v)
		}
	}
	if d := cmp.Diff(want, string(f.Bytes())); d != "" {
		t.Errorf("changed by a refused value: %s", d)
	}
	loader, _ := ParseLoaderFile([]byte("timeout 3\n#default x\ndefault debian.conf"))
	if err := loader.Set("editor", "no"); err != nil || string(loader.Bytes()) != "timeout 3\n#default x\ndefault debian.conf\neditor no\n" {
		t.Errorf("loader.conf %q, %v", loader.Bytes(), err)
	}
}

func TestEntryName(t *testing.T) {
	for in, want := range map[string]EntryName{
		"debian.conf": {ID: "debian"}, "debian+3.conf": {ID: "debian", Counting: true, Left: 3},
		"/efi/loader/entries/d+0-3.conf": {ID: "d", Counting: true, Done: 3}, "d+x.conf": {ID: "d+x"}, "d+1-.conf": {ID: "d+1-"}, "+1.conf": {ID: "+1"},
	} {
		if got, ok := ParseEntryName(in); !ok || got != want {
			t.Errorf("%s: %+v %v", in, got, ok)
		}
	}
	for _, in := range []string{"debian", ".conf", "x.conf.bak"} {
		if _, ok := ParseEntryName(in); ok {
			t.Errorf("%s is no entry", in)
		}
	}
}

func FuzzLoaderFile(f *testing.F) {
	f.Add([]byte(blsEntry), "root=x")
	f.Fuzz(func(t *testing.T, data []byte, v string) {
		l, err := ParseLoaderFile(data)
		if err != nil {
			return
		}
		if string(l.Bytes()) != string(data) {
			t.Fatal("render is not the identity")
		}
		if l.SetOptions(v) == nil && l.Options() != v {
			t.Fatalf("options %q, want %q", l.Options(), v)
		}
		l.Unset("options")
		if strings.TrimSpace(l.Options()) != "" {
			t.Fatal("still there")
		}
	})
}
