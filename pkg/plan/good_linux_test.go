package plan_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"migrate-init/pkg/distro"
	"migrate-init/pkg/loader"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/sim"
	"migrate-init/pkg/survey"
)

// looked is what a look at the made-up Debian finds, with disks and partitions as large as those of the facts that the
// tests of this package start from, and with the rows that the program has.
func looked(t *testing.T) *plan.Facts {
	t.Helper()
	const gib = 1024 * sim.MiB
	m := sim.Install(t, sim.Layout{DiskSize: 20 * gib, Parts: []sim.Part{
		{Kind: "bios_grub", Size: sim.MiB},
		{Kind: "linux", Size: 18 * gib, UUID: sim.OldRoot, Mount: "/", Fstab: "UUID=" + sim.OldRoot + " / ext4 errors=remount-ro 0 1\n"},
		{Kind: "swap", Size: gib, UUID: sim.OldSwap, Fstab: "UUID=" + sim.OldSwap + " none swap sw 0 0\n"},
	}})
	m.Rules = distro.Known().Rules()
	m.Rules.Loaders = loader.Known().Rules()
	f, err := m.Look(t.Context(), survey.Whole)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// seen is what of some facts a plan depends on, without identities and names of kernels.
func seen(f *plan.Facts) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	say("firmware %s, problems %v", f.Firmware, f.Problems)
	for _, d := range f.Devices {
		say("%s: %s of %q, %d at %d, sectors of %d, number %d, at %q, swapping %v, held by %q", d.Name, d.Kind, d.Parent, d.Size, d.Start, d.Sector, d.Number, d.MountedAt, d.Swapping, d.Holders)
		say("  has GUID %v, serial number %v, bus %v, link %v, boot sector %v, virtio %v", d.GUID != "", d.Serial != "", d.Bus != "", d.ByID != "", d.BootSector != "", slices.Contains(d.Drivers, "virtio_blk"))
		if d.Table != nil {
			for _, p := range d.Table.Partitions {
				say("  %s partition %d: %s, %d at %d", d.Table.Scheme, p.Number, p.Role, p.Size, p.Start)
			}
		}
		for _, c := range d.Contents {
			say("  %s %s, UUID %v, blocks of %d, inodes of %d, by blocks: %q", c.Kind, c.Type, c.UUID != "", c.BlockSize, c.InodeSize, plan.FSTypeOf(c.Type).NotByBlocks(c.Features))
		}
	}
	for _, e := range f.Fstab {
		say("fstab: %s %s %s on %s", e.Target, e.Type, e.Options, e.Device)
	}
	say("boot: loader %v, device %s, directory %s", f.Boot.Loader != "", f.Boot.Device, f.Boot.Dir)
	for _, k := range f.Boot.Kernels {
		say("  kernel %v, initrd %v, modules %v, size %v", k.Path == "/boot/vmlinuz-"+k.Release && k.Release == f.Kernel.Release, k.Initrd == "/boot/initrd.img-"+k.Release, k.Modules, k.Size > 0)
	}
	d := f.Distro
	say("distribution: %s %s, %s, %s, %s, packages %v", d.ID, d.Version, d.Family, d.Initrd, d.Init, d.Packages)
	return out
}

// shape is a plan without its identities.
func shape(p *plan.Plan) []string {
	var out []string
	kind := func(r plan.Ref) string {
		for i, c := range r {
			if c == ':' {
				return string(r[:i])
			}
		}
		return string(r)
	}
	for _, g := range []struct {
		name  string
		nodes plan.Graph
	}{{"source", p.Source}, {"target", p.Target}, {"final", p.Final}} {
		for i := range g.nodes {
			n := &g.nodes[i]
			var on []string
			for _, r := range n.On {
				at := slices.IndexFunc(g.nodes, func(x plan.Node) bool { return x.Ref == r })
				on = append(on, fmt.Sprintf("%s %d", kind(r), at))
			}
			line := fmt.Sprintf("%s %d: %s on %q, %d", g.name, i, kind(n.Ref), on, n.Size)
			switch {
			case n.Part != nil:
				line += fmt.Sprintf(", %d %s %q at %d", n.Part.Number, n.Part.Role, n.Part.Name, n.Part.Start)
			case n.MD != nil:
				line += fmt.Sprintf(", %s level %d %s", n.MD.Node, n.MD.Level, n.MD.Metadata)
			case n.FS != nil:
				line += fmt.Sprintf(", %s at %s", n.FS.Type, n.FS.Mount)
			}
			out = append(out, line)
		}
	}
	for _, m := range p.Moves {
		out = append(out, fmt.Sprintf("move %s to %s by %s: %s", kind(m.From), kind(m.To), m.Engine, m.Why))
	}
	return append(out, fmt.Sprintf("journal %s, boot at %s from %s", kind(p.Journal), p.Boot.Mount, kind(p.Boot.Volume)), fmt.Sprint(p.Phases))
}

// TestGoodIsTheMadeUpDebian: the facts that this package's tests start from are written down, since what they vary are
// facts; they must be those that a look at the one made-up Debian finds, and lead to the same plan.
func TestGoodIsTheMadeUpDebian(t *testing.T) {
	good, f := plan.Good(), looked(t)
	if d := cmp.Diff(seen(f), seen(good)); d != "" {
		t.Errorf("facts (-looked +written down):\n%s", d)
	}
	var shapes [][]string
	for _, f := range []*plan.Facts{f, good} {
		p, found, err := plan.New(plan.Wish(), f)
		if err != nil {
			t.Fatalf("%v\n%v", err, found)
		}
		shapes = append(shapes, shape(p))
	}
	if d := cmp.Diff(shapes[0], shapes[1]); d != "" {
		t.Errorf("plan (-looked +written down):\n%s", d)
	}
}
