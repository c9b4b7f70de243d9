package sim

import (
	"fmt"
	"path"
	"strings"
	"testing/fstest"

	"migrate-init/pkg/gpt"
)

// embedGRUB does what grub-install does: the core image into the bios_grub partition, and then the boot sector. torn
// leaves the boot sector as it was.
func embedGRUB(d *Device, prefix string, torn bool) error {
	t, err := gpt.Read(d, d.Size, 512)
	if err != nil {
		return err
	}
	for _, p := range t.Partitions {
		if k, _ := gpt.KindOf(p.Type); k.Name != "bios_grub" {
			continue
		}
		lba := uint64(p.Start / 512)
		core := GRUBCore(lba, prefix, "biosdisk", "part_gpt", "part_msdos", "diskfilter", "mdraid1x", "raid5rec", "ext2")
		if int64(len(core)) > p.Size {
			return fmt.Errorf("core image of %d bytes", len(core))
		}
		d.Write(core, p.Start)
		if torn {
			return nil
		}
		old := make([]byte, 512)
		if _, err := d.ReadAt(old, 0); err != nil {
			return err
		}
		b := GRUBBootSector(lba)
		copy(b[440:], old[440:])
		d.Write(b, 0)
		return nil
	}
	return fmt.Errorf("disk %s: no bios_grub partition", d.Name)
}

func (m *Machine) grubInstall(root, disk string, torn bool) error {
	b, on := m.Dev(disk), m.under(path.Join("/", root, "boot/grub"))
	if b == nil || on == nil {
		return fmt.Errorf("grub-install %s: no such disk, or /boot/grub is on none", disk)
	}
	a := m.Arrays[on.Name]
	if a == nil {
		return fmt.Errorf("grub-install: %s is no array", on.Name)
	}
	m.guard(b, "grub-install")
	for _, mod := range []string{"normal", "linux"} {
		m.store(root, "boot/grub/i386-pc/"+mod+".mod", []byte("mod"))
	}
	return embedGRUB(b, "(mduuid/"+strings.ReplaceAll(a.UUID, ":", "")+")/boot/grub", torn)
}

// updateGRUB writes grub.cfg: by UUID only where /dev/disk/by-uuid has the link, as grub-mkconfig does.
func (m *Machine) updateGRUB(root string, torn bool) error {
	in := m.Below(root)
	id, dev := standIn(in["usr/sbin/grub-probe"])
	if id == "" {
		on := m.under(path.Join("/", root))
		if on == nil {
			return fmt.Errorf("grub-probe: failed to get canonical path of %s", root)
		}
		id, dev = m.FilesystemOn(on), "/dev/"+on.Name
	}
	if in["dev/disk/by-uuid/"+id] != nil {
		dev = "UUID=" + id
	}
	if in["etc/default/grub.d/migrate-init.cfg"] == nil {
		dev = "UUID=" + OldRoot // os-prober finds the old system
	}
	cmdline := ""
	if f := in["etc/default/grub"]; f != nil {
		for line := range strings.Lines(string(f.Data)) {
			if v, ok := strings.CutPrefix(line, "GRUB_CMDLINE_LINUX="); ok {
				cmdline = strings.Trim(strings.TrimSpace(v), `"`)
			}
		}
	}
	cfg := GRUBConfig(dev, cmdline)
	if torn {
		cfg = cfg[:len(cfg)/3]
	}
	m.store(root, "boot/grub/grub.cfg", []byte(cfg))
	return nil
}

// standIn is what a grub-probe that is a script answers for the root, "" for the real one.
func standIn(f *fstest.MapFile) (id, dev string) {
	if f == nil {
		return "", ""
	}
	for line := range strings.Lines(string(f.Data)) {
		for w := range strings.FieldsSeq(line) {
			if v, ok := strings.CutPrefix(w, "uuid="); ok {
				id = v
			}
			if v, ok := strings.CutPrefix(w, "dev="); ok {
				dev = v
			}
		}
	}
	return id, dev // of the last case, which is the root's
}
