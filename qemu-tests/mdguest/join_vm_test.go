package mdguest

import (
	"testing"
	"time"

	"migrate-init/pkg/md"
)

// TestJoin: a device that pkg/md prepared is hot-added to a degraded array that runs and is in use, is rebuilt, and is a
// member like the others afterwards.
func TestJoin(t *testing.T) {
	g := enter(t)
	number := byte(0)
	for _, v := range []md.Version{md.V090, md.V10, md.V11, md.V12} {
		for _, l := range []struct{ level, disks int }{{1, 2}, {5, 3}, {6, 4}, {10, 4}} {
			for _, bitmap := range []bool{false, true} {
				number++
				// Every version with RAID1 both ways; the other levels, in the quick set, with one bitmap setting and two versions.
				if !full() && l.level != 1 && (bitmap == (number/2%2 == 0) || v == md.V10 || v == md.V11) {
					continue
				}
				missing := 1
				if l.level == 6 {
					missing = 2
				}
				s := shape{version: v, level: l.level, disks: l.disks, missing: missing, bitmap: bitmap, number: 100 + number}
				t.Run(s.String(), func(t *testing.T) {
					g := g.with(t)
					g.join(s, g.members(s), false)
				})
			}
		}
	}
	// Large enough that the resync can be watched.
	t.Run("watched", func(t *testing.T) {
		g := g.with(t)
		g.join(shape{version: md.V12, level: 1, disks: 2, missing: 1, bitmap: true, number: 150}, []disk{g.disks["big0"], g.disks["big1"]}, true)
	})
}

func (g *guest) join(s shape, all []disk, watch bool) {
	g.tidy()
	here := s.present(all)
	g.blank(all...)
	spec := s.spec(all)
	g.create(spec, all)
	g.kernel()
	g.start(s.version, s.viaSysfs, here...)
	g.settle(node, idle)
	seed := int64(s.number) + 2000
	g.fill(node, seed)
	if watch {
		g.set("/sys/block/"+node+"/md/sync_speed_min", "1000")
		g.set("/sys/block/"+node+"/md/sync_speed_max", "40000")
	}
	for i := len(here); i < len(all); i++ {
		d := all[i]
		r := g.open(here[0].path)
		supers, err := md.Scan(r, here[0].size)
		if err != nil || len(supers) != 1 {
			g.Fatal(supers, err)
		}
		var bitmap *md.Bitmap
		if s.bitmap {
			b, err := md.ReadBitmap(r, supers[0])
			if err != nil {
				g.Fatal(err)
			}
			bitmap = &b
		}
		r.Close()
		joined, ws, err := md.Join(supers[0], md.JoinSpec{Size: d.size, DeviceUUID: uuid(byte(200 + i)), Time: time.Unix(1_800_000_000, 0),
			Bitmap: bitmap, Major: d.dev.Major, Minor: d.dev.Minor})
		if err != nil {
			g.Fatal(err)
		}
		g.write(d.path, "md superblock of a new member", ws...)
		g.examined(d, joined)
		if err := g.ioctl(md.HotAdd(d.dev, joined.DevNumber)); err != nil {
			g.Fatalf("hot-add of %s as %d: %v\nkernel: %s", d.path, joined.DevNumber, err, g.kernel())
		}
		left := len(all) - 1 - i
		seen := g.settle(node, func(st md.Status) bool { return st.Degraded == left && idle(st) })
		g.progress(seen, s, watch)
	}
	g.verify(node, seed)
	g.fill(node, seed+1)
	g.settle(node, func(st md.Status) bool { return st.State == "clean" && !st.Sync.Active && whole(st, s.disks) })
	g.detailed(node, g.scan(here[0]), s.disks)
	g.stop(s.viaSysfs)

	for i, d := range all {
		x := g.scan(d)
		g.examined(d, x)
		if !x.InSync() || x.Role() != md.Role(i) || count(x.Believes()) != s.disks {
			g.Errorf("%s after the recovery: %s of %v", d.path, x.Role(), x.Believes())
		}
		if s.bitmap {
			g.bitmapped(d, x, -1)
		}
	}
	if d := g.group(all...).Startable(md.Policy{}); !d.Start || d.Degraded != 0 {
		g.Errorf("all together: %+v", d)
	}
	// The new members carry the data: without as many old ones as the level allows.
	rest := all[s.missing:]
	d := g.group(rest...).Startable(md.Policy{NewlyDegraded: true})
	if !d.Start || d.Degraded != s.missing {
		g.Fatalf("without the first %d: %+v", s.missing, d)
	}
	g.flags(true, false)
	g.start(s.version, s.viaSysfs, g.use(d)...)
	g.verify(node, seed+1)
	g.stop(s.viaSysfs)
	g.flags(false, false)

	// All of them again, with nothing to resync; mdadm agrees.
	g.kernel()
	argv := []string{"mdadm", "--assemble", "/dev/md6"}
	for _, d := range all {
		argv = append(argv, d.path)
	}
	out := g.must(argv...)
	if st := g.status("md6"); st.Degraded != 0 || len(st.Members) != s.disks || st.Sync.Active || !st.Clean {
		g.Errorf("mdadm assembled %+v\n%s", st, out)
	}
	g.verify("md6", seed+1)
	g.must("mdadm", "--stop", "/dev/md6")
	g.unwelcome(g.kernel(), complaints)
}

// whole reports that each of the array's slots has a member in sync.
func whole(st md.Status, slots int) bool {
	n := 0
	for _, m := range st.Members {
		if m.Slot >= 0 && m.Has("in_sync") {
			n++
		}
	}
	return st.Degraded == 0 && n == slots
}

// progress judges what was seen of a recovery.
func (g *guest) progress(seen []md.Status, s shape, watch bool) {
	g.Helper()
	var last md.Progress
	steps, rates := 0, 0
	for _, st := range seen {
		p := st.Sync
		if !p.Active || p.Size == 0 {
			continue
		}
		if st.SyncAction != "recover" || p.Done > p.Size || st.Component/md.Sector != int64(p.Size) || p.Done < last.Done {
			g.Errorf("progress %+v after %+v of %s, component %d", p, last, st.SyncAction, st.Component)
		}
		if p.Done > last.Done {
			steps++
		}
		if p.Rate > 0 {
			rates++
		}
		last = p
	}
	if watch && (steps < 3 || rates < 3) {
		g.Errorf("a slow recovery was seen to advance %d times, with a rate %d times, in %d looks", steps, rates, len(seen))
	}
	if watch {
		g.Logf("recovery seen to advance %d times in %d looks, last %+v", steps, len(seen), last)
	}
}
