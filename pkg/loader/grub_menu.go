package loader

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"migrate-init/boot"
	"migrate-init/pkg/plan"
)

// grubMenu is the menu of the new system, or what it will be.
type grubMenu struct {
	plan.Installed
	grubSettings
	name string // of the file that it is
	cfg  boot.GRUBConfig
}

// menuFix helps where the menu would boot something that was not moved.
const menuFix = "set GRUB_DEFAULT=0 in /etc/default/grub, and run update-grub"

// grubAskMenu reads grub.cfg: what is booted when no one chooses is a kernel that was proved, with the new root. What only
// a person can choose is a warning.
func grubAskMenu(in plan.Installed) plan.Findings {
	s, err := grubSettingsOf(in.Plan)
	if err != nil {
		return grubFault("boot loader", "", err)
	}
	pr := grubMenu{Installed: in, grubSettings: s, name: "file " + path.Join(s.Dir, "grub.cfg")}
	b, err := pr.Read(path.Join(s.Dir, "grub.cfg"))
	if err != nil {
		return grubFault(pr.name, "update-grub", err)
	}
	if in.When != plan.Proving {
		b = in.Renamed(b)
	}
	if pr.cfg, err = boot.ParseGRUBConfig(b); err != nil {
		return grubFault(pr.name, "", err)
	}
	return pr.answers()
}

func grubFault(subject, fix string, err error) plan.Findings {
	return plan.Findings{plan.Refusal(subject, fix, "%s", strings.TrimPrefix(err.Error(), subject+": "))}
}

func (pr grubMenu) answers() plan.Findings {
	chosen, out := pr.defaults()
	own := 0
	for i, m := range pr.cfg.Entries {
		if pr.foreign(i) {
			continue
		}
		all := boot.ParseCmdline(pr.params(m)).All("root")
		switch {
		// The kernel takes the last root= of several: one that is left by label or node would be the old system's.
		case len(all) > 0 && !pr.isRoot(all[len(all)-1]):
			out = append(out, pr.entry(m, chosen, "it has root=%s, planned UUID=%s", all[len(all)-1], pr.Plan.Boot.Root))
		case len(all) > 0:
			own++
		}
		for _, f := range append(slices.Clone(m.Initrds), m.Kernel) {
			if f == "" {
				continue
			}
			if strings.HasPrefix(f, "(") || strings.Contains(f, "${") {
				out = append(out, pr.entry(m, chosen, "it names %s, which is not known before it boots", f))
			} else if _, err := pr.Stat(pr.inNew(f)); err != nil {
				out = append(out, pr.entry(m, chosen, "it names %s: %v", f, err))
			}
		}
	}
	if own == 0 {
		out = append(out, plan.Refusal(pr.name, "update-grub", "no entry has root=UUID=%s", pr.Plan.Boot.Root))
	}
	if len(out.Refusals()) == 0 {
		pr.Say(fmt.Sprintf("%s: %d entries, %d of them with root=UUID=%s", pr.name, len(pr.cfg.Entries), own, pr.Plan.Boot.Root))
	}
	return out
}

// entry is the answer about an entry: a refusal where it is booted when no one chooses.
func (pr grubMenu) entry(m boot.GRUBEntry, chosen []int, format string, args ...any) plan.Finding {
	x := plan.Warning(pr.name, "", "entry %q: "+format+"; it would not boot the new system, and is not the default", append([]any{m.Title}, args...)...)
	if slices.Contains(chosen, m.Line) {
		x = plan.Refusal(pr.name, menuFix, "entry %q is booted by default: "+format, append([]any{m.Title}, args...)...)
	}
	return x
}

// params is an entry's command line as it will be.
func (pr grubMenu) params(m boot.GRUBEntry) string {
	if pr.When == plan.Proving {
		return m.Cmdline
	}
	return pr.Params(m.Cmdline)
}

// isRoot reports whether a value of root= is the planned root.
func (pr grubMenu) isRoot(v string) bool { return newRoot(pr.Plan, v) }

// inNew leads from a path as the new GRUB sees it to one of the new system.
func (pr grubMenu) inNew(f string) string { return path.Join(pr.Plan.Boot.Mount, f) }

// foreign reports whether an entry looks for its kernel on another filesystem than the new /boot: a system that is not moved.
func (pr grubMenu) foreign(i int) bool {
	first, last := pr.cfg.Entries[i].Line, int(^uint(0)>>1)
	if i+1 < len(pr.cfg.Entries) {
		last = pr.cfg.Entries[i+1].Line
	}
	for _, m := range pr.cfg.Mentions {
		if m.Kind == boot.MentionSearch && m.Line >= first && m.Line < last && boot.IsUUID(m.Value) && !strings.EqualFold(m.Value, pr.bootUUID()) {
			return true
		}
	}
	return false
}

func (pr grubMenu) bootUUID() string {
	if n := pr.Plan.Target.MountedAt(pr.Plan.Boot.Mount); n != nil {
		return n.Ref.ID()
	}
	return ""
}

// defaults follows every value that grub.cfg may give to default: a kernel whose initrd was proved, with the new root. It
// returns the lines of the entries that are booted when no one chooses.
func (pr grubMenu) defaults() (chosen []int, out plan.Findings) {
	saved := ""
	if b, err := pr.Read(pr.Env); err == nil {
		env, err := boot.ParseGrubenv(b)
		if err != nil {
			return nil, grubFault("file "+pr.Env, "grub-editenv "+pr.Env+" create", err)
		}
		saved, _ = env.Get("saved_entry")
	}
	values := []string{""}
	for _, v := range pr.cfg.Defaults {
		switch v {
		case "${next_entry}":
		case "${saved_entry}":
			values = append(values, saved)
		default:
			values = append(values, v)
		}
	}
	// The first is only what counts where nothing is said, or nothing that is there.
	if len(values) > 1 {
		values = values[1:]
	}
	for _, v := range values {
		m, ok := pr.cfg.Chosen(v)
		if !ok {
			return nil, plan.Findings{plan.Refusal(pr.name, "update-grub", "no entry")}
		}
		if slices.Contains(chosen, m.Line) {
			continue
		}
		chosen = append(chosen, m.Line)
		refuse := func(format string, args ...any) {
			out = append(out, plan.Refusal(pr.name, menuFix, "entry %q is booted by default (default=%q) "+format, append([]any{m.Title, v}, args...)...))
		}
		root, _ := boot.ParseCmdline(pr.params(m)).Get("root")
		switch {
		case m.Kernel == "":
			refuse("and starts no Linux kernel of this system")
		case !pr.isRoot(root):
			refuse("and has root=%q, planned UUID=%s", root, pr.Plan.Boot.Root)
		case len(m.Initrds) == 0:
			refuse("and has no initrd: nothing would assemble the array")
		case pr.Proved != nil && !pr.Proved[strings.TrimPrefix(pr.inNew(m.Kernel), "/")]:
			refuse("and the initrd of its kernel %s was not proved", m.Kernel)
		}
	}
	return chosen, out
}

// grubAskModules: the core image loads the rest of GRUB from the array, and without it there is only a rescue prompt.
func grubAskModules(in plan.Installed) (out plan.Findings) {
	s, err := grubSettingsOf(in.Plan)
	if err != nil {
		return grubFault("boot loader", "", err)
	}
	for _, m := range []string{"normal", "linux"} {
		f := path.Join(s.Dir, grubTarget, m+".mod")
		if st, err := in.Stat(f); err != nil {
			out = append(out, grubFault("file "+f, "", err)...)
		} else if st.Size() == 0 {
			out = append(out, plan.Refusal("file "+f, "", "empty"))
		}
	}
	return out
}
