package boot

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func block(t testing.TB, body string) []byte {
	t.Helper()
	b := bytes.Repeat([]byte{'#'}, grubenvSize)
	copy(b, grubenvMagic+body)
	return b
}

func TestGrubenv(t *testing.T) {
	g, err := ParseGrubenv(block(t, "# WARNING: not a variable=x\nsaved_entry=a\\\\b\\\nc\nnext_entry=\nsaved_entry=second\n"))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"saved_entry", "next_entry", "saved_entry"}, g.Keys()); d != "" {
		t.Error(d)
	}
	if v, ok := g.Get("saved_entry"); !ok || v != "second" {
		t.Errorf("saved_entry %q %v", v, ok)
	}
	once := g
	if err := once.Set("saved_entry", "a\\b\nc"); err != nil {
		t.Fatal(err)
	}
	if want := block(t, "# WARNING: not a variable=x\nsaved_entry=a\\\\b\\\nc\nnext_entry=\n"); !bytes.Equal(once.Bytes(), want) {
		t.Errorf("one of two lines is left: %q", once.Bytes())
	}
	if v, ok := once.Get("saved_entry"); !ok || v != "a\\b\nc" {
		t.Errorf("saved_entry %q %v", v, ok)
	}
	if v, ok := g.Get("next_entry"); !ok || v != "" {
		t.Errorf("next_entry %q %v", v, ok)
	}
	if err := g.Set("next_entry", "migrate-init-1"); err != nil {
		t.Fatal(err)
	}
	if err := g.Set("new", `x\y`); err != nil {
		t.Fatal(err)
	}
	g.Unset("saved_entry")
	want := block(t, "# WARNING: not a variable=x\nnext_entry=migrate-init-1\nnew=x\\\\y\n")
	if !bytes.Equal(g.Bytes(), want) {
		t.Errorf("block %q", g.Bytes())
	}
}

func TestGrubenvRefusals(t *testing.T) {
	for want, data := range map[string][]byte{
		"1023 bytes":  block(t, "")[1:],
		"signature":   bytes.Repeat([]byte{'#'}, grubenvSize),
		"no line end": block(t, "a=b"),
		"a=b\\":       block(t, "x=y\na=b\\\n"),
		`"word\n"`:    block(t, "x=y\nword\nnext_entry=1\n"),
		`"\n"`:        block(t, "x=y\n\nnext_entry=1\n"),
		`"=y\n"`:      block(t, "=y\nnext_entry=1\n"),
	} {
		if _, err := ParseGrubenv(data); err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), `\\`, `\`), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	var g Grubenv
	room := grubenvSize - len(grubenvMagic) - len("x=\n")
	if err := g.Set("x", strings.Repeat("v", room)); err != nil {
		t.Errorf("a full block: %v", err)
	}
	before := g.Bytes()
	if err := g.Set("y", ""); !errors.Is(err, ErrGrubenvFull) || !bytes.Equal(before, g.Bytes()) {
		t.Errorf("too much: %v", err)
	}
	if err := g.Set("x", strings.Repeat("\n", room/2+1)); !errors.Is(err, ErrGrubenvFull) {
		t.Errorf("escapes count: %v", err)
	}
	for _, name := range []string{"", "a b", "1x", "a=b", "#a"} {
		if g.Set(name, "") == nil {
			t.Errorf("name %q accepted", name)
		}
	}
	if g.Set("a", "x\x00") == nil {
		t.Error("NUL accepted")
	}
}

// grub-editenv reads what Grubenv writes, and Grubenv reads what grub-editenv writes.
func TestGrubenvOracle(t *testing.T) {
	tool, err := exec.LookPath("grub-editenv")
	if err != nil {
		t.Skip("SKIPPED: grub-editenv is missing (package grub-common)")
	}
	file := filepath.Join(t.TempDir(), "grubenv")
	run := func(args ...string) string {
		out, err := exec.Command(tool, append([]string{file}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
		return string(out)
	}
	run("create")
	run("set", `saved_entry=gnulinux>a\b`, "next_entry=1")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	g, err := ParseGrubenv(data)
	if err != nil {
		t.Fatal(err)
	}
	if v, _ := g.Get("saved_entry"); v != `gnulinux>a\b` || !bytes.Equal(g.Bytes(), data) {
		t.Errorf("read %q", v)
	}
	if err := g.Set("saved_entry", `longer than before \ with blanks`); err != nil {
		t.Fatal(err)
	}
	g.Unset("next_entry")
	if err := g.Set(TriedVariable, "plan-1"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, g.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff("saved_entry=longer than before \\ with blanks\n"+TriedVariable+"=plan-1\n", dropComments(run("list"))); d != "" {
		t.Error(d)
	}
	run("set", "after=1")
	if d := cmp.Diff("after=1\n", strings.SplitAfter(run("list"), "plan-1\n")[1]); d != "" {
		t.Error(d)
	}
}

func dropComments(s string) string {
	var b strings.Builder
	for l := range strings.Lines(s) {
		if !strings.HasPrefix(l, "#") {
			b.WriteString(l)
		}
	}
	return b.String()
}

func TestGrubenvModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g, model := NewGrubenv(), map[string]string{}
		for range rapid.IntRange(1, 20).Draw(t, "n") {
			k := rapid.SampledFrom([]string{"a", "ab", "next_entry"}).Draw(t, "k")
			v := rapid.StringMatching(`[a#=\\\n]{0,200}`).Draw(t, "v")
			if rapid.Bool().Draw(t, "unset") {
				g.Unset(k)
				delete(model, k)
			} else if g.Set(k, v) == nil {
				model[k] = v
			}
		}
		g, err := ParseGrubenv(g.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if len(g.Keys()) != len(model) {
			t.Fatalf("keys %v, want %v", g.Keys(), model)
		}
		for k, want := range model {
			if v, ok := g.Get(k); !ok || v != want {
				t.Fatalf("%s: %q, want %q", k, v, want)
			}
		}
	})
}

func FuzzGrubenv(f *testing.F) {
	f.Add(block(f, "saved_entry=1\nx=\\\\\\\n\n"), "next_entry", "v")
	f.Add(block(f, "next_entry=1\n# c\nnext_entry=2\nnext_entry=3\n"), "next_entry", "v")
	f.Fuzz(func(t *testing.T, data []byte, name, value string) {
		g, err := ParseGrubenv(data)
		if err != nil {
			return
		}
		if !bytes.Equal(g.Bytes(), data) {
			t.Fatal("render is not the identity")
		}
		if g.Set(name, value) == nil {
			again, err := ParseGrubenv(g.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			if v, ok := again.Get(name); !ok || v != value {
				t.Fatalf("%q: %q, want %q", name, v, value)
			}
			n := 0
			for _, k := range again.Keys() {
				if k == name {
					n++
				}
			}
			if n != 1 {
				t.Fatalf("%q is there %d times", name, n)
			}
		}
		g.Unset(name)
		if _, ok := g.Get(name); ok {
			t.Fatal("still there")
		}
	})
}
