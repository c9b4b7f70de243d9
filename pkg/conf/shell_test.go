package conf

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const grubDefault = `# If you change this file, run 'update-grub' afterwards
GRUB_DEFAULT=0
GRUB_TIMEOUT=5
GRUB_DISTRIBUTOR=` + "`( . /etc/os-release; echo ${NAME:-Debian} ) 2>/dev/null || echo Debian`" + `
GRUB_CMDLINE_LINUX_DEFAULT="quiet"   # trailing words
GRUB_CMDLINE_LINUX="root=UUID=\"x\" \$y"
export GRUB_TERMINAL='serial console'
#GRUB_GFXMODE=640x480
EMPTY=
TWICE=1; TWICE=2
if true; then LATE=1; fi
LATE=plain
`

func TestGet(t *testing.T) {
	for key, want := range map[string]string{
		"GRUB_DEFAULT": "0", "GRUB_CMDLINE_LINUX_DEFAULT": "quiet", "GRUB_CMDLINE_LINUX": `root=UUID="x" $y`,
		"GRUB_TERMINAL": "serial console", "EMPTY": "", "TWICE": "2", "LATE": "plain",
	} {
		if v, found, err := Get([]byte(grubDefault), key); err != nil || !found || v != want {
			t.Errorf("%s: %q %v %v, want %q", key, v, found, err, want)
		}
	}
	if _, found, err := Get([]byte(grubDefault), "GRUB_GFXMODE"); found || err != nil {
		t.Errorf("a comment was read: %v %v", found, err)
	}
	if _, _, err := Get([]byte(grubDefault), "GRUB_DISTRIBUTOR"); !errors.Is(err, ErrDynamic) || !strings.Contains(err.Error(), "line 4") {
		t.Errorf("command substitution: %v", err)
	}
}

func TestSet(t *testing.T) {
	for _, c := range []struct{ name, key, value, before, after string }{
		{"double quotes", "A", `root="x" $y`, "A=\"b\" # c\n", "A=\"root=\\\"x\\\" \\$y\" # c\n"},
		{"single quotes", "A", "b c", "A='b'\n", "A='b c'\n"},
		{"single quotes cannot", "A", "it's", "A='b'\n", "A=\"it's\"\n"},
		{"bare", "A", "1-2", "A=5\n", "A=1-2\n"},
		{"bare cannot", "A", "1 2", "A=5\n", "A=\"1 2\"\n"},
		{"empty", "A", "x", "A=\nB=1\n", "A=x\nB=1\n"},
		{"to empty", "A", "", "A=5\n", "A=\"\"\n"},
		{"several words", "A", "x", "A=5'6'\"7\"; B=2\n", "A=x; B=2\n"},
		{"exported", "A", "y", "export B=1 A=x\n", "export B=1 A=y\n"},
		{"last wins", "A", "y", "A=1\nA=2\n", "A=1\nA=y\n"},
		{"same value keeps spelling", "A", "5", "A='5'\n", "A='5'\n"},
		{"absent", "RESUME", "UUID=x", "# c\nB=1", "# c\nB=1\nRESUME=\"UUID=x\"\n"},
		{"empty file", "RESUME", "none", "", "RESUME=\"none\"\n"},
		{"continued line", "A", "z", "A=\"x \\\n y\"\nB=1\n", "A=\"z\"\nB=1\n"},
	} {
		got, err := Set([]byte(c.before), c.key, c.value)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if d := cmp.Diff(c.after, string(got)); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
	}
}

