package loader

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"migrate-init/boot"
	"migrate-init/pkg/plan"
)

// grubMenu is a proof of the new system's menu.
type grubMenu struct {
	Proof
	grubSettings
	p *plan.Plan
}

func grubProve(p *plan.Plan, in Proof) error {
	s, err := grubSettingsOf(p)
	if err != nil {
		return err
	}
	return grubMenu{in, s, p}.config()
}

// config reads the new grub.cfg: what each entry for this system loads is there and mounts the new root, and so does
// what is booted when no one chooses.
func (pr grubMenu) config() error {
	name := path.Join(pr.Dir, "grub.cfg")
	b, err := pr.Read(name)
	if err != nil {
		return err
	}
	cfg, err := boot.ParseGRUBConfig(b)
	if err != nil {
		return fmt.Errorf("file %s: %w", name, err)
	}
	var errs []error
	own := 0
	for i, m := range cfg.Entries {
		if pr.foreign(cfg, i) {
			continue
		}
		all := boot.ParseCmdline(m.Cmdline).All("root")
		switch {
		// The kernel takes the last root= of several: one that is left by label or node would be the old system's.
		case len(all) > 0 && all[len(all)-1] != "UUID="+pr.p.Boot.Root:
			errs = append(errs, fmt.Errorf("file %s: entry %q has root=%s, planned UUID=%s", name, m.Title, all[len(all)-1], pr.p.Boot.Root))
		case len(all) > 0:
			own++
		}
		for _, f := range append(slices.Clone(m.Initrds), m.Kernel) {
			if f == "" {
				continue
			}
			if _, err := pr.Stat(pr.inNew(f)); err != nil {
				errs = append(errs, fmt.Errorf("file %s: entry %q names %s: %w", name, m.Title, f, err))
			}
		}
	}
	if own == 0 {
		errs = append(errs, fmt.Errorf("file %s: no entry has root=UUID=%s", name, pr.p.Boot.Root))
	}
	errs = append(errs, pr.defaults(name, cfg), pr.modules())
	if err := errors.Join(errs...); err != nil {
		return err
	}
	pr.Say(fmt.Sprintf("%s: %d entries, %d of them with root=UUID=%s", name, len(cfg.Entries), own, pr.p.Boot.Root))
	return nil
}

// inNew leads from a path as the new GRUB sees it to one of the new system.
func (pr grubMenu) inNew(f string) string { return path.Join(pr.p.Boot.Mount, f) }

// foreign reports whether an entry looks for its kernel on another filesystem than the new /boot: a system that is not moved.
func (pr grubMenu) foreign(cfg boot.GRUBConfig, i int) bool {
	first, last := cfg.Entries[i].Line, int(^uint(0)>>1)
	if i+1 < len(cfg.Entries) {
		last = cfg.Entries[i+1].Line
	}
	for _, m := range cfg.Mentions {
		if m.Kind == boot.MentionSearch && m.Line >= first && m.Line < last && boot.IsUUID(m.Value) && !strings.EqualFold(m.Value, pr.bootUUID()) {
			return true
		}
	}
	return false
}

func (pr grubMenu) bootUUID() string {
	if n := pr.p.Target.MountedAt(pr.p.Boot.Mount); n != nil {
		return n.Ref.ID()
	}
	return ""
}

// defaults follows every value that grub.cfg may give to default: a kernel whose initrd was proved, with the new root.
func (pr grubMenu) defaults(name string, cfg boot.GRUBConfig) error {
	saved := ""
	if b, err := pr.Read(pr.Env); err == nil {
		env, err := boot.ParseGrubenv(b)
		if err != nil {
			return fmt.Errorf("file %s: %w", pr.Env, err)
		}
		saved, _ = env.Get("saved_entry")
	}
	values := []string{""}
	for _, v := range cfg.Defaults {
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
		m, ok := cfg.Chosen(v)
		if !ok {
			return fmt.Errorf("file %s: no entry", name)
		}
		root, _ := boot.ParseCmdline(m.Cmdline).Get("root")
		switch {
		case root != "UUID="+pr.p.Boot.Root:
			return fmt.Errorf("file %s: entry %q is booted by default (default=%q) and has root=%q, planned UUID=%s", name, m.Title, v, root, pr.p.Boot.Root)
		case len(m.Initrds) == 0:
			return fmt.Errorf("file %s: entry %q is booted by default and has no initrd: nothing would assemble the array", name, m.Title)
		case pr.Proved != nil && !pr.Proved[strings.TrimPrefix(pr.inNew(m.Kernel), "/")]:
			return fmt.Errorf("file %s: entry %q is booted by default, and the initrd of its kernel %s was not proved", name, m.Title, m.Kernel)
		}
	}
	return nil
}

// modules: the core image loads the rest of GRUB from the array, and without it there is only a rescue prompt.
func (pr grubMenu) modules() error {
	var errs []error
	for _, m := range []string{"normal", "linux"} {
		f := path.Join(pr.Dir, grubTarget, m+".mod")
		if st, err := pr.Stat(f); err != nil {
			errs = append(errs, fmt.Errorf("file %s: %w", f, err))
		} else if st.Size() == 0 {
			errs = append(errs, fmt.Errorf("file %s: empty", f))
		}
	}
	return errors.Join(errs...)
}
