package loader

import (
	"fmt"
	"slices"

	"migrate-init/pkg/plan"
)

// grubOneShot says by which mechanism an entry runs exactly once, or what is in the way of all of them.
func grubOneShot(f *plan.Facts) (string, plan.Findings) {
	if f.Firmware != "bios" {
		return "", plan.Findings{{Subject: "firmware " + f.Firmware, Detail: "UEFI is not supported yet", Fix: "this version moves systems that boot by " + grubTitle}}
	}
	refuse := func(fix, format string, args ...any) (string, plan.Findings) {
		return "", plan.Findings{{Subject: "one-shot boot entry", Detail: fmt.Sprintf(format, args...), Fix: fix}}
	}
	g, err := grubFactsOf(f)
	if err != nil {
		return refuse("look again with `migrate-init inspect`", "%v", err)
	}
	dev, _ := f.Holder(grubDir)
	switch {
	case dev == nil:
		return refuse("run as root, on the installed system itself", "the device that holds %s is not known", grubDir)
	case dev.Filesystem() == nil:
		return refuse("put "+grubDir+" on a filesystem that GRUB reads", "%s lies on %s, which is not one plain filesystem", grubDir, dev.Path)
	case plan.FSTypeOf(dev.Filesystem().Type).GRUB == "":
		return refuse("put "+grubDir+" on a filesystem that GRUB reads", "%s lies on %s, which GRUB is not known to read", grubDir, dev.Filesystem().Type)
	case g.Custom == "":
		return refuse("restore /etc/grub.d/41_custom and run update-grub", "%s does not read custom.cfg", grubCfg)
	}
	if crypt := encrypted(f, dev); crypt != nil {
		return refuse("put /boot on a filesystem that is not encrypted", "%s lies on %s, which is encrypted: GRUB would wait for a passphrase at each boot of the migration", grubDir, crypt.Path)
	}
	_, why, fix, refused := grubOnceOf(g, dev)
	if refused != "" {
		return refuse(fix, "%s", refused)
	}
	return why, nil
}

// encrypted is the device below another that has to be opened first, nil for none.
func encrypted(f *plan.Facts, d *plan.Device) *plan.Device {
	for i := range f.Devices {
		low := &f.Devices[i]
		if !slices.Contains(low.Holders, d.Name) {
			continue
		}
		if slices.ContainsFunc(low.Contents, func(c plan.Content) bool { return c.Kind == plan.ContentLUKS && !c.Ghost }) {
			return low
		}
		if x := encrypted(f, low); x != nil {
			return x
		}
	}
	return nil
}

func grubNeedsBlock(f *plan.Facts) bool {
	g, err := grubFactsOf(f)
	dev, _ := f.Holder(grubDir)
	if err != nil || dev == nil || dev.Filesystem() == nil {
		return false // refused already
	}
	once, _, _, _ := grubOnceOf(g, dev)
	return once.block
}

func grubPlan(f *plan.Facts) (map[string]string, string) {
	g, err := grubFactsOf(f)
	if err != nil {
		return nil, grubDir // grubOneShot refuses
	}
	own := map[string]string{"dir": grubDir, "custom": g.Custom, "env": g.Env, "prefix": g.Prefix}
	if dev, _ := f.Holder(grubDir); dev != nil && dev.Filesystem() != nil {
		once, _, _, _ := grubOnceOf(g, dev)
		own["once"] = once.name
	}
	return own, grubDir
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
	now, _ := grubPlan(f)
	return []plan.Drift{
		{What: "way to run an entry once", Is: now["once"], Was: s.Once},
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
