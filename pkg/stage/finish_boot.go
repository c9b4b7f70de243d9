package stage

import (
	"bytes"
	"context"
	"fmt"

	"migrate-init/boot"
	"migrate-init/pkg/distro"
	"migrate-init/pkg/gpt"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// newDiskBoots looks at the new disk's boot loader as it is today: it is what both disks start by from here on.
func (e *Env) newDiskBoots() error {
	if e.Plan.Boot.Loader != "grub" {
		return nil
	}
	pr := &prover{p: e.Plan, say: func(s string) { e.tell("review", "%s", s) }}
	for _, t := range e.Plan.NewDisks() {
		if err := e.proveBootSector(e.Plan.Target, t, pr); err != nil {
			return fmt.Errorf("new disk: its boot loader is not as it was proved, and the old one must not go; put it right with grub-install on the new disk: %w", err)
		}
	}
	return nil
}

// switchBootSector lets the old disk boot the new array before anything of the old system is destroyed: one sector decides.
func (e *Env) switchBootSector(ctx context.Context, m *plan.Node, d *plan.Device, want gpt.Table) error {
	if e.Plan.Boot.Loader != "grub" {
		return nil
	}
	const sector = 512
	src, err := e.disk("new disk", e.Plan.NewDisks()[0])
	if err != nil {
		return err
	}
	r, err := e.Open(src.Path)
	if err != nil {
		return fmt.Errorf("disk %s: %w", src.Path, err)
	}
	defer r.Close()
	core, err := ReadCoreBytes(r)
	if err != nil {
		return fmt.Errorf("disk %s: %w", src.Path, err)
	}
	first := want.Partitions[0].Start
	for _, p := range d.Table.Partitions {
		first = min(first, p.Start)
	}
	for _, p := range want.Partitions {
		first = min(first, p.Start)
	}
	lba := first/sector - int64(len(core)/sector)
	if lowest := int64(2 + 32); lba < lowest {
		return fmt.Errorf("old disk %s: %d bytes before its first partition do not hold GRUB's core image of %d; install the boot loader by hand and take the disk into the array with mdadm --add", d.Path, first, len(core))
	}
	from, err := e.readAt(src.Path, 0, sector)
	if err != nil {
		return err
	}
	old, err := e.readAt(d.Path, 0, sector)
	if err != nil {
		return err
	}
	sec0, moved, err := boot.Relocate(from, core, old, uint64(lba))
	if err != nil {
		return fmt.Errorf("old disk %s: %w", d.Path, err)
	}
	if now, err := e.readAt(d.Path, lba*sector, len(moved)); err == nil && bytes.Equal(old, sec0) && bytes.Equal(now, moved) {
		return nil // an earlier run got this far
	}
	if err := e.apart(d, lba*sector, int64(len(moved))); err != nil {
		return err
	}
	if err := e.Record(ctx, Record{Stage: partOf(takeover, m), Event: Begin, Text: d.Path}); err != nil {
		return err
	}
	e.tell(takeover, "boot sector of %s reads the new array from here on", d.Path)
	return e.do(ctx,
		machine.WriteDevice{Dev: d.Path, Why: "GRUB's core image, before the first partition", Chunks: []machine.Chunk{{Offset: lba * sector, Data: moved}}},
		machine.WriteDevice{Dev: d.Path, Why: "boot sector", Chunks: []machine.Chunk{{Offset: 0, Data: sec0}}})
}

// apart refuses when the place for the copied core image is where the old disk's own core image is: until the boot
// sector has been switched, that is what boots.
func (e *Env) apart(d *plan.Device, at, length int64) error {
	r, err := e.Open(d.Path)
	if err != nil {
		return fmt.Errorf("disk %s: %w", d.Path, err)
	}
	defer r.Close()
	const sector = 512
	lba0 := make([]byte, sector)
	if _, err := r.ReadAt(lba0, 0); err != nil {
		return fmt.Errorf("boot sector of %s: %w", d.Path, err)
	}
	bs, err := boot.ParseBootSector(lba0)
	if err != nil || bs.CoreLBA > 1<<53 {
		return nil // not GRUB's: nothing of GRUB's can be overwritten
	}
	head := make([]byte, sector)
	if _, err := r.ReadAt(head, int64(bs.CoreLBA)*sector); err != nil {
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

// loaders are the programs that give the old disks boot loaders of their own.
func (e *Env) loaders() ([]machine.Effect, error) {
	sys, err := distro.Of(e.Plan)
	if err != nil {
		return nil, err
	}
	var out []machine.Effect
	for _, m := range e.Plan.LaterDisks() {
		d, err := e.disk("old disk", m)
		if err != nil {
			return nil, err
		}
		for _, x := range sys.Loader(e.Plan, "", []string{d.Path}) {
			out = append(out, x)
		}
	}
	return out, nil
}

// runInstall gives the old disks boot loaders of their own, and reads them back.
func runInstall(ctx context.Context, e *Env) error {
	effs, err := e.loaders()
	if err != nil {
		return err
	}
	for _, x := range effs {
		e.tell(install, "%s", x)
	}
	if err := e.do(ctx, effs...); err != nil {
		return err
	}
	if e.DryRun {
		return nil
	}
	pr := &prover{p: e.Plan, say: func(s string) { e.tell(install, "%s", s) }}
	for _, m := range e.Plan.LaterDisks() {
		if err := e.proveTable(e.Plan.Final, m); err != nil {
			return err
		}
		if e.Plan.Boot.Loader != "grub" {
			continue
		}
		if err := e.proveBootSector(e.Plan.Final, m, pr); err != nil {
			return err
		}
	}
	return nil
}
