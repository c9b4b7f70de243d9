package plan

import (
	"fmt"
	"slices"
	"strings"
)

// Describe tells the machine in one page, for people at a serial console: ASCII, 80 columns.
func (f *Facts) Describe() string {
	p := &page{}
	f.describeSystem(p)
	f.describeDisks(p)
	f.describeArrays(p)
	f.describeVolumes(p)
	f.describeBoot(p)
	f.describeProblems(p)
	return p.String()
}

// DescribeStorage is the part of Describe that an image sees too: disks, arrays, and what could not be read.
func (f *Facts) DescribeStorage() string {
	p := &page{}
	f.describeDisks(p)
	f.describeArrays(p)
	f.describeVolumes(p)
	f.describeProblems(p)
	return p.String()
}

func (f *Facts) describeProblems(p *page) {
	for _, part := range []struct {
		head string
		note bool
	}{{"Could not be read", false}, {"Noticed", true}} {
		first := true
		for _, x := range f.Problems {
			if x.Note != part.note {
				continue
			}
			if first {
				p.head("%s", part.head)
			}
			first = false
			p.para("  ", "%s: %s", x.Subject, x.Err)
		}
	}
}

func (f *Facts) describeSystem(p *page) {
	p.line("Machine")
	id := ""
	if f.Machine.ID != "" {
		id = "machine-id " + f.Machine.ID
	}
	mem := ""
	if f.Machine.Memory > 0 {
		mem = size(f.Machine.Memory) + " of memory"
	}
	p.pair("name", "%s", joined(orUnknown(f.Machine.Hostname), mem, id))
	p.pair("system", "%s", joined(strings.TrimSpace(orUnknown(f.Distro.ID)+" "+f.Distro.Version), f.Distro.Init))
	p.pair("kernel", "%s", orUnknown(f.Kernel.Release))
	p.pair("firmware", "%s", firmwareOf(f))
	if f.Machine.UID != 0 {
		p.pair("run by", "uid %d, not root: what only root can read is missing below", f.Machine.UID)
	}
}

func (f *Facts) describeDisks(p *page) {
	p.head("Disks")
	none := true
	for i := range f.Devices {
		d := &f.Devices[i]
		switch d.Kind {
		case KindDisk, KindDM, KindLoop:
			none = false
			f.describeDisk(p, d)
		}
	}
	if none {
		p.line("  none")
	}
}

func (f *Facts) describeDisk(p *page, d *Device) {
	table := ""
	if d.Table != nil {
		table = d.Table.Scheme
	}
	id := ""
	switch {
	case d.Serial != "":
		id = "serial " + d.Serial
	case d.WWN != "":
		id = "wwn " + d.WWN
	case d.Bus != "" && d.Kind == KindDisk:
		id = "no serial, at " + d.Bus
	}
	sector := ""
	if d.Sector > 512 {
		sector = fmt.Sprintf("%d-byte sectors", d.Sector)
	}
	kind := ""
	if d.Kind != KindDisk {
		kind = d.Kind
	}
	parts := f.Parts(d.Name)
	held := ""
	switch unread := func(x Problem) bool { return !x.Note && (x.Subject == d.Path || x.Device == d.Path) }; {
	case slices.ContainsFunc(f.Problems, unread):
		held = "contents unknown"
	case d.Empty() && len(parts) == 0 && len(d.Holders) == 0 && d.Size > 0:
		held = "empty"
	}
	damaged := ""
	if d.Table != nil && len(d.Table.Damage) > 0 {
		damaged = "DAMAGED TABLE: " + strings.Join(d.Table.Damage, "; ")
	}
	p.para(fmt.Sprintf("  %-14s %9s  ", d.Path, size(d.Size)), "%s", joined(held, kind, table, damaged, d.Model, id, sector, bootSector(d), d.flags(), d.carries(), d.usedBy()))
	f.describeParts(p, d)
}

func (f *Facts) describeParts(p *page, d *Device) {
	for _, x := range f.Parts(d.Name) {
		what := x.carries()
		if what == "" {
			what = roleWords(roleIn(d.Table, x.Number))
		}
		p.para(fmt.Sprintf("    %-12s %9s  ", x.Name, size(x.Size)), "%s", joined(what, x.flags(), x.usedBy()))
	}
}

func bootSector(d *Device) string {
	switch d.BootSector {
	case "":
		return ""
	case "unknown":
		return "unknown boot sector"
	}
	return d.BootSector + " in its boot sector"
}

func (d *Device) flags() string {
	ro, rm := "", ""
	if d.ReadOnly {
		ro = "READ-ONLY"
	}
	if d.Removable {
		rm = "removable"
	}
	return joined(ro, rm, d.Remote)
}

// carries lists the signatures on a device.
func (d *Device) carries() string {
	var out []string
	for _, c := range d.Contents {
		s := c.Type
		if c.Label != "" {
			s += fmt.Sprintf(" %q", c.Label)
		}
		if c.Kind == ContentFS && c.Used > 0 {
			s += ", " + size(c.Used) + " used"
		}
		if c.Ghost {
			s += " (a remnant)"
		}
		if c.Dirty != "" && len(d.MountedAt) == 0 {
			s += ", NOT CLEAN: " + c.Dirty
		}
		out = append(out, s)
	}
	return strings.Join(out, " + ")
}

