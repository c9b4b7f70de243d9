package mdguest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/md"
)

// TestStale: members that are behind, too few, or dirty. What Startable decides is what the kernel does, or is stricter.
func TestStale(t *testing.T) {
	g := enter(t)
	number := byte(0)
	shapeOf := func(v md.Version, level, disks int) shape {
		number++
		return shape{version: v, level: level, disks: disks, number: 160 + number, bitmap: number%2 == 0}
	}
	for _, v := range []md.Version{md.V090, md.V12} {
		run := func(what string, s shape, f func(*guest, shape)) {
			t.Run(fmt.Sprintf("%s/%s-raid%d", what, v, s.level), func(t *testing.T) { g.with(t).prepared(s, f) })
		}
		for _, l := range [][2]int{{1, 2}, {5, 3}, {10, 4}} {
			run("behind", shapeOf(v, l[0], l[1]), (*guest).behind)
		}
		run("by-count", shapeOf(v, 1, 2), (*guest).byCount)
		run("too-few", shapeOf(v, 5, 3), (*guest).tooFew)
		for _, l := range [][2]int{{5, 3}, {6, 4}} {
			run("dirty-degraded", shapeOf(v, l[0], l[1]), (*guest).dirtyDegraded)
		}
		s := shapeOf(v, 1, 2)
		for _, s.bitmap = range []bool{false, true} {
			run(fmt.Sprintf("dirty-bitmap-%v", s.bitmap), s, (*guest).dirty)
		}
		run("bitmap", s, (*guest).oldBitmap)
		run("cache", shapeOf(v, 1, 2), (*guest).cached)
	}
}

func (s shape) seed() int64 { return int64(s.number) + 3000 }

// prepared gives f a complete array in sync that holds data and is stopped.
func (g *guest) prepared(s shape, f func(*guest, shape)) {
	g.tidy()
	all := g.members(s)
	g.blank(all...)
	spec := s.spec(all)
	// Parity that was never computed would not survive a loss.
	spec.AssumeClean = s.level == 1 || s.level == 10
	g.create(spec, all)
	g.start(s.version, false, all...)
	g.settle(node, idle)
	g.fill(node, s.seed())
	g.stop(false)
	g.kernel()
	f(g, s)
}

// behind: one member stays behind while the array goes on.
func (g *guest) behind(s shape) {
	all := g.members(s)
	fresh, stale := all[:s.disks-1], all[s.disks-1]
	for range 2 {
		g.start(s.version, false, fresh...)
		g.fill(node, s.seed()+1)
		g.settle(node, func(st md.Status) bool { return idle(st) && st.State == "clean" })
		g.stop(false)
	}
	old, now := g.scan(stale), g.scan(fresh[0])
	if old.Events+1 >= now.Events {
		g.Fatalf("events of the stale member %d, of the fresh one %d", old.Events, now.Events)
	}
	d := g.group(all...).Startable(md.Policy{})
	if !d.Start || d.NewlyDegraded || len(d.Leave) != 1 || d.Leave[0].Member.Device != stale.path || slices.Contains(g.use(d), stale) {
		g.Errorf("fresh and stale together: %+v", d)
	}
	g.start(s.version, false, g.use(d)...)
	g.verify(node, s.seed()+1)
	g.stop(false)

	// The kernel, given all of them in either order, leaves out the same one.
	g.kernel()
	for _, order := range [][]disk{all, append([]disk{stale}, fresh...)} {
		g.start(s.version, false, order...)
		st := g.status(node)
		said := g.kernel()
		if st.Degraded != 1 || !strings.Contains(said, "kicking non-fresh "+strings.TrimPrefix(stale.path, "/dev/")) {
			g.Errorf("kernel with all members, %s first: %+v\n%s", order[0].path, st, said)
		}
		g.verify(node, s.seed()+1)
		g.stop(false)
	}

	// Alone, the stale one remembers a complete array.
	lone := g.group(stale)
	for what, p := range map[string]md.Policy{"zero policy": {}, "known events": {NewlyDegraded: true, KnownEvents: now.Events}} {
		if d := lone.Startable(p); d.Start {
			g.Errorf("a lone stale member by %s: %+v", what, d)
		}
	}
	if s.level == 1 {
		if d := lone.Startable(md.Policy{KnownEvents: now.Events}); !strings.Contains(d.Reason, "stale") {
			g.Errorf("reason for a lone stale member: %q", d.Reason)
		}
		// The kernel does not know better: it would start it, with the old data.
		g.flags(true, false)
		g.start(s.version, false, stale)
		g.verify(node, s.seed())
		g.stop(false)
		g.flags(false, false)
	}
}

