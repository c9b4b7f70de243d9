package loader

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"migrate-init/boot"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// The firmware may try the new disk first. Until finish, the GRUB there asks the old one's: the lines in its custom.cfg
// survive whatever writes grub.cfg again, and name the old system on purpose.

// grubDeferral are those lines.
func grubDeferral(p *plan.Plan, s grubSettings) ([]byte, error) {
	_, hints, err := grubUnder(p.Source, plan.Ref("fs:"+p.Boot.BootFS))
	if err != nil {
		return nil, err
	}
	return boot.GRUBDeferral(boot.DeferralSpec{PlanID: p.ID, OldFS: p.Boot.BootFS, OldPrefix: s.seen(s.Dir),
		Hints: hints, Modules: grubOldModules(p), Loaded: []string{"loadenv", "linux", "gzio", "echo"}})
}

// grubOldModules are those by which the new GRUB finds and reads the old disk.
func grubOldModules(p *plan.Plan) []string {
	below, _, _ := grubUnder(p.Source, plan.Ref("fs:"+p.Boot.BootFS)) // grubDeferral has the error
	return slices.Concat([]string{"part_gpt", "part_msdos"}, below, []string{p.OldBootFSType().GRUB, "search_fs_uuid"})
}

// grubWithDeferral is a custom.cfg with the lines of this plan, and without those of others.
func grubWithDeferral(p *plan.Plan, s grubSettings, custom []byte) ([]byte, error) {
	lines, err := grubDeferral(p, s)
	if err != nil {
		return nil, err
	}
	return boot.InsertDeferral(custom, lines)
}

// grubOthers takes the lines out: what is left is people's own.
func grubOthers(b []byte) []byte {
	rest, _, err := boot.RemoveDeferral(b)
	if err != nil {
		return b // they are searched as they are
	}
	return rest
}

// grubAskDeferral asks whether they are as they were written. That grub.cfg reads them, the menu is asked.
func grubAskDeferral(in plan.Installed) plan.Findings {
	s, err := grubSettingsOf(in.Plan)
	if err != nil {
		return grubFault("boot loader", "", err)
	}
	custom, err := in.Read(s.Custom)
	if err != nil {
		return grubFault("file "+s.Custom, "", err)
	}
	want, err := grubDeferral(in.Plan, s)
	if err != nil {
		return grubFault("file "+s.Custom, "", err)
	}
	if have, err := boot.FindDeferral(custom); err != nil || !bytes.Equal(have, want) {
		return plan.Findings{plan.Refusal("file "+s.Custom, "", "its lines that ask the old disk's boot loader are not as they were written (%v)", err)}
	}
	return nil
}

// grubRelease takes the lines out of the running new system: from here on no one asks the old disk.
func grubRelease(p *plan.Plan, root fs.FS) ([]machine.Effect, error) {
	s, err := grubSettingsOf(p)
	if err != nil {
		return nil, err
	}
	custom, err := readFile(root, s.Custom)
	if err != nil || custom == nil {
		return nil, err
	}
	rest, found, err := boot.RemoveDeferral(custom)
	if err != nil {
		return nil, fmt.Errorf("file %s: %w; remove the lines of migrate-init there by hand, and run migrate-init finish again", s.Custom, err)
	}
	if !found {
		return nil, nil
	}
	out := []machine.Effect{machine.WriteFile{Path: s.Custom, Data: rest, Old: custom, Mode: 0o644}}
	if len(rest) == 0 {
		out = []machine.Effect{machine.Remove{Path: s.Custom}}
	}
	// GRUB replays no journal.
	return append(out, machine.Sync{Path: path.Dir(s.Custom)}), nil
}

// grubDefers reports whether the running new system's GRUB asks the old one's.
func grubDefers(p *plan.Plan, root fs.FS) (bool, error) {
	s, err := grubSettingsOf(p)
	if err != nil {
		return false, err
	}
	custom, err := readFile(root, s.Custom)
	if err != nil {
		return false, err
	}
	want, err := grubDeferral(p, s)
	if err != nil {
		return false, err
	}
	have, err := boot.FindDeferral(custom)
	return bytes.Equal(have, want), err
}
