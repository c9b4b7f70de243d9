package lvm

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Every form of a value, as libdm reads it.
func TestTextForms(t *testing.T) {
	root, err := parseText([]byte(`# a comment
a = "quoted \"word\" and \\ and \n"	# behind
b='it''s'
`))
	if err == nil {
		t.Errorf("two strings in a row: %+v", root)
	}
	root, err = parseText([]byte("\n# a comment\n" + `a = "quoted \"word\" and \\ and \n"	# behind
b='single \" # x'
c{d=-7 e=+8 f=010 g=0 h=1.5 i=-.5 j=word}k=[]l=[1,'2', 3.0 ,]
m.n+o-p_q = ["two
lines"] creation_time = 99999999999999999999` + "\x00\x00"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, s := range append(root.sections, root) {
		for k, v := range s.values {
			got[k] = fmt.Sprint(v.list, len(v.items))
			for _, i := range v.items {
				got[k] += fmt.Sprintf(" %d %s %d %g;", i.kind, i.text, i.whole, i.real)
			}
		}
	}
	want := map[string]string{
		"a": `false1 0 quoted "word" and \ and \n 0 0;`, "b": `false1 0 single \" # x 0 0;`,
		"d": "false1 1  -7 0;", "e": "false1 1  8 0;", "f": "false1 1  8 0;", "g": "false1 1  0 0;", "h": "false1 2  0 1.5;", "i": "false1 2  0 -0.5;",
		"j": "false1 0 word 0 0;", "k": "true0", "l": "true3 1  1 0; 0 2 0 0; 2  0 3;", "m.n+o-p_q": "true1 0 two\nlines 0 0;", "creation_time": "false1 1  0 0;",
	}
	for k := range want {
		want[k] = strings.Replace(strings.Replace(want[k], "false1", "false 1", 1), "true", "true ", 1)
		got[k] = strings.Replace(strings.Replace(got[k], "false1", "false 1", 1), "true  ", "true ", 1)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// What parseText refuses, with the line.
func TestTextRefused(t *testing.T) {
	for text, want := range map[string]string{
		"a":                                 "line 1: neither { nor = after a",
		"\na = ":                            "line 2: the text ends in the value of a",
		"a = \"x\ny":                        "line 1: a string without an end",
		"a = 'x":                            "a string without an end",
		"a = \"x\x00y\"":                    "a string with a NUL",
		"a = 1\x00b = 2":                    `'\x00' where a name is expected`,
		"a = 1 a = 2":                       "a occurs twice",
		"a { } a = 2":                       "a occurs twice",
		"a {\n\nb = 1":                      "line 3: section a, which begins in line 1, has no end",
		"}":                                 "where a name is expected",
		"a/b = 1":                           "neither { nor = after a",
		`"a" = 1`:                           "where a name is expected",
		"a = [1 2]":                         "neither , nor ] in the list of a",
		"a = [1":                            "neither , nor ] in the list of a",
		"a = [,]":                           "',' where the value of a is expected",
		"a = 09":                            "a = 09: not an integer of 64 bits",
		"a = -":                             "a = -: not an integer of 64 bits",
		"a = .":                             "a = .: not a number",
		"a = 9223372036854775808":           "not an integer of 64 bits",
		"a = 1e5":                           "neither { nor = after e5",
		"a = {":                             "'{' where the value of a is expected",
		strings.Repeat("a{", 17):            "sections are nested deeper than 16",
		"a=[" + strings.Repeat("1,", 1<<19): "more than 524288 sections and values",
		strings.Repeat(" ", 16<<20+1):       "16777217 bytes are more than the 16777216 accepted",
	} {
		_, err := parseText([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", text, err, want)
		}
	}
}

// render is the inverse of parseText, except for the line numbers; the program itself writes no such text.
func render(s *section, b *strings.Builder) {
	for name, v := range s.values {
		var items []string
		for _, i := range v.items {
			switch i.kind {
			case text:
				items = append(items, `"`+strings.NewReplacer(`"`, `\"`, `\`, `\\`).Replace(i.text)+`"`)
			case whole:
				items = append(items, strconv.FormatInt(i.whole, 10))
			case real:
				items = append(items, strconv.FormatFloat(i.real, 'f', 6, 64))
			}
		}
		all := strings.Join(items, ", ")
		if v.list {
			all = "[" + all + "]"
		}
		fmt.Fprintf(b, "%s = %s # %s\n", name, all, "{ = \"")
	}
	for _, sub := range s.sections {
		fmt.Fprintf(b, "%s {\n", sub.name)
		render(sub, b)
		b.WriteString("}\n")
	}
}

func drawSection(t *rapid.T, depth int) *section {
	s := &section{}
	names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-zA-Z0-9_.+-]{1,6}`), 0, 6, rapid.ID).Draw(t, "names")
	for _, n := range names {
		if depth < 4 && rapid.Bool().Draw(t, "section") {
			sub := drawSection(t, depth+1)
			sub.name = n
			s.sections = append(s.sections, sub)
			continue
		}
		v := value{list: rapid.Bool().Draw(t, "list")}
		count := 1
		if v.list {
			count = rapid.IntRange(0, 4).Draw(t, "count")
		}
		for range count {
			i := item{kind: rapid.SampledFrom([]kind{text, whole, real}).Draw(t, "kind")}
			switch i.kind {
			case text:
				i.text = rapid.StringMatching(`[a-z\\"'{}#=\n \x{80}-\x{ff}]{0,9}`).Draw(t, "text")
			case whole:
				i.whole = rapid.Int64().Draw(t, "whole")
			case real:
				i.real = float64(rapid.Int32().Draw(t, "real")) / 64
			}
			v.items = append(v.items, i)
		}
		if s.values == nil {
			s.values = map[string]value{}
		}
		s.values[n] = v
	}
	return s
}

func TestTextRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawSection(t, 0)
		var b strings.Builder
		render(want, &b)
		got, err := parseText([]byte(b.String()))
		if err != nil {
			t.Fatalf("%v\n%s", err, b.String())
		}
		same := cmp.AllowUnexported(section{}, value{}, item{})
		lines := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".line" }, cmp.Ignore())
		if d := cmp.Diff(want, got, same, lines); d != "" {
			t.Fatalf("%s\n%s", d, b.String())
		}
	})
}