// byCount: where exactly a member becomes stale.
func (g *guest) byCount(s shape) {
	all := g.members(s)
	was := g.scan(all[1])
	for behind := uint64(0); behind <= 2; behind++ {
		m := was
		m.Events -= behind
		g.super(all[1], m)
		d := g.group(all...).Startable(md.Policy{NewlyDegraded: true})
		g.flags(true, false)
		g.start(s.version, false, all...)
		st := g.status(node)
		g.stop(false)
		g.flags(false, false)
		if ours, theirs := d.Degraded, st.Degraded; !d.Start || ours != theirs || (theirs == 1) != (behind == 2) {
			g.Errorf("%d behind: we leave out %d, the kernel %d: %s", behind, ours, theirs, d.Reason)
		}
	}
}

// super writes a changed superblock.
func (g *guest) super(d disk, s md.Superblock) {
	g.Helper()
	b, err := s.Marshal()
	if err != nil {
		g.Fatal(err)
	}
	g.write(d.path, "md superblock", md.Write{Offset: s.SuperOffset, Data: b})
}

// tooFew: the kernel refuses, and keeps what it was given until it is told to stop.
func (g *guest) tooFew(s shape) {
	one := g.members(s)[0]
	if d := g.group(one).Startable(md.Policy{NewlyDegraded: true, DirtyDegraded: true}); d.Start || !strings.Contains(d.Reason, "too few") {
		g.Errorf("1 of 3: %+v", d)
	}
	for _, viaSysfs := range []bool{false, true} {
		err := g.assemble(s.version, viaSysfs, one)
		if !errors.Is(err, syscall.EIO) && !(viaSysfs && errors.Is(err, syscall.EINVAL)) {
			g.Errorf("kernel with 1 of 3, sysfs %v: %v", viaSysfs, err)
		}
		st := g.status(node)
		if st.Running() || len(st.Members) != 1 {
			g.Errorf("a failed start leaves %+v", st)
		}
		g.stop(viaSysfs)
		// The kernel removes a stopped array at its leisure; on its way out every attribute is busy.
		if st, err := md.ReadSysfs(os.DirFS("/sys"), node); err == nil && len(st.Members) > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.EBUSY) && !errors.Is(err, syscall.ENODEV) {
			g.Errorf("after the stop: %+v, %v", st, err)
		}
		// Released: it can be opened exclusively again.
		g.write(one.path, "nothing")
	}
}

// cutInWrite returns the metadata, by member, as a power cut would leave it while writes are under way; the array is stopped.
func (g *guest) cutInWrite(s shape) [][]md.Write {
	g.Helper()
	all := g.members(s)
	g.start(s.version, false, all...)
	g.set("/sys/block/"+node+"/md/safe_mode_delay", "0")
	g.fill(node, s.seed())
	if st := g.status(node); st.State != "active" {
		g.Fatalf("array with writes under way: %+v", st)
	}
	var out [][]md.Write
	for _, d := range all {
		x := g.scan(d)
		if x.Clean() || x.ResyncOffset != 0 || !x.InSync() {
			g.Errorf("%s: superblock of an array with writes under way: resync offset %d, %s", d.path, x.ResyncOffset, x.Role())
		}
		g.examined(d, x)
		at := []int64{x.SuperOffset}
		if s.bitmap {
			at = append(at, x.SuperOffset+x.BitmapOffset)
		}
		r := g.open(d.path)
		var ws []md.Write
		for _, off := range at {
			b := make([]byte, 4096)
			if _, err := r.ReadAt(b, off); err != nil {
				g.Fatal(err)
			}
			ws = append(ws, md.Write{Offset: off, Data: b})
		}
		r.Close()
		out = append(out, ws)
	}
	g.stop(false)
	return out
}

func (g *guest) restore(all []disk, cut [][]md.Write) {
	g.Helper()
	for i, d := range all {
		g.write(d.path, "metadata as at the power cut", cut[i]...)
	}
}