func (d *Device) usedBy() string {
	var out []string
	if len(d.MountedAt) > 0 {
		out = append(out, "mounted at "+strings.Join(d.MountedAt, ", "))
	}
	if d.Swapping {
		out = append(out, "in use as swap")
	}
	if len(d.Holders) > 0 {
		out = append(out, "held by "+strings.Join(d.Holders, ", "))
	}
	return joined(out...)
}

func roleWords(role string) string {
	switch role {
	case RoleBIOSGrub:
		return "BIOS boot (GRUB's core image)"
	case RoleESP:
		return "EFI system partition"
	case RoleJournal:
		return "migrate-init journal"
	case RoleOneShot:
		return "migrate-init boot block"
	}
	return "no known contents"
}

func (f *Facts) describeArrays(p *page) {
	if len(f.Arrays) == 0 {
		return
	}
	p.head("Arrays")
	for i := range f.Arrays {
		a := &f.Arrays[i]
		node, holds := "not running", ""
		if a.Node != "" {
			node = "/dev/" + a.Node
			if d := f.Dev(a.Node); d != nil {
				holds = joined(size(d.Size), d.carries(), d.usedBy())
			}
		}
		var members []string
		for _, m := range a.Members {
			s := m.Device
			if m.Stale != "" {
				s += " (stale: " + m.Stale + ")"
			}
			members = append(members, s)
		}
		sync := ""
		if a.Sync != "" && a.Sync != "idle" {
			sync = a.Sync
			if a.SyncAll > 0 {
				sync += fmt.Sprintf(" %d%%", 100*(a.SyncDone/1024)/max(1, a.SyncAll/1024))
			}
		}
		p.para(fmt.Sprintf("  %-14s ", node), "%s", joined(a.Name, "raid"+strings.TrimPrefix(a.Level, "raid")+" "+a.Marks(), "metadata "+a.Metadata, holds, "members "+strings.Join(members, " "), sync, "UUID "+a.UUID))
		if d := f.Dev(a.Node); a.Node != "" && d != nil {
			f.describeParts(p, d)
		}
	}
}

// Marks draws an array as /proc/mdstat does: [U_]. Of one that runs, the kernel's count of missing members decides; which slots
// those are is drawn where the superblocks agree with it.
func (r *Array) Marks() string {
	slots := make([]byte, min(max(r.Devices, 0), 64))
	for i := range slots {
		slots[i] = '_'
	}
	up := 0
	for _, m := range r.Members {
		if m.Role >= 0 && m.Role < len(slots) && m.Stale == "" && slots[m.Role] != 'U' {
			slots[m.Role] = 'U'
			up++
		}
	}
	if n := min(max(0, r.Devices-r.Degraded), len(slots)); r.Node != "" && up != n {
		return "[" + strings.Repeat("U", n) + strings.Repeat("_", len(slots)-n) + "]"
	}
	return "[" + string(slots) + "]"
}

func (f *Facts) describeBoot(p *page) {
	b := &f.Boot
	p.head("Booting")
	on := ""
	if b.Device != "" {
		on = "on /dev/" + b.Device
	}
	more := ""
	if l := f.loader(); l.Describe != nil {
		more = joined(l.Describe(f)...)
	}
	p.pair("boot loader", "%s", joined(strings.TrimSpace(orUnknown(b.Loader)+" "+b.Version), b.Config, on, more))
	why, refused := f.oneShot()
	for _, x := range refused {
		p.pair("one-shot", "NO: %s", joinedBy("; ", x.Detail, x.Fix))
	}
	if len(refused) == 0 {
		p.pair("one-shot", "yes: %s", why)
	}
	if len(b.PlanEntries) > 0 {
		p.pair("scheduled", "plan %s", strings.Join(b.PlanEntries, ", "))
	}
	if b.NextEntry != "" {
		p.pair("next boot", "%s", b.NextEntry)
	}
	p.pair("initramfs by", "%s", orUnknown(f.Distro.Initrd))
	for i, k := range b.Kernels {
		label, note := "", ""
		if i == 0 {
			label = "kernels"
		}
		if k.Release == f.Kernel.Release {
			note = "running"
		}
		mod, initrd := "", ""
		if !k.Modules {
			mod = "NO MODULES in /lib/modules"
		}
		if k.Initrd == "" {
			initrd = "no initrd"
		}
		p.pair(label, "%s", joined(k.Path, note, mod, initrd))
	}
	var missing []string
	for _, x := range f.Distro.Packages {
		if !x.Installed && f.uses(x.Name) {
			missing = append(missing, x.Name)
		}
	}
	if len(missing) > 0 {
		p.pair("not installed", "%s; %s", strings.Join(missing, ", "), f.Rules.Family(f.Distro.Family).InstallCommand(missing...))
	}
}
