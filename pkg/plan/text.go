package plan

import (
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"
)

// texts refuses what a plan cannot hold: TOML is UTF-8. A name in another encoding (Latin-1) would end as a broken seal,
// which says nothing of where it came from.
func (b *builder) texts() {
	b.id = "plan.text"
	told := map[string]bool{}
	visitTexts(reflect.ValueOf(*b.p), "", "", func(field, owner, text string) {
		if utf8.ValidString(text) || told[text] {
			return
		}
		told[text] = true
		noun, fix := textWords(field)
		b.refuse(joinedBy(" of ", noun, owner), fix, "%q is not UTF-8, and a plan cannot hold it", text)
	})
}

// textWords says what a field of the plan is called elsewhere, and how to change it there.
func textWords(field string) (noun, fix string) {
	switch field[strings.LastIndexByte(field, '.')+1:] {
	case "mount":
		return "mount point", "give the directory a name in UTF-8 (mv), and write that into /etc/fstab"
	case "spec":
		return "first field of the line in fstab", "write UUID= there; blkid shows it"
	case "label":
		return "label", "give it another label"
	case "kernel":
		return "kernel image", "give the file a name in UTF-8"
	}
	return "field " + field, "give it a name in UTF-8"
}

// visitTexts calls visit for every text in a plan: with its name as the file has it, and the device that it is about.
func visitTexts(v reflect.Value, field, owner string, visit func(field, owner, text string)) {
	switch v.Kind() {
	case reflect.String:
		visit(field, owner, v.String())
	case reflect.Pointer:
		if !v.IsNil() {
			visitTexts(v.Elem(), field, owner, visit)
		}
	case reflect.Slice:
		for i := range v.Len() {
			visitTexts(v.Index(i), field, owner, visit)
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			visitTexts(v.MapIndex(k), field+"."+fmt.Sprint(k), owner, visit)
		}
	case reflect.Struct:
		if n, ok := v.Interface().(Node); ok {
			owner = n.Was
		}
		for i := range v.NumField() {
			t := v.Type().Field(i)
			if !t.IsExported() {
				continue // of a type that is not ours, such as a time
			}
			name, _, _ := strings.Cut(t.Tag.Get("toml"), ",")
			if name != "" {
				name = "." + name
			}
			visitTexts(v.Field(i), strings.TrimPrefix(field+name, "."), owner, visit)
		}
	}
}
