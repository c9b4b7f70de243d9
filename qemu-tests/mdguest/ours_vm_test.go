package mdguest

import (
	"strings"
	"testing"

	"migrate-init/pkg/md"
)

// TestOurs: arrays that pkg/md wrote, started by the kernel as pkg/stage starts them, seen by mdadm, and accepted by it.
func TestOurs(t *testing.T) {
	g := enter(t)
	for _, s := range shapes() {
		t.Run(s.String(), func(t *testing.T) { g.with(t).ours(s) })
	}
}

func (g *guest) ours(s shape) {
	g.tidy()
	all := g.members(s)
	here := s.present(all)
	g.blank(all...)
	images := g.create(s.spec(all), all)
	clean := images[0].Super.Clean()
	for i, d := range here {
		was := g.scan(d)
		g.examined(d, was)
		if s.bitmap {
			dirty := int64(0)
			if !clean {
				dirty = bits(g, d, was)
			}
			g.bitmapped(d, was, dirty)
		}
		if was.Events != images[i].Super.Events || was.Role() != images[i].Super.Role() {
			g.Errorf("%s: read back as %s at %d events, written as %s at %d", d.path, was.Role(), was.Events, images[i].Super.Role(), images[i].Super.Events)
		}
	}
	if d := g.group(here...).Startable(md.Policy{}); !d.Start {
		g.Errorf("our own new array is not startable: %s", d.Reason)
	}
	g.kernel()
	g.start(s.version, s.viaSysfs, here...)
	st := g.status(node)
	if !st.Running() || st.RaidDisks != s.disks || st.Degraded != s.missing || st.Version != string(s.version) ||
		st.Size != arrayBytes(images[0].Super) || st.Component != images[0].Super.Size || len(st.Members) != len(here) {
		g.Errorf("started as %+v", st)
	}
	if clean && (!st.Clean || st.Sync.Active) {
		g.Errorf("created clean, yet the kernel resyncs: %+v", st)
	}
	g.settle(node, idle)
	said := g.kernel()
	if !strings.Contains(said, "md/raid") {
		g.Errorf("the kernel's log does not tell of the start: %q", said)
	}
	g.unwelcome(said, complaints)
	g.fill(node, int64(s.number))
	g.verify(node, int64(s.number))
	g.settle(node, func(st md.Status) bool { return idle(st) && st.State == "clean" })
	now := g.scan(here[0])
	g.detailed(node, now, len(here))
	g.stop(!s.viaSysfs)
	for _, d := range here {
		x := g.scan(d)
		g.examined(d, x)
		if s.bitmap {
			g.bitmapped(d, x, -1)
		}
	}

	argv := []string{"mdadm", "--assemble", "/dev/md6"}
	for _, d := range here {
		argv = append(argv, d.path)
	}
	out := g.must(argv...)
	g.settle("md6", idle)
	if st := g.status("md6"); st.Degraded != s.missing || len(st.Members) != len(here) {
		g.Errorf("mdadm assembled %+v\n%s", st, out)
	}
	g.verify("md6", int64(s.number))
	g.must("mdadm", "--stop", "/dev/md6")
	g.unwelcome(g.kernel(), complaints)
}

func bits(g *guest, d disk, s md.Superblock) int64 {
	g.Helper()
	r := g.open(d.path)
	defer r.Close()
	m, err := md.ReadBitmap(r, s)
	if err != nil {
		g.Fatal(err)
	}
	return m.Bits()
}