func (g *guest) dirtyDegraded(s shape) {
	all := g.members(s)
	g.restore(all, g.cutInWrite(s))
	rest := all[:s.disks-1]
	set := g.group(rest...)
	for _, p := range []md.Policy{{}, {NewlyDegraded: true}} {
		if d := set.Startable(p); d.Start || !d.Dirty || !strings.Contains(d.Reason, "resync due") {
			g.Errorf("dirty and degraded by %+v: %+v", p, d)
		}
	}
	d := set.Startable(md.Policy{NewlyDegraded: true, DirtyDegraded: true})
	if !d.Start {
		g.Fatalf("dirty and degraded, both allowed: %+v", d)
	}
	if err := g.assemble(s.version, false, g.use(d)...); !errors.Is(err, syscall.EIO) {
		g.Errorf("kernel with a dirty degraded array: %v", err)
	}
	g.stop(false)
	g.flags(false, true)
	g.start(s.version, false, g.use(d)...)
	if st := g.status(node); !st.Running() || st.Degraded != 1 {
		g.Errorf("with start_dirty_degraded: %+v", st)
	}
	g.verify(node, s.seed())
	g.stop(false)
}

func (g *guest) dirty(s shape) {
	all := g.members(s)
	g.restore(all, g.cutInWrite(s))
	d := g.group(all...).Startable(md.Policy{})
	if !d.Start || !d.Dirty || d.Degraded != 0 {
		g.Errorf("dirty and complete: %+v", d)
	}
	// As a source it starts read-only, and not even the resync it is due writes.
	// With start_ro, and with members that are read-only themselves, which makes the array read-only whatever start_ro says.
	for _, want := range []string{"read-auto", "readonly"} {
		before, writes := g.sums(all...), g.written(all[0])
		g.flags(want == "read-auto", false)
		for _, m := range all {
			g.do(machine.SetReadOnly{Dev: m.path, On: want == "readonly"})
		}
		g.start(s.version, false, g.use(d)...)
		if st := g.status(node); st.State != want || st.Clean || st.SyncAction == "resync" {
			g.Errorf("dirty source: %+v, want state %s", st, want)
		}
		g.verify(node, s.seed())
		g.stop(false)
		for _, m := range all {
			g.do(machine.SetReadOnly{Dev: m.path})
		}
		g.wroteNothing(all[0], writes, s.bitmap)
		g.Logf("%s: %d sectors written", want, g.written(all[0])-writes)
		if after := g.sums(all...); !slices.Equal(before, after) {
			g.Errorf("a dirty array started as %s changed its members", want)
		}
	}
	g.flags(false, false)
	g.start(s.version, false, g.use(d)...)
	g.settle(node, idle)
	g.verify(node, s.seed())
	g.stop(false)
	if x := g.scan(all[0]); !x.Clean() {
		g.Errorf("after the resync: %+v", x)
	}
}

// oldBitmap shows that the kernel compares the bitmap's event count with the superblock's: what New's equal counts avoid.
func (g *guest) oldBitmap(s shape) {
	all := g.members(s)
	for _, behind := range []uint64{0, 1} {
		for _, d := range all {
			x := g.scan(d)
			r := g.open(d.path)
			m, err := md.ReadBitmap(r, x)
			r.Close()
			if err != nil {
				g.Fatal(err)
			}
			if m.Events != x.Events {
				g.Errorf("%s: bitmap at %d, superblock at %d events", d.path, m.Events, x.Events)
			}
			m.Events -= behind
			g.write(d.path, "bitmap", md.Write{Offset: x.SuperOffset + x.BitmapOffset, Data: m.Marshal(false, m.Bytes())[:256]})
		}
		g.kernel()
		g.start(s.version, false, all...)
		g.settle(node, idle)
		if said := g.kernel(); strings.Contains(said, "out of date") != (behind > 0) {
			g.Errorf("bitmap %d behind: %s", behind, said)
		}
		g.verify(node, s.seed())
		g.stop(false)
	}
}

// cached: the page cache of a member is not told of what the kernel writes to its superblock. Whoever reads the members of
// a running array twice must drop it in between, and then sees the truth.
func (g *guest) cached(s shape) {
	all := g.members(s)
	g.start(s.version, false, all...)
	clean := func() bool {
		r, err := machine.OpenDevice(all[0].path)
		if err != nil {
			g.Fatal(err)
		}
		defer r.Close()
		ss, err := md.Scan(r, all[0].size)
		if err != nil || len(ss) != 1 {
			g.Fatal(ss, err)
		}
		return ss[0].Clean()
	}
	first := clean()
	g.set("/sys/block/"+node+"/md/safe_mode_delay", "0")
	g.fill(node, s.seed())
	second := clean()
	g.uncache(all[0].path)
	// Whether the second look is stale depends on what the kernel has kept: both were seen with 6.1.
	third := clean()
	g.Logf("superblock read as clean: %v, after writes began %v, past the cache %v", first, second, third)
	if !first || third {
		g.Errorf("superblock past the cache: clean %v before writes, %v under them", first, third)
	}
	g.stop(false)
}
