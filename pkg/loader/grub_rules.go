package loader

import (
	"fmt"
	"strings"

	"migrate-init/pkg/plan"
)

// grubOneShot says why next_entry runs exactly once: GRUB must be able to write its environment block, which it does on a
// plain partition only. On md and btrfs grub-reboot succeeds, and the entry is permanent.
func grubOneShot(f *plan.Facts) (string, plan.Findings) {
	if f.Firmware != "bios" {
		return "", plan.Findings{{Subject: "firmware " + f.Firmware, Detail: "UEFI is not supported yet", Fix: "this version moves systems that boot by " + grubTitle}}
	}
	refuse := func(fix, format string, args ...any) (string, plan.Findings) {
		return "", plan.Findings{{Subject: "one-shot boot entry", Detail: fmt.Sprintf(format, args...), Fix: fix}}
	}
	plain := "use a machine whose /boot is a plain partition of " + strings.Join(grubWrites(), " or ") + "; this version has no other way to run an entry once"
	g, err := grubFactsOf(f)
	if err != nil {
		return refuse("look again with `migrate-init inspect`", "%v", err)
	}
	switch dev, _ := f.Holder(grubDir); {
	case dev == nil:
		return refuse("run as root, on the installed system itself", "the device that holds %s is not known", grubDir)
	case dev.Kind != plan.KindPart:
		return refuse(plain, "%s lies on %s (%s): GRUB cannot write its environment block there, so the entry would be permanent", grubDir, dev.Path, dev.Kind)
	case dev.Filesystem() == nil:
		return refuse(plain, "%s lies on %s, which is not one plain filesystem: GRUB cannot write its environment block there", grubDir, dev.Path)
	case !plan.FSTypeOf(dev.Filesystem().Type).GRUBWrites:
		return refuse(plain, "%s lies on %s: that GRUB can write its environment block there was not proved", grubDir, dev.Filesystem().Type)
	case g.Env == "":
		return refuse("create it: grub-editenv "+grubEnv+" create", "%s does not exist", grubEnv)
	case !g.LoadsEnv:
		return refuse("regenerate it: update-grub", "%s does not honour next_entry", grubCfg)
	case g.Custom == "":
		return refuse("restore /etc/grub.d/41_custom and run update-grub", "%s does not read custom.cfg", grubCfg)
	case g.EnvDamage != "":
		return refuse("recreate it: grub-editenv "+grubEnv+" create", "%s is damaged: %s", grubEnv, g.EnvDamage)
	}
	return fmt.Sprintf("GRUB can write its environment block %s, so the entry runs once", g.Env), nil
}

// grubWrites names the filesystems on which GRUB was seen to write its environment block.
func grubWrites() []string {
	var out []string
	for _, t := range plan.FSTypes() {
		if t.GRUBWrites {
			out = append(out, t.Name)
		}
	}
	return out
}

func grubPlan(f *plan.Facts) (map[string]string, string) {
	g, err := grubFactsOf(f)
	if err != nil {
		return nil, grubDir // grubOneShot refuses
	}
	return map[string]string{"dir": grubDir, "custom": g.Custom, "env": g.Env, "prefix": g.Prefix}, grubDir
}

func grubDrift(p *plan.Plan, f *plan.Facts) ([]plan.Drift, error) {
	s, err := grubSettingsOf(p)
	if err != nil {
		return nil, err
	}
	g, err := grubFactsOf(f)
	if err != nil {
		return nil, err
	}
	return []plan.Drift{
		{What: "environment block", Is: g.Env, Was: s.Env},
		{What: "custom.cfg", Is: g.Custom, Was: s.Custom},
		{What: "path of kernels", Is: g.Prefix, Was: s.Prefix},
	}, nil
}

func grubDescribe(f *plan.Facts) []string {
	if g, err := grubFactsOf(f); err == nil && g.Superusers {
		return []string{"its menu asks for a password"}
	}
	return nil
}
