package loader

import (
	"errors"
	"fmt"
	"io/fs"
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

// grubAskMenu reads the menu: what is booted when no one chooses is a kernel that was proved, with the new root. What only
// a person can choose is a warning.
func grubAskMenu(in plan.Installed) plan.Findings {
	s, err := grubSettingsOf(in.Plan)
	if err != nil {
		return grubFault("boot loader", "", err)
	}
	pr := grubMenu{Installed: in, grubSettings: s, name: "file " + path.Join(s.Dir, "grub.cfg")}
	b, found := pr.text()
	if len(found.Refusals()) > 0 {
		return found
	}
	if pr.cfg, err = boot.ParseGRUBConfig(b); err != nil {
		return append(found, pr.unreadable(err)...)
	}
	if !pr.cfg.SourcesCustom {
		found = append(found, plan.Refusal(pr.name, "restore /etc/grub.d/41_custom, chmod +x it, and run update-grub",
			"it does not read custom.cfg: the new disk's GRUB would not ask the old disk's which system to start"))
	}
	if custom, err := pr.Read(s.Custom); err == nil && pr.cfg.SourcesCustom {
		if pr.cfg, err = boot.ParseGRUBConfig(append(append(b, '\n'), grubOthers(custom)...)); err != nil {
			pr.name = "file " + s.Custom
			return append(found, pr.unreadable(err)...)
		}
	}
	return append(append(found, pr.answers()...), pr.waits()...)
}

func grubFault(subject, fix string, err error) plan.Findings {
	return plan.Findings{plan.Refusal(subject, fix, "%s", strings.TrimPrefix(err.Error(), subject+": "))}
}

// text is the menu as it will be: before the reboot, what GRUB's own programs make of today's settings, with the new
// system's identities. Where no program may be run it is the menu of the last update.
func (pr *grubMenu) text() ([]byte, plan.Findings) {
	var found plan.Findings
	if pr.When == plan.Live && pr.Run != nil {
		var b []byte
		if b, found = grubMake(pr.Installed); b != nil || len(found.Refusals()) > 0 {
			pr.name = "menu of grub-mkconfig"
			return pr.Renamed(b), found
		}
	}
	b, err := pr.Read(path.Join(pr.Dir, "grub.cfg"))
	if err != nil {
		return nil, grubFault(pr.name, "update-grub", err)
	}
	if pr.When != plan.Proving {
		b = pr.Renamed(b)
	}
	return b, found
}

// unreadable is the answer to a text that GRUB may well read.
func (pr *grubMenu) unreadable(err error) plan.Findings {
	x := plan.Refusal(pr.name, "correct the script of /etc/grub.d that writes the line, or remove it", "cannot be read, so what would be booted is not known: %v", err)
	x.ID = "boot-menu.readable"
	return plan.Findings{x}
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
			if slices.Contains(chosen, m.Line) {
				continue // refused already
			}
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
			} else if _, err := pr.Stat(pr.inNew(f)); errors.Is(err, fs.ErrNotExist) {
				out = append(out, pr.entry(m, chosen, "it names %s, which does not exist", f))
			} else if err != nil {
				out = append(out, pr.entry(m, chosen, "it names %s: %v", f, err))
			}
		}
	}
	if own == 0 {
		out = append(out, plan.Refusal(pr.name, "chmod +x /etc/grub.d/10_linux, and run update-grub", "no entry has root=UUID=%s", pr.Plan.Boot.Root))
	}
	if len(out.Refusals()) == 0 {
		pr.Say(fmt.Sprintf("%s: %d entries, %d of them with root=UUID=%s", pr.name, len(pr.cfg.Entries), own, pr.Plan.Boot.Root))
	}
	return out
}

// entry is the answer about an entry: a refusal where it is booted when no one chooses.
func (pr grubMenu) entry(m boot.GRUBEntry, chosen []int, format string, args ...any) plan.Finding {
	x := plan.Warning(pr.name, "", "entry %q: "+format+"; who chooses it does not get the new system; it is not the default", append([]any{m.Title}, args...)...)
	x.ID = "boot-menu.entry"
	if slices.Contains(chosen, m.Line) {
		x = plan.Refusal(pr.name, pr.fix(), "entry %q is booted by default: "+format, append([]any{m.Title}, args...)...)
	}
	return x
}

