package fstab

import "strings"

// Options is a comma-separated option list, unescaped. Commas inside double quotes (SELinux contexts) do not separate
// options.
type Options string

// List splits the options in order, without empty ones.
func (o Options) List() []string {
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

// get returns the value of the last option with that name ("" if it has no value), and whether there is one.
func (o Options) get(name string) (string, bool) {
	value, found := "", false
	for _, opt := range o.List() {
		if k, v, _ := strings.Cut(opt, "="); k == name {
			value, found = v, true
		}
	}
	return value, found
}

// Has reports whether there is an option with that name.
func (o Options) Has(name string) bool {
	_, ok := o.get(name)
	return ok
}

// IsBind reports whether the entry is a bind mount (option bind or rbind).
func (e Entry) IsBind() bool { return e.Options.Has("bind") || e.Options.Has("rbind") }
