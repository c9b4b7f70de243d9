package loader

import (
	"bytes"
	"fmt"
	"path"

	"migrate-init/boot"
	"migrate-init/pkg/conf"
	"migrate-init/pkg/fstab"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// grubDropIn keeps os-prober from putting the old system, found on the old disk, into the new menu, and makes a panic of
// a boot that was not confirmed yet a reset, which is what falls back. Finish removes it.
const grubDropIn = "/etc/default/grub.d/migrate-init.cfg"

// grubTexts are what grub-mkconfig reads. GRUB_DEFAULT names menu entries by the root's UUID, and people write entries of
// their own into grub.d.
func grubTexts() []Setting {
	return []Setting{
		{Pattern: "etc/default/grub", Change: grubVariables},
		{Pattern: "etc/default/grub.d/*.cfg", Change: grubVariables},
		{Pattern: "etc/grub.d/*", Scripts: true},
	}
}

func grubVariables(to Renames, b []byte) ([]byte, error) {
	link := func(v string) string {
		if id := to.Becomes(fstab.ParseSpec(v)); id != "" {
			return "/dev/disk/by-uuid/" + id
		}
		return v
	}
	// Both say which partition the root is, and the new one is on an array, which has no partition UUID. Without one, GRUB
	// takes that of the filesystem.
	none := func(string) string { return "" }
	// The node of an array is not the same in every boot.
	byUUID := func(v string) string {
		if v == "true" {
			return "false"
		}
		return v
	}
	for _, x := range []struct {
		change func(string) string
		keys   []string
	}{
		{to.Params, []string{"GRUB_CMDLINE_LINUX", "GRUB_CMDLINE_LINUX_DEFAULT", "GRUB_CMDLINE_LINUX_RECOVERY"}},
		{link, []string{"GRUB_DEVICE", "GRUB_DEVICE_BOOT"}},
		{none, []string{"GRUB_DEVICE_PARTUUID", "GRUB_FORCE_PARTUUID"}},
		{byUUID, []string{"GRUB_DISABLE_UUID", "GRUB_DISABLE_LINUX_UUID"}},
	} {
		var err error
		if b, err = to.Variables(b, x.change, x.keys...); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func grubRewrite(p *plan.Plan, in Rewriting) ([]machine.Effect, error) {
	s, err := grubSettingsOf(p)
	if err != nil {
		return nil, err
	}
	var out []machine.Effect
	for _, step := range []func(*plan.Plan, grubSettings, Rewriting) ([]machine.Effect, error){grubWriteDropIn, grubRewriteCustom, grubCleanEnv} {
		effs, err := step(p, s, in)
		if err != nil {
			return nil, err
		}
		out = append(out, effs...)
	}
	return out, nil
}

func grubWriteDropIn(p *plan.Plan, _ grubSettings, in Rewriting) ([]machine.Effect, error) {
	old, err := in.Read(grubDropIn)
	if err != nil {
		return nil, err
	}
	var out []machine.Effect
	if old == nil {
		out = append(out, machine.Mkdir{Path: path.Dir(grubDropIn), Mode: 0o755})
	}
	return append(out, write(grubDropIn, old, fmt.Appendf(nil, "# Written by migrate-init, removed by its finish. The old system must not appear in this menu, and a panic must become\n"+
		"# a reset, from which the old boot loader can fall back.\nGRUB_DISABLE_OS_PROBER=true\nGRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX panic=%d%s\"\n", p.Policy.Panic, grubDirty(p)), 0o644)...), nil
}

// grubDirty lets the new system start after a power cut while its arrays miss members of which parity takes the place: otherwise
// the kernel refuses them, and a machine that confirmed its new system would not come up (Documentation/admin-guide/md.rst).
func grubDirty(p *plan.Plan) string {
	if p.WriteHole() {
		return " md_mod.start_dirty_degraded=1"
	}
	return ""
}

// grubRewriteCustom takes the migration's entries, which came along with the copy, out of the new system's boot loader, and
// tells it to ask the old one.
func grubRewriteCustom(p *plan.Plan, s grubSettings, in Rewriting) ([]machine.Effect, error) {
	old, err := in.Read(s.Custom)
	if err != nil {
		return nil, err
	}
	rest, _, err := boot.RemoveSnippet(old)
	if err == nil {
		rest, _, err = boot.RemoveDeferral(rest)
	}
	if err == nil {
		rest, err = grubWithDeferral(p, s, in.To.UUIDs(rest))
	}
	if err != nil {
		return nil, fmt.Errorf("file %s: %w", s.Custom, err)
	}
	return write(s.Custom, old, rest, 0o600), nil
}

// grubCleanEnv drops what was meant for the old GRUB; the new one, on an array, could not even clear it.
func grubCleanEnv(_ *plan.Plan, s grubSettings, in Rewriting) ([]machine.Effect, error) {
	old, err := in.Read(s.Env)
	if err != nil || old == nil {
		return nil, err
	}
	env, err := boot.ParseGrubenv(old)
	if err != nil {
		return nil, fmt.Errorf("file %s: %w", s.Env, err)
	}
	for _, k := range []string{"next_entry", boot.TriedVariable} {
		env.Unset(k)
	}
	// saved_entry names a menu entry by the root's UUID.
	for _, k := range env.Keys() {
		v, _ := env.Get(k)
		n := string(in.To.UUIDs([]byte(v)))
		if n == v {
			continue
		}
		if err := env.Set(k, n); err != nil {
			return nil, fmt.Errorf("file %s: %w", s.Env, err)
		}
	}
	if bytes.Equal(env.Bytes(), old) {
		return nil, nil
	}
	return []machine.Effect{machine.WriteInPlace{Path: s.Env, Data: env.Bytes()}}, nil
}

// grubRemember answers the question of Debian's package grub-pc, where it is installed.
func grubRemember(in Rewriting, disks []string) ([]machine.Effect, error) {
	const question = "grub-pc/install_devices"
	return in.Edit(grubDebconf, func(b []byte) ([]byte, error) {
		db, err := conf.ParseDebconf(b)
		if err != nil {
			return nil, err
		}
		if _, ok := db.Value(question); !ok || len(disks) == 0 {
			return b, nil
		}
		if err := db.SetValue(question, conf.JoinChoices(disks)); err != nil {
			return nil, err
		}
		return db.Bytes(), nil
	})
}

func grubInstall(_ *plan.Plan, disks []string) [][]string {
	var out [][]string
	for _, d := range disks {
		out = append(out, []string{"grub-install", "--target=" + grubTarget, "--recheck", d})
	}
	return out
}

func grubMakeMenu(*plan.Plan) [][]string { return [][]string{{"update-grub"}} }
