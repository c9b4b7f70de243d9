package fstab

import "strings"

// Options is a comma-separated option list, unescaped. Commas inside double quotes (SELinux contexts) do not separate.
type Options string

// list splits the options in order; empty ones are left out.
func (o Options) list() []string {
	var out []string
	quoted, start := false, 0
	for i := 0; i <= len(o); i++ {
		switch {
		case i < len(o) && o[i] == '"':
			quoted = !quoted
		case i == len(o) || o[i] == ',' && !quoted:
			if i > start {
				out = append(out, string(o[start:i]))
			}
			start = i + 1
		}
	}
	return out
}

// get returns the value of the last option of that name ("" for one without value) and whether there is one.
func (o Options) get(name string) (string, bool) {
	value, found := "", false
	for _, opt := range o.list() {
		if k, v, _ := strings.Cut(opt, "="); k == name {
			value, found = v, true
		}
	}
	return value, found
}

// Has reports whether an option of that name is there.
func (o Options) Has(name string) bool {
	_, ok := o.get(name)
	return ok
}

// IsBind reports whether the entry binds a directory to another place (option bind or rbind).
func (e Entry) IsBind() bool { return e.Options.Has("bind") || e.Options.Has("rbind") }
