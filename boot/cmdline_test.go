package boot

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCmdline(t *testing.T) {
	c := ParseCmdline("BOOT_IMAGE=/vmlinuz root=UUID=a=b ro  quiet\trd.md.uuid=1 rd.md-uuid=x rd_md.uuid=no rd.md.uuid=2 " +
		`dyndbg="file x.c +p" "note=a b" md-mod.start_dirty_degraded=1 console=ttyS0 rw -- single x="1 2"` + "\n")
	type kv struct {
		Key, Value string
		Bare       bool
	}
	var got []kv
	for _, p := range c.Params {
		got = append(got, kv{p.Key, p.Value, p.Bare})
	}
	want := []kv{
		{"BOOT_IMAGE", "/vmlinuz", false}, {"root", "UUID=a=b", false}, {"ro", "", true}, {"quiet", "", true},
		{"rd.md.uuid", "1", false}, {"rd.md-uuid", "x", false}, {"rd_md.uuid", "no", false}, {"rd.md.uuid", "2", false},
		{"dyndbg", "file x.c +p", false}, {"note", "a b", false}, {"md-mod.start_dirty_degraded", "1", false},
		{"console", "ttyS0", false}, {"rw", "", true},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"single", "x=1 2"}, c.Init); d != "" {
		t.Error(d)
	}
	if v := c.All("rd.md.uuid"); !cmp.Equal(v, []string{"1", "2"}) {
		t.Errorf("all: %v", v)
	}
	if v, ok := c.Get("md_mod.start-dirty-degraded"); v != "1" || !ok {
		t.Errorf("dashes: %q %v", v, ok)
	}
	if _, ok := c.Get("single"); ok {
		t.Error("a word for init was taken as the kernel's")
	}
}

// The corner cases of lib/cmdline.c.
func TestCmdlineQuotes(t *testing.T) {
	for in, want := range map[string]Param{
		`foo="`:     {Key: "foo"},
		`"`:         {Bare: true},
		`""`:        {Bare: true},
		`foo="a`:    {Key: "foo", Value: "a"},
		`"foo=a`:    {Key: "foo", Value: "a"},
		`"foo="a"`:  {Key: "foo", Value: "a"},
		`"a b"`:     {Key: "a b", Bare: true},
		`=x`:        {Key: "=x", Bare: true},
		`=a=b`:      {Key: "=a", Value: "b"},
		`a"b c"d`:   {Key: `a"b c"d`, Bare: true},
		`foo=a"b c`: {Key: "foo", Value: `a"b c`},
	} {
		c := ParseCmdline(in)
		if len(c.Params) != 1 {
			t.Errorf("%s: %d parameters", in, len(c.Params))
			continue
		}
		want.Raw = in
		if d := cmp.Diff(want, c.Params[0]); d != "" {
			t.Errorf("%s: %s", in, d)
		}
	}
}

// A change of words leaves the blanks and the other words unchanged.
func TestEditCmdline(t *testing.T) {
	got := EditCmdline(" a  \"root=LABEL=x y\"\tdyndbg=\"root=z\" root=z\n", func(p Param) string {
		if p.Key == "root" {
			return "root=NEW"
		}
		return p.Raw
	})
	if want := " a  root=NEW\tdyndbg=\"root=z\" root=NEW\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := ParseCmdline(`a "b c" d="e f" -- g`).Words(); !cmp.Equal(got, []string{"a", "b c", "d=e f"}) {
		t.Errorf("words %q", got)
	}
}

func FuzzCmdline(f *testing.F) {
	f.Add("root=/dev/sda1 ro \"a b\" c=\"d e\" -- single")
	f.Add("foo=\"")
	f.Fuzz(func(t *testing.T, s string) {
		c := ParseCmdline(s)
		var raw []string
		for _, p := range c.Params {
			raw = append(raw, p.Raw)
		}
		// The words alone, joined by one blank, mean the same.
		again := ParseCmdline(strings.Join(raw, " "))
		if d := cmp.Diff(c.Params, again.Params); d != "" {
			t.Fatal(d)
		}
	})
}
