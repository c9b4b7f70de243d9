package plan

import (
	"fmt"
	"slices"
	"strings"
)

// What each check saw when it has nothing to object to.

func okSurvey(_ *Plan, f *Facts) string {
	return count(len(f.Devices), "block device") + " and the system's files were read without an error"
}

func okRoot(*Plan, *Facts) string { return "running as root" }

func okMachine(p *Plan, f *Facts) string {
	id := ""
	if f.Machine.ID != "" && f.Machine.ID == p.Machine.ID {
		id = "machine-id " + f.Machine.ID
	}
	return joined("this is "+orUnknown(f.Machine.Hostname), id, "booted by "+firmwareOf(f))
}

func okSource(p *Plan, f *Facts) string {
	var out []string
	for _, n := range p.Source.Disks() {
		out = append(out, "disk "+f.pathOf(p, n)+" ("+n.Identity()+")")
	}
	for _, m := range p.Moves {
		if n := p.Source.Node(m.From); n != nil {
			if m.Path != "" {
				continue
			}
			out = append(out, n.Called()+" on "+f.pathOf(p, n))
		}
	}
	return "found " + strings.Join(out, ", ")
}

func okWhole(p *Plan, _ *Facts) string {
	return "each partition of " + p.OldDisks() + " is moved, left behind as asked, or has nothing to lose"
}

func okSourceArrays(p *Plan, f *Facts) string {
	var out []string
	for _, n := range p.Source.Arrays() {
		out = append(out, fmt.Sprintf("%s is raid%d %s with metadata %s", f.pathOf(p, n), n.MD.Level, n.marks(), n.MD.Metadata))
	}
	return orElse(strings.Join(out, "; "), "the sources lie on no arrays")
}

func okTables(p *Plan, _ *Facts) string {
	return "the partition table of " + p.OldDisks() + " is undamaged"
}

func okClean(p *Plan, f *Facts) string {
	var out []string
	for _, n := range p.Source.Filesystems() {
		out = append(out, n.FS.Type+" on "+f.pathOf(p, n))
	}
	return "no errors recorded in " + strings.Join(out, ", ")
}

func okHibernation(*Plan, *Facts) string { return "no swap area holds a hibernation image" }

func okTarget(p *Plan, f *Facts) string {
	var out []string
	for _, n := range p.NewDisks() {
		out = append(out, "disk "+f.pathOf(p, n)+" ("+n.Identity()+")")
	}
	return "found " + strings.Join(out, ", ")
}

func okUnused(p *Plan, _ *Facts) string {
	return "nothing on " + p.NewTargets() + " is mounted, used as swap, or held"
}

func okEmpty(p *Plan, f *Facts) string {
	var out []string
	for _, n := range p.NewDisks() {
		d, _ := f.Disk(n)
		switch {
		case d != nil && p.own(d):
			out = append(out, d.Path+" has this plan's partition table")
		case n.Disk.Wipe:
			out = append(out, n.Was+" may be overwritten (--wipe)")
		default:
			out = append(out, n.Was+" is empty")
		}
	}
	return strings.Join(out, ", ")
}

func okFits(p *Plan, f *Facts) string {
	var out []string
	for _, c := range p.Copies() {
		s, n := p.Source.Node(c.From), p.Target.Node(c.To)
		if d, _ := f.FS(c.From.ID()); s != nil && n != nil && d != nil {
			out = append(out, fmt.Sprintf("%s: %s used, its new volume has %s", s.FS.Mount, size(d.Filesystem().Used), size(p.Target.Room(n.Lower()))))
		}
	}
	return strings.Join(out, "; ")
}

func okUnique(p *Plan, _ *Facts) string {
	var ids int
	for _, n := range Diff(p.Source, p.Target).New {
		if k, ok := kindOf(n); ok {
			ids += 1 + len(k.ids(n))
		}
	}
	return fmt.Sprintf("none of the %s is in use elsewhere", count(ids, "planned identity"))
}

func okArrayName(p *Plan, _ *Facts) string {
	var out []string
	for _, n := range p.Target.Arrays() {
		out = append(out, n.Called())
	}
	return "no other array is called " + strings.Join(out, " or ")
}

func okTypes(p *Plan, _ *Facts) string {
	var out []string
	for _, n := range p.Target.Filesystems() {
		if !slices.Contains(out, n.FS.Type) {
			out = append(out, n.FS.Type)
		}
	}
	return strings.Join(out, ", ") + " can be moved"
}

func okPackages(p *Plan, _ *Facts) string {
	return "installed: " + orNothing(strings.Join(p.packages(), ", "))
}

func okKernels(p *Plan, f *Facts) string {
	return fmt.Sprintf("%s is installed; %s with modules", p.Boot.Kernel, count(len(f.Boot.Kernels), "kernel"))
}

func okArrayKernels(*Plan, *Facts) string { return "every installed kernel can start the arrays" }

func okOneShot(p *Plan, _ *Facts) string { return p.Boot.OneShotWhy }

func okSectors(p *Plan, _ *Facts) string {
	var out []string
	for _, n := range p.Disks() {
		out = append(out, fmt.Sprintf("%s %d bytes", n.Was, n.Disk.Sector))
	}
	return "the boot loader can read the disks' sectors: " + strings.Join(out, ", ")
}

func okRoom(_ *Plan, f *Facts) string {
	return CheckRoom(f, roomEstimate).Detail
}

func okScheduled(*Plan, *Facts) string { return "no migration is scheduled" }

func okConfirm(*Plan, *Facts) string { return "systemd will confirm the first boot of the new system" }

func okMounts(p *Plan, f *Facts) string {
	var out []string
	for _, n := range p.Source.Filesystems() {
		out = append(out, f.pathOf(p, n)+" at "+n.FS.Mount)
	}
	return "fstab mounts " + strings.Join(out, ", ") + ", as planned"
}

func okFstab(_ *Plan, f *Facts) string {
	return "each required line of fstab leads to a device (" + count(len(f.Fstab), "line") + ")"
}

func okNames(_ *Plan, f *Facts) string {
	return "each device name outside of fstab is clear (" + count(len(f.Uses), "name") + ")"
}

func okResume(*Plan, *Facts) string { return "no resume_offset= on the kernel command line" }

// pathOf is the device that a node of the plan is on now, or was.
func (f *Facts) pathOf(p *Plan, n *Node) string {
	if d, err := f.Volume(p, n.Ref); err == nil && d != nil {
		return d.Path
	}
	return n.Was
}

func firmwareOf(f *Facts) string {
	if name, ok := map[string]string{"bios": "BIOS", "efi": "UEFI"}[f.Firmware]; ok {
		return name
	}
	return orUnknown(f.Firmware)
}
