package plan

import (
	"fmt"
	"strings"
)

// seedDir is where cloud-init also looks for what a filesystem of this label holds (DataSourceConfigDrive and
// DataSourceNoCloud; tools/ds-identify asks both places), "" for a filesystem that it does not look for.
func seedDir(label string) string {
	switch strings.ToLower(label) {
	case "config-2":
		return "/var/lib/cloud/seed/config_drive"
	case "cidata":
		return "/var/lib/cloud/seed/nocloud"
	}
	return ""
}

// seedLoss says what the machine loses with such a filesystem.
const seedLoss = "cloud-init finds this machine's settings on it; without it, cloud-init takes the machine for a new one at its next boot: new SSH host keys, and the network by DHCP"

// saveSeed copies it to the other place, which is moved with the system.
func saveSeed(p *Device, dir string) string {
	return fmt.Sprintf("mkdir -p %[2]s && mount -o ro %[1]s /mnt && cp -a /mnt/. %[2]s && umount /mnt", p.Path, dir)
}

// immovable refuses a filesystem beside the root of a type that does not move: no line in fstab would help.
func (b *builder) immovable(p *Device, tab *Fstab, fs *Content) {
	leave := "pass --leave " + p.Path + " to leave it behind (finish erases it)"
	release := ""
	if p.usedBy() != "" {
		release = "take it out of use, then "
	}
	switch dir := seedDir(fs.Label); {
	case dir != "":
		b.refuse("partition "+p.Path, "keep a copy where cloud-init looks as well: "+saveSeed(p, dir)+"; then "+release+leave,
			"it carries %s, which this version does not move, and %s", p.carries(), seedLoss)
	case tab != nil:
		b.typed(tab.Target, fs.Type)
	default:
		b.refuse("partition "+p.Path, "copy what you want to keep, then "+release+leave, "it carries %s, which this version does not move%s", p.carries(), comma(p.usedBy()))
	}
}
