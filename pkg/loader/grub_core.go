package loader

import (
	"fmt"
	"io"
	"strings"

	"migrate-init/boot"
	"migrate-init/pkg/plan"
)

// grubProveDisk reads a disk's boot sector and core image.
func grubProveDisk(p *plan.Plan, g plan.Graph, t *plan.Node, d Disk) (string, error) {
	s, err := grubSettingsOf(p)
	if err != nil {
		return "", err
	}
	core, err := ReadCore(d)
	if err != nil {
		return "", fmt.Errorf("disk %s: %w", d.Path, err)
	}
	want := append([]string{"part_gpt", p.BootFSType().GRUB}, grubArrays(g)...)
	if miss := core.Missing(want...); len(miss) > 0 {
		return "", fmt.Errorf("disk %s: %s missing from GRUB's core image", d.Path, strings.Join(miss, ", "))
	}
	vol, err := grubVolume(p.Boot.Volume)
	if err != nil {
		return "", err
	}
	if want := "(" + vol + ")" + grubNewPrefix(p, s); core.Prefix != want {
		return "", fmt.Errorf("disk %s: GRUB's core image looks for its files in %s, planned %s", d.Path, core.Prefix, want)
	}
	for _, x := range core.Extents {
		if !embedded(g.Parts(t.Ref), x) {
			return "", fmt.Errorf("disk %s: GRUB's core image is at sector %d, outside of the partition made for it", d.Path, x.LBA)
		}
	}
	return fmt.Sprintf("GRUB's boot sector and core image, prefix %s", core.Prefix), nil
}

// embedded reports whether sectors of a core image are in the disk's bios_grub partition: elsewhere a filesystem or an
// array may write over them.
func embedded(parts []*plan.Node, x boot.Extent) bool {
	for _, p := range parts {
		if p.Part.Role == plan.RoleBIOSGrub && int64(x.LBA)*512 >= p.Part.Start && int64(x.LBA+x.Sectors)*512 <= p.Part.Start+p.Size {
			return true
		}
	}
	return false
}

// ReadCore follows the boot sector to the core image and reads it whole.
func ReadCore(r io.ReaderAt) (boot.Core, error) {
	b, err := readCoreBytes(r)
	if err != nil {
		return boot.Core{}, err
	}
	return boot.ParseCore(b)
}

// readCoreBytes reads GRUB's core image as the boot sector and the block list of its first sector say.
func readCoreBytes(r io.ReaderAt) ([]byte, error) {
	const most = 4 << 20
	lba0 := make([]byte, sector)
	if _, err := r.ReadAt(lba0, 0); err != nil {
		return nil, fmt.Errorf("boot sector: %w", err)
	}
	bs, err := boot.ParseBootSector(lba0)
	if err != nil {
		return nil, fmt.Errorf("boot sector: %w", err)
	}
	if bs.CoreLBA > 1<<53 {
		return nil, fmt.Errorf("boot sector: core image at sector %d", bs.CoreLBA)
	}
	core := make([]byte, sector)
	if _, err := r.ReadAt(core, int64(bs.CoreLBA)*sector); err != nil {
		return nil, fmt.Errorf("core image: %w", err)
	}
	exts, err := boot.CoreExtents(core)
	if err != nil {
		return nil, fmt.Errorf("core image: %w", err)
	}
	for _, x := range exts {
		if x.Sectors > most/sector || len(core) > most || x.LBA > 1<<53 {
			return nil, fmt.Errorf("core image: block list of %d sectors", x.Sectors)
		}
		b := make([]byte, int64(x.Sectors)*sector)
		if _, err := r.ReadAt(b, int64(x.LBA)*sector); err != nil {
			return nil, fmt.Errorf("core image: %w", err)
		}
		core = append(core, b...)
	}
	return core, nil
}
