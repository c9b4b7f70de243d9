package stage

import (
	"context"
	"strings"
	"testing"

	"migrate-init/boot"
	"migrate-init/pkg/gpt"
	"migrate-init/pkg/loader"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/sim"
)

// firmware is what a BIOS that tries the new disk first makes of it: "next" for a disk that goes on to the next one, "GRUB",
// or what it would hang in.
func (w *world) firmware(p *plan.Plan) string {
	d := w.Disks[1]
	lba0 := make([]byte, bootSectorSize)
	if _, err := d.ReadAt(lba0, 0); err != nil {
		return err.Error()
	}
	if t, err := gpt.Read(d, d.Size, bootSectorSize); err != nil || !strings.EqualFold(t.ID, p.NewDisks()[0].Disk.Table) {
		return "next" // what it was before is not ours
	}
	switch owner := boot.SectorOwner(lba0); owner {
	case "migrate-init":
		return "next"
	case "GRUB":
	default:
		return "boot code of owner \"" + owner + "\""
	}
	if _, err := loader.ReadCore(d); err != nil {
		return "core image: " + err.Error()
	}
	tree := w.Trees[p.Target.MountedAt(p.Boot.Mount).Ref.ID()]
	for _, f := range []string{"boot/grub/i386-pc/normal.mod", "boot/grub/i386-pc/linux.mod", "boot/grub/grub.cfg"} {
		if tree[f] == nil || len(tree[f].Data) == 0 {
			return "a boot loader without /" + f
		}
	}
	if cfg, err := boot.ParseGRUBConfig(tree["boot/grub/grub.cfg"].Data); err != nil || !cfg.SourcesCustom {
		return "a torn grub.cfg"
	}
	custom := tree["boot/grub/custom.cfg"]
	if custom == nil {
		return "a boot loader that asks no one"
	}
	if lines, err := boot.FindDeferral(custom.Data); err != nil || lines == nil {
		return "a boot loader that asks no one"
	}
	return "GRUB"
}

// startsSomething fails where a BIOS that tries the new disk first would hang.
func (w *world) startsSomething(t *testing.T, p *plan.Plan) {
	t.Helper()
	if got := w.firmware(p); got != "next" && got != "GRUB" {
		t.Errorf("the firmware tries the new disk first, and stays in %s", got)
	}
}

// TestNewDiskWaits: a second try makes the new system again on a disk that boots already. Until it is whole, that disk goes
// on to the next one.
func TestNewDiskWaits(t *testing.T) {
	w := newWorld(t)
	p, text := planned(t, w, nil)
	w.Boot()
	var last *world
	for _, s := range record(w, func() {
		if err := Run(context.Background(), w.env(p, text)); err != nil {
			t.Fatal(err)
		}
	}) {
		if !s.world.committedFile(p) {
			last = s.world
		}
	}
	if got := last.firmware(p); got != "GRUB" {
		t.Fatalf("before the commit the new disk starts %s", got)
	}
	last.BootOld()
	last.Boot()
	seen := map[string]int{}
	for _, s := range record(last, func() {
		if err := Run(context.Background(), last.env(p, text)); err != nil {
			t.Fatal(err)
		}
	}) {
		s.world.startsSomething(t, p)
		got := s.world.firmware(p)
		seen[got]++
		if tree := s.world.Trees[p.Boot.Root]; got == "GRUB" && tree["etc/fstab"] == nil {
			t.Errorf("after %q: it boots a system that is being copied", s.what)
		}
	}
	if seen["next"] < 10 || seen["GRUB"] < 2 {
		t.Errorf("seen in the second try: %v", seen)
	}
	if last.Entered != TargetDir {
		t.Errorf("entered %q", last.Entered)
	}
}

// TestNewDiskHangsWithoutCode shows that the made-up firmware has an opinion.
func TestNewDiskHangsWithoutCode(t *testing.T) {
	w := newWorld(t)
	p, text := planned(t, w, nil)
	if err := w.migrate(p, text, sim.Fault{}); err != nil {
		t.Fatal(err)
	}
	w.startsSomething(t, p)
	w.Disks[1].Write(make([]byte, 440), 0)
	if got := w.firmware(p); got != `boot code of owner ""` {
		t.Errorf("no code: %s", got)
	}
}

// oneAnswer fails where the old disk boots the new system already, and the new disk still asks the old one's boot loader,
// which may answer otherwise.
func (w *world) oneAnswer(t *testing.T, p *plan.Plan) {
	t.Helper()
	old, err := loader.ReadCore(w.Disks[0])
	if err != nil || !strings.HasPrefix(old.Prefix, "(mduuid/") {
		return
	}
	tree := w.Trees[p.Target.MountedAt(p.Boot.Mount).Ref.ID()]
	if custom := tree["boot/grub/custom.cfg"]; custom != nil {
		if lines, err := boot.FindDeferral(custom.Data); err != nil || lines != nil {
			t.Errorf("the old disk was taken over, and the new one asks its boot loader: %v", err)
		}
	}
}
