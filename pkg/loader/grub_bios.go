package loader

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"migrate-init/boot"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/md"
	"migrate-init/pkg/plan"
)

// grubBIOS is GRUB 2 started by a BIOS. The old GRUB runs the migration once, through next_entry in its environment block
// where it can clear that itself, or through a block of ours on the new disk (grubOnces). Its custom.cfg asks at every boot
// for that block, and whether the commit's file is on the new volume.
func grubBIOS() Loader {
	return Loader{
		Loader: plan.Loader{Name: "grub", Title: grubTitle, Look: grubLook, OneShot: grubOneShot, NeedsBlock: grubNeedsBlock, Settings: grubPlan, Drift: grubDrift, Describe: grubDescribe,
			// On a GPT the core image has a place that is its own, and not an unowned gap.
			Parts: []plan.Reserved{{Role: plan.RoleBIOSGrub, Name: "BIOS boot", Size: 1 << 20}, {Role: plan.RoleOneShot, Name: "migrate-init boot block", Size: boot.BlockSize}},
			// Its first two stages (boot.S, diskboot.S) and their block list count in sectors of 512 bytes, whatever the disk's are.
			Sector: 512},
		Valid: func(p *plan.Plan) error { _, err := grubSettingsOf(p); return err },
		Arm:   grubArm, Disarm: grubDisarm, Adopt: grubAdopt,
		Block:  grubBlock(),
		Commit: commitFile, Committed: fileCommitted, Confirm: confirmFile, Rollback: rollbackFile, Next: grubNext,
		Settings: grubTexts(), Written: []string{"boot/grub/custom.cfg"}, Others: grubOthers, Made: []string{"boot/grub/grub.cfg", "boot/grub/grubenv"},
		Programs: []string{"boot/grub/i386-pc/*"},
		Rewrite:  grubRewrite, Remember: grubRemember, Install: grubInstall, Menu: grubMakeMenu, Waiting: boot.NextDisk,
		Writes: []string{"boot/grub/grub.cfg"}, StandIns: grubStandIns,
		Reads: []string{"etc/default/grub", "etc/default/grub.d", "etc/grub.d", "usr/sbin/update-grub", "usr/sbin/grub-mkconfig", "usr/share/grub/grub-mkconfig_lib", "etc/os-release",
			"usr/share/grub/default", "usr/share/desktop-base/grub_background.sh", "usr/share/grub/unicode.pf2", "etc/default/locale"},
		Questions: grubQuestions(), ProveDisk: grubProveDisk, Release: grubRelease, Takeover: grubTakeover, Leftovers: grubLeftovers,
	}
}

const (
	grubTitle  = "GRUB 2 on BIOS"
	grubTarget = "i386-pc"
)

func grubLeftovers(p *plan.Plan, root fs.FS) ([]machine.Effect, error) {
	if len(p.LaterDisks()) == 0 {
		// The old disk stays, and its GRUB goes on asking for the commit, whenever the firmware starts that disk.
		return []machine.Effect{machine.Remove{Path: grubDropIn}}, nil
	}
	marks, err := removeCommitFiles(p, root)
	return append([]machine.Effect{machine.Remove{Path: grubDropIn}}, marks...), err
}

// grubVolume is how GRUB names a planned volume.
func grubVolume(r plan.Ref) (string, error) {
	if id, ok := strings.CutPrefix(string(r), "md:"); ok {
		u, err := md.ParseUUID(id)
		if err != nil {
			return "", fmt.Errorf("volume %s: %w", r, err)
		}
		return "mduuid/" + u.Hex(), nil
	}
	return "", fmt.Errorf("volume %s: GRUB has no stable name for it here", r)
}

// grubNewPrefix is where the new GRUB's files are on its volume.
func grubNewPrefix(p *plan.Plan, s grubSettings) string {
	return path.Join(grubNewRoot(p), strings.TrimPrefix(s.Dir, p.Boot.Mount))
}

// grubNewRoot is what GRUB calls the directory that the volume with its files shows where it is mounted: GRUB sees a filesystem with
// subvolumes from its top level.
func grubNewRoot(p *plan.Plan) string { return p.Target.PlaceAt(p.Boot.Mount).Root() }

// grubMetadata is the module by which GRUB reads a metadata version.
func grubMetadata(version string) string {
	if version == "0.90" {
		return "mdraid09"
	}
	return "mdraid1x"
}

// grubLevels are the modules by which GRUB reads an array of a level that misses members, beside the one of its metadata
// (grub-core/disk/raid5_recover.c, raid6_recover.c). Mirrors and RAID10 are in diskfilter itself.
func grubLevels() map[int]string { return map[int]string{5: "raid5rec", 6: "raid6rec"} }

// grubArrays are the modules for a graph's arrays.
func grubArrays(g plan.Graph) []string {
	var out []string
	for _, a := range g.Arrays() {
		for _, m := range []string{grubMetadata(a.MD.Metadata), grubLevels()[a.MD.Level]} {
			if m != "" && !slices.Contains(out, m) {
				out = append(out, m)
			}
		}
	}
	return out
}

// grubModules are those by which the old GRUB reads the planned volumes and its own /boot.
func grubModules(p *plan.Plan) []string {
	return append(append([]string{"part_gpt", "part_msdos", "diskfilter"}, grubArrays(p.Target)...), p.BootFSType().GRUB)
}

// seen leads from a path of the old system to what GRUB calls it.
func (s grubSettings) seen(name string) string { return s.Prefix + "/" + path.Base(name) }
