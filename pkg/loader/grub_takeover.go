package loader

import (
	"bytes"
	"fmt"

	"migrate-init/boot"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

const sector = 512

// grubTakeover puts a copy of the core image that reads the new array into unpartitioned space of the old disk. Then one
// sector decides: the boot sector, which is written last.
func grubTakeover(_ *plan.Plan, t Takeover) ([]machine.Effect, error) {
	core, err := readCoreBytes(t.New)
	if err != nil {
		return nil, fmt.Errorf("disk %s: %w", t.New.Path, err)
	}
	lba := t.First/sector - int64(len(core)/sector)
	if lowest := int64(2 + 32); lba < lowest {
		return nil, fmt.Errorf("old disk %s: %d bytes before its first partition do not hold GRUB's core image of %d; install the boot loader by hand and take the disk into the array with mdadm --add", t.Old.Path, t.First, len(core))
	}
	from, err := readAt(t.New, 0, sector)
	if err != nil {
		return nil, err
	}
	old, err := readAt(t.Old, 0, sector)
	if err != nil {
		return nil, err
	}
	sec0, moved, err := boot.Relocate(from, core, old, uint64(lba))
	if err != nil {
		return nil, fmt.Errorf("old disk %s: %w", t.Old.Path, err)
	}
	if now, err := readAt(t.Old, lba*sector, len(moved)); err == nil && bytes.Equal(old, sec0) && bytes.Equal(now, moved) {
		return nil, nil // an earlier run got this far
	}
	if err := apart(t.Old, lba*sector, int64(len(moved))); err != nil {
		return nil, err
	}
	return []machine.Effect{
		machine.WriteDevice{Dev: t.Old.Path, Why: "GRUB's core image, before the first partition", Chunks: []machine.Chunk{{Offset: lba * sector, Data: moved}}},
		machine.WriteDevice{Dev: t.Old.Path, Why: "boot sector", Chunks: []machine.Chunk{{Offset: 0, Data: sec0}}},
	}, nil
}

func readAt(d Disk, off int64, n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := d.ReadAt(b, off); err != nil {
		return nil, fmt.Errorf("disk %s: %w", d.Path, err)
	}
	return b, nil
}

// apart refuses when the place for the copied core image is where the old disk's own core image is: until the boot
// sector has been switched, that is what boots.
func apart(d Disk, at, length int64) error {
	lba0 := make([]byte, sector)
	if _, err := d.ReadAt(lba0, 0); err != nil {
		return fmt.Errorf("boot sector of %s: %w", d.Path, err)
	}
	bs, err := boot.ParseBootSector(lba0)
	if err != nil || bs.CoreLBA > 1<<53 {
		return nil // not GRUB's: nothing of GRUB's can be overwritten
	}
	head := make([]byte, sector)
	if _, err := d.ReadAt(head, int64(bs.CoreLBA)*sector); err != nil {
		return fmt.Errorf("core image of %s: %w", d.Path, err)
	}
	exts, err := boot.CoreExtents(head)
	if err != nil {
		return nil // it boots nothing now
	}
	for _, x := range append(exts, boot.Extent{LBA: bs.CoreLBA, Sectors: 1}) {
		if from, to := int64(x.LBA)*sector, int64(x.LBA+x.Sectors)*sector; from < at+length && at < to {
			return fmt.Errorf("old disk %s: its own core image (bytes %d to %d) lies where a copy of the new one has to go; install the boot loader by hand and take the disk into the array with mdadm --add", d.Path, from, to)
		}
	}
	return nil
}
