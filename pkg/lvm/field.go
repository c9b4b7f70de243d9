package lvm

import "fmt"

// fields reads the values of a section, and keeps the first error.
type fields struct {
	s   *section
	err error
}

func (f *fields) fail(line int, format string, args ...any) {
	if f.err == nil {
		f.err = &SyntaxError{line, fmt.Sprintf(format, args...)}
	}
}

// want returns the single item of a kind; ok is false if the value is missing, which is an error unless it is optional.
func (f *fields) want(name string, k kind, optional bool) (item, bool) {
	v, there := f.s.values[name]
	switch {
	case !there && optional:
		return item{}, false
	case !there:
		f.fail(f.s.line, "section %s has no %s", f.s.name, name)
	case v.list || v.items[0].kind != k:
		f.fail(v.line, "%s of %s is not a single %s", name, f.s.name, map[kind]string{text: "string", whole: "integer"}[k])
	default:
		return v.items[0], true
	}
	return item{}, false
}

func (f *fields) text(name string) string {
	it, _ := f.want(name, text, false)
	return it.text
}

func (f *fields) optional(name string) string {
	it, _ := f.want(name, text, true)
	return it.text
}

func (f *fields) id() ID {
	it, ok := f.want("id", text, false)
	if !ok {
		return ID{}
	}
	id, err := ParseID(it.text)
	if err != nil {
		f.fail(f.s.values["id"].line, "%s: %v", f.s.name, err)
	}
	return id
}

// count reads a number that LVM keeps in 32 bits.
func (f *fields) count(name string) int64 {
	return f.number(name, 1<<32-1, false)
}

func (f *fields) optionalCount(name string) int64 {
	return f.number(name, 1<<32-1, true)
}

// sectors reads a number of sectors that LVM keeps in 64 bits, and returns it in bytes.
func (f *fields) sectors(name string, optional bool) int64 {
	return f.number(name, (1<<63-1)/sector, optional) * sector
}

func (f *fields) number(name string, most int64, optional bool) int64 {
	it, ok := f.want(name, whole, optional)
	if ok && (it.whole < 0 || it.whole > most) {
		f.fail(f.s.values[name].line, "%s of %s is %d", name, f.s.name, it.whole)
		return 0
	}
	return it.whole
}

// words reads a list of strings; a single string is a list of one, as in LVM.
func (f *fields) words(name string, optional bool) []string {
	v, there := f.s.values[name]
	if !there && !optional {
		f.fail(f.s.line, "section %s has no %s", f.s.name, name)
	}
	var out []string
	for _, it := range v.items {
		if it.kind != text {
			f.fail(v.line, "%s of %s is not a list of strings", name, f.s.name)
			return nil
		}
		out = append(out, it.text)
	}
	return out
}

// has reports whether the section has a value of that name.
func (f *fields) has(name string) bool {
	_, ok := f.s.values[name]
	return ok
}

// section returns the subsection of that name, or nil.
func (s *section) section(name string) *section {
	for _, sub := range s.sections {
		if sub.name == name {
			return sub
		}
	}
	return nil
}
