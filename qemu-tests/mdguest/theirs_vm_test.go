package mdguest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"migrate-init/pkg/md"
)

// TestTheirs: arrays that mdadm and the kernel wrote, read by pkg/md and started as sources are, with nothing written.
func TestTheirs(t *testing.T) {
	g := enter(t)
	for _, s := range shapes() {
		t.Run(s.String(), func(t *testing.T) { g.with(t).theirs(s) })
	}
}

func (g *guest) theirs(s shape) {
	g.tidy()
	all := g.members(s)
	here := s.present(all)
	g.blank(all...)
	argv := []string{"mdadm", "--create", "/dev/md6", "--run", "--metadata=" + string(s.version), fmt.Sprintf("--level=%d", s.level),
		fmt.Sprintf("--raid-devices=%d", s.disks), "--bitmap=none"}
	if s.bitmap {
		argv[len(argv)-1] = "--bitmap=internal"
	}
	if s.version != md.V090 {
		argv = append(argv, "--name=theirs", "--homehost=lab")
	}
	for i := range all {
		if i < len(here) {
			argv = append(argv, all[i].path)
		} else {
			argv = append(argv, "missing")
		}
	}
	g.must(argv...)
	complete := func(st md.Status) bool { return idle(st) && st.Degraded == s.missing }
	g.settle("md6", complete)
	// mdadm 4.2 gives a 0.90 array's bitmap event count 0 under a superblock of 1, and the kernel says so.
	g.kernel()
	seed := int64(s.number) + 1000
	g.fill("md6", seed)
	g.must("mdadm", "--stop", "/dev/md6")

	for i, d := range here {
		x := g.scan(d)
		g.examined(d, x)
		if x.Version != s.version || x.Level != s.level || x.Role() != md.Role(i) || !x.InSync() || x.Features.Has(md.FeatureBitmap) != s.bitmap {
			g.Errorf("%s: %+v", d.path, x)
		}
		if s.bitmap {
			g.bitmapped(d, x, -1)
		}
	}
	d := g.group(here...).Startable(md.Policy{})
	if !d.Start || d.Degraded != s.missing || d.NewlyDegraded || d.Dirty || len(d.Use) != len(here) || len(d.Leave) > 0 {
		g.Fatalf("mdadm's array as it stopped: %+v", d)
	}
	g.readOnly(s, d, here, seed, s.missing)
	if s.missing > 0 {
		return
	}

	// Without one member, and with RAID6 without two: the table calls them active.
	for lack := 1; lack <= 2; lack++ {
		if lack == 2 && s.level != 6 {
			continue
		}
		rest := slices.Delete(slices.Clone(here), 1, 1+lack)
		set := g.group(rest...)
		if d := set.Startable(md.Policy{}); d.Start || !strings.Contains(d.Reason, "was active") {
			g.Errorf("without %d, by the zero policy: %+v", lack, d)
		}
		d := set.Startable(md.Policy{NewlyDegraded: true})
		if !d.Start || !d.NewlyDegraded || d.Degraded != lack || len(d.Use) != len(rest) {
			g.Fatalf("without %d: %+v", lack, d)
		}
		g.readOnly(s, d, rest, seed, lack)
		if lack == 1 && s.level == 6 {
			continue
		}
		// Started for writing, the table records what is missing: then it is an array that was degraded before.
		g.start(s.version, s.viaSysfs, g.use(d)...)
		g.settle(node, idle)
		g.fill(node, seed+1)
		g.stop(s.viaSysfs)
		again := g.group(rest...)
		if d := again.Startable(md.Policy{}); !d.Start || d.NewlyDegraded || d.Degraded != lack {
			g.Errorf("once it ran without %d: %+v", lack, d)
		}
		for i, x := range rest {
			g.examined(x, g.scan(x))
			if b := g.scan(x).Believes(); count(b) != s.disks-lack {
				g.Errorf("%s (%d): the table has %v active", x.path, i, b)
			}
		}
		g.start(s.version, s.viaSysfs, rest...)
		g.verify(node, seed+1)
		g.stop(s.viaSysfs)
	}
	g.unwelcome(g.kernel(), complaints)
}

func count(bs []bool) int {
	n := 0
	for _, b := range bs {
		if b {
			n++
		}
	}
	return n
}

// readOnly starts read-only, reads everything and stops: not one byte of the members may change. By ioctl it is start_ro,
// by sysfs (but for RAID1, to have that combination too) the state "readonly".
func (g *guest) readOnly(s shape, d md.Decision, here []disk, seed int64, missing int) {
	g.Helper()
	before, writes := g.sums(here...), g.written(here[0])
	want := "read-auto"
	if s.viaSysfs && s.level != 1 {
		want = "readonly"
		g.nodeUp()
		var devs []md.Dev
		for _, m := range g.use(d) {
			devs = append(devs, m.dev)
		}
		ws, err := md.AssembleSysfs(node, s.version, devs, true)
		if err != nil {
			g.Fatal(err)
		}
		for _, w := range ws {
			g.sysfs(w)
		}
	} else {
		g.flags(true, false)
		g.start(s.version, s.viaSysfs, g.use(d)...)
	}
	if st := g.status(node); st.State != want || !st.Running() || st.Degraded != missing || st.Sync.Active {
		g.Errorf("read-only start: %+v, want state %s", st, want)
	}
	g.verify(node, seed)
	g.stop(s.viaSysfs)
	g.flags(false, false)
	g.wroteNothing(here[0], writes, s.bitmap)
	if after := g.sums(here...); !slices.Equal(before, after) {
		g.Errorf("members changed although started as %s: %x, then %x", want, before, after)
	}
}

// wroteNothing allows what the kernel does at every start with an internal bitmap, read-only or not: it writes the bitmap's
// first block again, with the superblock's event count in it.
func (g *guest) wroteNothing(d disk, since int, bitmap bool) {
	g.Helper()
	n, most := g.written(d)-since, 0
	if bitmap {
		most = 8
	}
	if n > most {
		g.Errorf("%d sectors written to %s by a read-only start, bitmap %v", n, d.path, bitmap)
	}
}
