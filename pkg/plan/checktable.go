package plan

import "strings"

// checkTables warns of partition tables that were read around a damage, once a disk: the kernel and the boot loader look at
// one copy only, and the next one to look may look at the other.
func checkTables(p *Plan, f *Facts, a *answers) {
	for _, n := range p.Disks() {
		d, _ := f.Disk(n)
		if d == nil || d.Table == nil || len(d.Table.Damage) == 0 {
			continue
		}
		if p.Source.Node(n.Ref) == nil {
			// Its own table is written again where a copy is damaged; another is replaced, or checkEmpty refuses the disk.
			continue
		}
		a.warn("partition table of "+d.Path, "it need not be repaired first, for finish writes a new one; to look at it: sfdisk --verify "+d.Path, "damaged: %s; the plan follows what the kernel uses", strings.Join(d.Table.Damage, "; "))
	}
}

// checkSectors warns of disks that the boot loader may not read. The copy and the arrays are not affected.
func checkSectors(p *Plan, f *Facts, a *answers) {
	l := f.loader()
	for _, n := range p.Disks() {
		if l.boots(n) {
			continue
		}
		then, fix := "after the migration the old system may come up again, and this disk may not boot alone", "use a disk with logical sectors of 512 bytes"
		if p.Source.Node(n.Ref) != nil {
			then, fix = "after finish this disk may not boot alone", "after finish, leave the new disk first in the firmware's boot order"
		}
		a.warn("disk "+n.Was, fix, "its logical sectors have %d bytes, and %s may not read it (its boot code counts in sectors of %d): %s", n.Disk.Sector, l.Title, l.Sector, then)
	}
}

// boots reports whether the loader is known to boot from a disk of these sectors.
func (l Loader) boots(disk *Node) bool { return l.Sector == 0 || disk.Disk.Sector <= l.Sector }