// fix makes an entry that boots the new system the default, where there is one.
func (pr grubMenu) fix() string {
	for i, m := range pr.cfg.Entries {
		root, _ := boot.ParseCmdline(pr.params(m)).Get("root")
		if pr.foreign(i) || len(m.Submenus) > 0 || !pr.isRoot(root) || strings.ContainsAny(m.Title, `"'$\>`) || pr.Proved != nil && (!pr.isProved(m.Kernel) || !slices.ContainsFunc(m.Initrds, pr.isProved)) {
			continue
		}
		if slices.Contains(pr.cfg.Defaults, "${saved_entry}") {
			return "grub-set-default '" + m.Title + "'"
		}
		return "set GRUB_DEFAULT='" + m.Title + "' in /etc/default/grub, and run update-grub"
	}
	return "chmod +x /etc/grub.d/10_linux, set GRUB_DEFAULT=0 in /etc/default/grub, and run update-grub"
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
func (pr grubMenu) inNew(f string) string {
	if below, ok := strings.CutPrefix(f, strings.TrimSuffix(grubNewRoot(pr.Plan), "/")+"/"); ok {
		return path.Join(pr.Plan.Boot.Mount, below)
	}
	return path.Join("/", f) // not below what is mounted there
}

// foreign reports whether an entry looks for its kernel elsewhere than on the new /boot: a system that is not moved. One that
// looks for nothing, and names a disk by its place in the firmware's order, is ours when it mounts our root.
func (pr grubMenu) foreign(i int) bool {
	first, last := pr.cfg.Entries[i].Line, int(^uint(0)>>1)
	if i+1 < len(pr.cfg.Entries) {
		last = pr.cfg.Entries[i+1].Line
	}
	elsewhere := false
	for _, m := range pr.cfg.Mentions {
		if m.Line < first || m.Line >= last {
			continue
		}
		switch m.Kind {
		case boot.MentionSearch:
			if strings.EqualFold(m.Value, pr.bootUUID()) || m.Value != "" && m.Value == pr.bootLabel() {
				return false
			}
			elsewhere = elsewhere || !strings.HasPrefix(m.Value, "/")
		case boot.MentionVolume:
			root, _ := boot.ParseCmdline(pr.params(pr.cfg.Entries[i])).Get("root")
			elsewhere = elsewhere || !pr.isRoot(root)
		}
	}
	return elsewhere
}

func (pr grubMenu) bootLabel() string {
	if n := pr.Plan.Target.MountedAt(pr.Plan.Boot.Mount); n != nil {
		return n.FS.Label
	}
	return ""
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
			out = append(out, plan.Refusal(pr.name, pr.fix(), "entry %q is booted by default (default=%q) "+format, append([]any{m.Title, v}, args...)...))
		}
		root, _ := boot.ParseCmdline(pr.params(m)).Get("root")
		switch {
		case m.Kernel == "":
			refuse("and starts no Linux kernel of this system")
		case !pr.isRoot(root):
			refuse("and has root=%s, planned UUID=%s", root, pr.Plan.Boot.Root)
		case !rootSubvolume(pr.Plan, pr.params(m)):
			refuse("and its rootflags= do not mount subvolume /%s, planned as the root", pr.Plan.Target.PlaceAt("/").Subvol)
		case len(m.Initrds) == 0:
			refuse("and has no initrd: nothing would assemble the array")
		case pr.Proved != nil && !pr.isProved(m.Kernel):
			refuse("and the initrd of its kernel %s was not proved", m.Kernel)
		case pr.Proved != nil && !slices.ContainsFunc(m.Initrds, pr.isProved):
			refuse("and its initrd %s is not the one that is made for its kernel, and was not proved", strings.Join(m.Initrds, ", "))
		}
	}
	return chosen, out
}

// isProved reports whether a file of an entry is a kernel, or an initrd, that was proved.
func (pr grubMenu) isProved(f string) bool {
	at, err := pr.Place(pr.inNew(f))
	return err == nil && pr.Proved[at]
}

// waits warns of what needs a person at each boot.
func (pr grubMenu) waits() (out plan.Findings) {
	warn := func(id, fix, format string, args ...any) {
		x := plan.Warning(pr.name, fix, format, args...)
		x.ID = id
		out = append(out, x)
	}
	if strings.HasPrefix(pr.cfg.Timeout, "-") {
		warn("boot-menu.timeout", "set GRUB_TIMEOUT=5 in /etc/default/grub, and run update-grub", "its timeout is %s: each boot waits for a person, those of the migration too", pr.cfg.Timeout)
	}
	if m, ok := pr.cfg.Chosen("0"); ok && pr.cfg.Superusers && !m.Unrestricted {
		warn("boot-menu.password", "add --unrestricted to CLASS in /etc/grub.d/10_linux, and run update-grub", "entry %q asks for a password: each boot of the new system waits for a person", m.Title)
	}
	if m, ok := pr.cfg.Chosen("0"); ok && len(pr.cfg.Defaults) == 0 || ok && slices.Contains(pr.cfg.Defaults, "0") {
		c := boot.ParseCmdline(pr.params(m))
		for _, word := range []string{"single", "emergency", "rescue", "S", "1"} {
			if len(c.All(word)) > 0 {
				warn("boot-menu.single", "take it out of GRUB_CMDLINE_LINUX in /etc/default/grub, and run update-grub", "entry %q is booted by default with %s: the new system does not confirm itself, and the old one would come back", m.Title, word)
				break
			}
		}
	}
	return out
}

// grubAskModules: the core image loads the rest of GRUB from the array, and without it there is only a rescue prompt.
func grubAskModules(in plan.Installed) (out plan.Findings) {
	s, err := grubSettingsOf(in.Plan)
	if err != nil {
		return grubFault("boot loader", "", err)
	}
	// The last are those by which it asks the old disk's.
	for _, m := range append([]string{"normal", "linux", "search", "test", "configfile", "loadenv"}, grubOldModules(in.Plan)...) {
		f := path.Join(s.Dir, grubTarget, m+".mod")
		if st, err := in.Stat(f); err != nil {
			out = append(out, grubFault("file "+f, "", err)...)
		} else if st.Size() == 0 {
			out = append(out, plan.Refusal("file "+f, "", "empty"))
		}
	}
	return out
}
