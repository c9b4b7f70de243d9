package fstab

import (
	"slices"
	"strings"
)

// Options is a comma-separated option list, unescaped. Commas inside double quotes (SELinux contexts) do not separate.
type Options string

// List splits the options in order; empty ones are left out.
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

// Get returns the value of the last option of that name ("" for one without value) and whether there is one.
func (o Options) Get(name string) (string, bool) {
	value, found := "", false
	for _, opt := range o.List() {
		if k, v, _ := strings.Cut(opt, "="); k == name {
			value, found = v, true
		}
	}
	return value, found
}

// Has reports whether an option of that name is there.
func (o Options) Has(name string) bool {
	_, ok := o.Get(name)
	return ok
}

// With adds an option ("nofail", "size=1G") unless exactly this one is there; "defaults" alone is replaced.
func (o Options) With(opt string) Options {
	l := o.List()
	switch {
	case slices.Contains(l, opt):
		return o
	case len(l) == 0 || len(l) == 1 && l[0] == "defaults":
		return Options(opt)
	}
	return Options(strings.TrimRight(string(o), ",") + "," + opt)
}

// Without drops every option of that name; nothing left is "defaults".
func (o Options) Without(name string) Options {
	l := o.List()
	n := len(l)
	l = slices.DeleteFunc(l, func(opt string) bool {
		k, _, _ := strings.Cut(opt, "=")
		return k == name
	})
	switch len(l) {
	case n:
		return o
	case 0:
		return "defaults"
	}
	return Options(strings.Join(l, ","))
}

// IsSwap reports whether the entry is a swap area.
func (e Entry) IsSwap() bool { return e.VFSType == "swap" }

// IsBind reports whether the entry binds a directory to another place (option bind or rbind).
func (e Entry) IsBind() bool { return e.Options.Has("bind") || e.Options.Has("rbind") }

// NoFail reports whether booting goes on when the device is missing: nofail, or noauto, which never waits for it.
func (e Entry) NoFail() bool { return e.Options.Has("nofail") || e.Options.Has("noauto") }

// IsRoot reports whether the entry is the root filesystem.
func (e Entry) IsRoot() bool { return e.File == "/" && !e.IsSwap() }