// A value that is known only by running the file is refused, with the line.
func TestDynamic(t *testing.T) {
	for _, in := range []string{
		"A=$B", "A=\"x $B\"", "A=$(cmd)", "A=1\nA+=2", "if x; then A=1; fi", "x && A=1", "A=1\nx || A=2", "A=1\n. /etc/other",
		"A=1\n[ -f x ] && . ./x", "A=1\neval \"$x\"", "A=1\nunset A", ": ${A:=1}", "A=1\nread A", "for A in 1 2; do :; done", "f() { A=1; }",
		"A=1\nexport A=$x", "A=1\n\"$cmd\" A", "A=1 cmd", "A=1\n( A=2 )", "A=1 &", "A=1\nA=2 > /dev/null", "B=${A:=1}", "A=~/x$B",
		"A=$'x'", "A=(1 2)", ": $((A=1))", ": $((A++))", "declare A=1", "A='x'$B",
		"A=~", "A=~/x", "A=/a:~/x", "A=x\r", "A=\"x\r\n y\"", "A='x'\r", "B=1\rA=2", "A=\xe9", "A='\xe9'", "A=1\ncommand eval \"$x\"", "A=1\nbuiltin read A",
	} {
		data := []byte("# c\n" + in + "\n")
		if v, found, err := Get(data, "A"); !errors.Is(err, ErrDynamic) || !strings.Contains(err.Error(), "line ") {
			t.Errorf("%q: %q %v %v", in, v, found, err)
		}
		if out, err := Set(data, "A", "new"); err == nil {
			t.Errorf("%q: became %q", in, out)
		}
		// Another variable stays known, unless the line reads in other text.
		if !strings.Contains(in, "x\"") && !strings.Contains(in, ". ") && !strings.Contains(in, "$cmd") && !strings.Contains(in, ". ./") {
			if _, found, err := Get(append([]byte("OTHER=1\n"), data...), "OTHER"); !found || err != nil {
				t.Errorf("%q puts OTHER in doubt: %v", in, err)
			}
		}
		// An assignment after all of it counts.
		if v, _, err := Get(append(data, "A=end\n"...), "A"); err != nil || v != "end" {
			t.Errorf("%q then A=end: %q %v", in, v, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	for want, in := range map[string]string{"not shell": "A=\"x\n", "NUL": "A=1\x00", "not a shell name": ""} {
		key := "A"
		if in == "" {
			key = "A B"
		}
		if _, err := Set([]byte(in), key, "1"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if _, err := Set([]byte("B=1\\"), "A", "2"); err == nil || !strings.Contains(err.Error(), "cannot be read back") && !strings.Contains(err.Error(), "would read as") {
		t.Errorf("an addition to a continued line: %v", err)
	}
	if _, err := Set(nil, "A", "\xbd"); err == nil {
		t.Error("invalid UTF-8 accepted, and then unreadable")
	}
	if _, err := Set(nil, "A", "a\nb"); err == nil {
		t.Error("line end accepted")
	}
}

// Invalid UTF-8 or a carriage return affects only the value in which it occurs.
func TestOddBytes(t *testing.T) {
	const in = "# \xe9t\xe9\r\nB='\xff'\r\nA=1 # \xfc\nC=2\r\n"
	if v, found, err := Get([]byte(in), "A"); v != "1" || !found || err != nil {
		t.Errorf("%q %v %v", v, found, err)
	}
	got, err := Set([]byte(in), "A", "x y")
	if want := strings.Replace(in, "A=1", `A="x y"`, 1); err != nil || string(got) != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	if _, _, err := Get([]byte(in), "A\x7f"); err != nil {
		t.Error(err)
	}
}

// The parser is recursive: endless nesting must be an error, because a stack overflow cannot be recovered.
func TestNesting(t *testing.T) {
	for _, open := range []string{"(", "{ ", "$(", "`", "\"$(", "${A:-", "$((", "((", "[[ ! ", "[[ (", "if ", "while ", "f()", "! ", "A=(", "case x in x) ", "<(", "a|", "time ", "@(", "${a[", "$(( (", "<<E $("} {
		in := []byte(strings.Repeat(open, maxSize/len(open)))
		if _, found, err := Get(in, "B"); found || err == nil && !strings.Contains("f()! time ", open) {
			t.Errorf("%q nested %d times: %v %v", open, len(in)/len(open), found, err)
		}
	}
}

// The shell itself reads what Set wrote.
func TestShellOracle(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("SKIPPED: sh is missing")
	}
	for _, before := range []string{"", "A=1\n", "A='1'\n", "A=\"1\"\n", "B=2"} {
		for _, v := range []string{"", "a b", `it's "q" \ $x`, "`id`", "!x", "~", "*", "#", "é", `a\nb`, "a=b;c&d|e"} {
			out, err := Set([]byte(before), "A", v)
			if err != nil {
				t.Errorf("%q: %v", v, err)
				continue
			}
			got, err := exec.Command(sh, "-c", string(out)+"printf %s \"$A\"").Output()
			if err != nil || string(got) != v {
				t.Errorf("%q was written %q and read %q, %v", v, out, got, err)
			}
		}
	}
}

func TestSetModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.StringMatching("[ -~\u00e9\t]{0,20}").Draw(t, "v")
		before := rapid.SampledFrom([]string{grubDefault, "", "TWICE=1", "TWICE='x'"}).Draw(t, "before")
		out, err := Set([]byte(before), "TWICE", v)
		if err != nil {
			t.Fatal(err)
		}
		if got, found, err := Get(out, "TWICE"); err != nil || !found || got != v {
			t.Fatalf("%q was read as %q, %v", v, got, err)
		}
		for _, key := range []string{"LATE", "GRUB_CMDLINE_LINUX"} {
			a, _, _ := Get([]byte(before), key)
			b, _, err := Get(out, key)
			if err != nil || a != b {
				t.Fatalf("%s was %q and is %q, %v", key, a, b, err)
			}
		}
	})
}

func FuzzShell(f *testing.F) {
	f.Add([]byte(grubDefault), "LATE", "x y")
	f.Add([]byte("A=1\\\n2\nexport A\n"), "A", "'")
	f.Fuzz(func(t *testing.T, data []byte, key, value string) {
		old, found, err := Get(data, key)
		if err != nil {
			return
		}
		out, err := Set(data, key, value)
		if err != nil {
			return
		}
		if got, ok, err := Get(out, key); !ok || err != nil || got != value {
			t.Fatalf("%q was read as %q, %v", value, got, err)
		}
		if found && old == value && !bytes.Equal(out, data) {
			t.Fatal("setting the same value changed bytes")
		}
	})
}
