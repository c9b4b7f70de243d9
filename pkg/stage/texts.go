package stage

import (
	"bytes"

	"migrate-init/pkg/distro"
	"migrate-init/pkg/fstab"
	"migrate-init/pkg/loader"
	"migrate-init/pkg/plan"
)

// rewriting says what brings the new system's names into a text.
type rewriting int

const (
	here      rewriting = iota // settings, the step that rewrites people's texts
	byStep                     // another step of Rewrites
	byProgram                  // a program of the new system, which writes the text again from the others
)

// text is a kind of file of the new system in which devices are named.
type text struct {
	loader.Setting
	by rewriting
}

// units replaces devices in What= of systemd's units, which wants a path. No other text has such a line.
func units(to loader.Renames, b []byte) []byte {
	var out []byte
	for line := range bytes.Lines(b) {
		what, ok := bytes.CutPrefix(line, []byte("What="))
		if ok {
			if id := to.Becomes(fstab.ParseSpec(string(bytes.TrimSpace(what)))); id != "" {
				line = []byte("What=/dev/disk/by-uuid/" + id + "\n")
			}
		}
		out = append(out, line...)
	}
	return out
}

// texts is every file of the new system that is searched for names of the old one. What is searched is rewritten, and what
// is rewritten is searched: rewrite and prove both go by this list.
func texts(l loader.Loader, sys distro.System) []text {
	var out []text
	add := func(by rewriting, list ...loader.Setting) {
		for _, x := range list {
			out = append(out, text{x, by})
		}
	}
	add(here, l.Settings...)
	for _, pattern := range plan.Texts() {
		add(here, loader.Setting{Pattern: pattern, Lines: true, Change: func(to loader.Renames, b []byte) ([]byte, error) {
			return []byte(to.Params(string(units(to, b)))), nil
		}})
	}
	for _, x := range sys.Generator.Settings {
		add(here, loader.Setting{Pattern: x.Pattern, Change: func(to loader.Renames, b []byte) ([]byte, error) {
			return to.Variables(b, to.Params, x.Devices...)
		}})
	}
	if sys.Family.MDConf != "" {
		add(byStep, loader.Setting{Pattern: sys.Family.MDConf})
	}
	for _, pattern := range l.Written {
		add(byStep, loader.Setting{Pattern: pattern, Others: l.Others})
	}
	add(byStep, loader.Setting{Pattern: "etc/crypttab", Lines: true})
	for _, pattern := range l.Made {
		add(byProgram, loader.Setting{Pattern: pattern})
	}
	return out
}
