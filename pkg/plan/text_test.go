package plan

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// Latin-1 is in names of old systems. Each is kept where that is safe, or named with its bytes.
func TestNewNamesWhatIsNotUTF8(t *testing.T) {
	const latin1 = "caf\xe9"
	for _, c := range []struct {
		name   string
		change func(f *Facts)
		noun   string
		text   string
	}{
		{"mount point", func(f *Facts) { withMount(f, 1, "44", "/srv/"+latin1, 0) }, "mount point of /dev/vda4", `"/srv/caf\xe9"`},
		{"spec", func(f *Facts) { withMount(f, 1, "44", "/srv", 0); f.Fstab[2].Spec = "LABEL=" + latin1 }, "first field of the line in fstab of /dev/vda4", `"LABEL=caf\xe9"`},
		{"spec of swap", func(f *Facts) { f.Fstab[1].Spec = "LABEL=" + latin1 }, "first field of the line in fstab of /dev/vda3", `"LABEL=caf\xe9"`},
		{"kernel", func(f *Facts) { f.Boot.Kernels[0].Path += latin1 }, "kernel image", `amd64caf\xe9"`},
		{"setting of the boot loader", func(f *Facts) { f.Boot.Own = []byte(`{"place":"/boot/caf` + "\xe9" + `"}`) }, "", ""},
	} {
		f := good()
		c.change(f)
		p, found, err := New(wish(), f)
		if c.text == "" {
			if err == nil {
				_, err = p.Encode()
			}
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err == nil {
			t.Errorf("%s: no error", c.name)
			continue
		}
		want(t, found, Refuse, "plan.text", c.noun, c.text, "UTF-8")
		if n := len(found.Refusals()); n != 1 {
			t.Errorf("%s: refused %d times: %v", c.name, n, found.Refusals())
		}
	}
}

// What is not needed as it is does not stand in the way.
func TestNewKeepsWhatIsNotUTF8(t *testing.T) {
	f := good()
	f.Kernel.Params = append(f.Kernel.Params, Param{Key: "foo", Value: "caf\xe9", Raw: "foo=caf\xe9"})
	f.Fstab[0].Options += ",x-caf\xe9"
	f.Machine.Hostname = "h?st.example" // as survey has it of a name with odd bytes
	p, found, err := New(wish(), f)
	if err != nil {
		t.Fatal(err)
	}
	want(t, found, Warn, "plan.boot", "kernel parameter", `"foo=caf\xe9"`)
	if _, err := p.Encode(); err != nil {
		t.Error(err)
	}
	if name := p.Target.Arrays()[0].MD.Name; name != "any:root" {
		t.Errorf("array %q", name)
	}
}

// TestEveryTextOfFacts puts odd bytes into each text of the facts in turn: they do not get into a plan, and what is refused
// for them is named with them.
func TestEveryTextOfFacts(t *testing.T) {
	const odd = "\xe9\xe8"
	fresh := func() *Facts {
		f := good()
		withMount(f, 1, "11111111-0000-0000-0000-000000000004", "/srv", 0)
		return f
	}
	count := func(f *Facts, change int) (n int) {
		eachText(reflect.ValueOf(f).Elem(), func(s reflect.Value) {
			if n++; n == change {
				s.SetString(s.String() + odd)
			}
		})
		return n
	}
	all, planned, refused := count(fresh(), 0), 0, 0
	for i := 1; i <= all; i++ {
		f := fresh()
		count(f, i)
		p, found, err := New(wish(), f)
		if err == nil {
			planned++
			visitTexts(reflect.ValueOf(*p), "", "", func(field, _, text string) {
				if !utf8.ValidString(text) {
					t.Errorf("text %d: the plan's %s is %q", i, field, text)
				}
			})
			continue
		}
		for _, x := range found.Refusals() {
			if x.ID == "plan.text" {
				refused++
				if !strings.Contains(x.Detail, `\xe9\xe8`) {
					t.Errorf("text %d: %v", i, x)
				}
			}
		}
	}
	if planned < 10 || refused < 3 {
		t.Errorf("%d of %d texts: planned, %d refused for being no UTF-8", planned, all, refused)
	}
}

// eachText visits every text in facts, but for the rules.
func eachText(v reflect.Value, visit func(reflect.Value)) {
	switch v.Kind() {
	case reflect.String:
		visit(v)
	case reflect.Pointer:
		if !v.IsNil() {
			eachText(v.Elem(), visit)
		}
	case reflect.Slice:
		for i := range v.Len() {
			eachText(v.Index(i), visit)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[Rules]() {
			return
		}
		for i := range v.NumField() {
			eachText(v.Field(i), visit)
		}
	case reflect.Bool, reflect.Int, reflect.Int64, reflect.Uint8, reflect.Uint32, reflect.Uint64:
	default:
		panic(fmt.Sprintf("facts have a field of kind %s", v.Kind()))
	}
}
