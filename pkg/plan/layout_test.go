package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// withDisks is the good machine with more empty disks, vdc and on, and an intent that names as many of them all.
func withDisks(layout string, news int) (*Facts, Intent) {
	f, in := good(), wish()
	in.To, in.Disks = layout, nil
	for i := range news {
		name := "vd" + string(rune('b'+i))
		if i > 0 {
			d := *f.Dev("vdb")
			d.Name, d.Path, d.Serial, d.ByID = name, "/dev/"+name, fmt.Sprint("NEW", i+1), fmt.Sprint("/dev/disk/by-id/virtio-NEW", i+1)
			f.Devices = append(f.Devices, d)
		}
		in.Disks = append(in.Disks, "/dev/"+name)
	}
	return f, in
}

// Every layout with its new disks: which slots are there before finish, which disks join, and how much room there is.
func TestLayouts(t *testing.T) {
	for _, c := range []struct {
		layout string
		news   int
		old    string
		marks  string // before finish
		later  int    // disks that join
		halves int64  // how many halves of a disk hold data
	}{
		{"raid1", 1, "", "[U_]", 1, 2},
		{"raid1", 1, OldJoin, "[U_]", 1, 2},
		{"raid1", 2, "", "[UU]", 0, 2},
		{"raid1", 2, OldJoin, "[UU_]", 1, 2},
		{"raid1", 4, "", "[UUUU]", 0, 2},
		{"raid5", 2, "", "[UU_]", 1, 4},
		{"raid5", 3, OldKeep, "[UUU]", 0, 4},
		{"raid5", 3, "", "[UUU_]", 1, 6},
		{"raid6", 3, "", "[UU__]", 1, 4},
		{"raid6", 4, OldKeep, "[UUUU]", 0, 4},
		{"raid6", 4, "", "[UUU__]", 1, 6},
		{"raid10", 2, "", "[U_U]", 1, 3},
		{"raid10", 3, "", "[UUU_]", 1, 4},
		{"raid10", 4, OldKeep, "[UUUU]", 0, 4},
		{"raid10", 4, "", "[UUU_U]", 1, 5},
	} {
		t.Run(fmt.Sprint(c.layout, c.news, c.old), func(t *testing.T) {
			f, in := withDisks(c.layout, c.news)
			in.Old = c.old
			p := planned(t, f, in)
			checkLayout(t, p, f)
			for _, a := range p.Target.Arrays() {
				if a.marks() != c.marks {
					t.Errorf("%s is %s before finish, want %s", a.Called(), a.marks(), c.marks)
				}
				whole := p.Final.Node(a.Ref)
				if strings.Contains(whole.marks(), "_") || len(whole.On) != len(a.On) || slices.ContainsFunc(whole.On, func(r Ref) bool { return p.Final.Node(r) == nil }) {
					t.Errorf("%s is %s after finish", a.Called(), whole.marks())
				}
				if (a.MD.Chunk > 0) != (c.layout != "raid1") {
					t.Errorf("chunks of %d bytes", a.MD.Chunk)
				}
			}
			if n := len(p.LaterDisks()); n != c.later {
				t.Errorf("%d disks join at finish, want %d", n, c.later)
			}
			if n := len(p.NewDisks()); n != c.news {
				t.Errorf("%d new disks", n)
			}
			// The root gets what swap and little else leave of the disks' room.
			if room, all := p.Target.Room(p.Target.MountedAt("/").Lower()), c.halves*10*gib; room > all-gib+64*mib || room < all-gib-128*mib {
				t.Errorf("the root has %s of %s", size(room), size(all))
			}
			if e := p.MoveTo(p.Target.MountedAt("/").Ref).Engine; e != EngineExtent {
				t.Errorf("copied by %s", e)
			}
			if j := p.Target.Node(p.Journal); j == nil || !j.Lower().Is("disk:new1") {
				t.Error("the journal is not on the first new disk")
			}
		})
	}
}

// The kernel starts a RAID10 of which one of each pair is there; GRUB does not read it.
func TestLayoutThatGRUBDoesNotRead(t *testing.T) {
	for layout, refused := range map[string]bool{"raid10": true, "raid1": false} {
		f, in := onMD()
		vdd := *f.Dev("vdc")
		vdd.Name, vdd.Path, vdd.Serial = "vdd", "/dev/vdd", "NEW2"
		f.Devices = append(f.Devices, vdd)
		in.To, in.Old, in.Disks = layout, OldJoin, []string{"/dev/vdc", "/dev/vdd"}
		p, found, err := New(in, f)
		if (p == nil) != refused || (err != nil) != refused {
			t.Errorf("%s: plan %v, %v", layout, p != nil, err)
		}
		if refused {
			want(t, found, Refuse, "plan.target", "two of 4 slots would be empty, and GRUB reads such an array with at most one missing", "--old keep", "raid6")
		}
	}
}

// What cannot be made or started says what would do, and that does.
func TestLayoutRefuses(t *testing.T) {
	for _, c := range []struct {
		layout string
		news   int
		old    string
		words  []string
		then   int // as many new disks do
	}{
		{"raid1", 1, OldKeep, []string{"at least 2 members", "1 new disk", "--old join"}, 2},
		{"raid1", 9, "", []string{"at most 8"}, 8},
		{"raid5", 1, "", []string{"at least 3 members", "1 new disk and 1 old disk that joins", "name 1 more disk"}, 2},
		{"raid5", 2, OldKeep, []string{"at least 3", "--old join"}, 3},
		{"raid6", 2, "", []string{"at least 4", "name 1 more disk"}, 3},
		{"raid10", 1, "", []string{"at least 3", "name 1 more disk"}, 2},
		{"raid1", 1, "maybe", []string{"--old maybe", "join or keep"}, 0},
	} {
		t.Run(fmt.Sprint(c.layout, c.news, c.old), func(t *testing.T) {
			f, in := withDisks(c.layout, c.news)
			in.Old = c.old
			_, found, err := New(in, f)
			if err == nil {
				t.Fatal("planned")
			}
			want(t, found, Refuse, "plan.target", c.words...)
			if c.then > 0 {
				f, in = withDisks(c.layout, c.then)
				in.Old = c.old
				planned(t, f, in)
			}
		})
	}
}

// A level that two missing members stop is refused with two old disks and one new one too few.
func TestLayoutThatCannotStart(t *testing.T) {
	for _, c := range []struct {
		level, news, olds int
		starts            bool
	}{
		{1, 1, 3, true}, {5, 2, 1, true}, {5, 2, 2, false}, {5, 1, 2, false}, {6, 2, 2, true}, {6, 3, 1, true}, {6, 2, 3, false},
		{10, 2, 2, true}, {10, 3, 1, true}, {10, 1, 3, false}, {10, 2, 1, true}, {10, 3, 2, true}, {10, 2, 3, false}, {10, 4, 4, true},
	} {
		r, ok := raidOf(c.level)
		if !ok {
			t.Fatal(c.level)
		}
		present, order := make([]bool, c.news+c.olds), r.after(c.news+c.olds)
		for i := range c.news - r.wait(c.olds) {
			present[order[i]] = true
		}
		if r.enough(present) != c.starts {
			t.Errorf("%+v: %v", c, present)
		}
	}
}

// Two equal disks: swap gives up what md's superblocks and the journal cost, and no more than half of itself.
func TestSwapGivesRoom(t *testing.T) {
	f := good()
	// Disks of exactly what the old partitions have.
	for _, d := range []string{"vda", "vdb"} {
		f.Dev(d).Size = 2*mib + 19*gib + mib
	}
	p := planned(t, f, wish())
	root, swap := p.Target.MountedAt("/"), p.Target.Swaps()[0]
	if got := p.Target.Room(root.Lower()); got < 18*gib || got > 18*gib+mib {
		t.Errorf("the root has %d bytes", got)
	}
	if got := p.Target.Room(swap.Lower()); got >= gib || got < gib-64*mib {
		t.Errorf("swap has %d bytes", got)
	}
	if e := p.MoveTo(root.Ref).Engine; e != EngineExtent {
		t.Errorf("copied by %s", e)
	}
	// It does not give more than half.
	for _, d := range []string{"vda", "vdb"} {
		f.Dev(d).Size = 18*gib + 400*mib
	}
	p = planned(t, f, wish())
	if e := p.MoveTo(p.Target.MountedAt("/").Ref).Engine; e != EngineTree {
		t.Errorf("copied by %s", e)
	}
	if got := p.Target.Room(p.Target.Swaps()[0].Lower()); got < gib {
		t.Errorf("swap has %d bytes, and that bought nothing", got)
	}
	for n, least := range map[int64]int64{gib: gib / 2, 100 * mib: 64 * mib, 32 * mib: 32 * mib} {
		if got := leastSwap(n); got != least {
			t.Errorf("of %d bytes %d stay, want %d", n, got, least)
		}
	}
}

// An old disk that is smaller than the new ones bounds every member, unless it is kept out.
func TestLayoutOfUnequalDisks(t *testing.T) {
	f, in := withDisks("raid1", 2)
	for _, d := range []string{"vdb", "vdc"} {
		f.Dev(d).Size = 40 * gib
	}
	in.Old = OldJoin
	p, found, err := New(in, f)
	if err != nil {
		t.Fatal(err)
	}
	want(t, found, Warn, "plan.target", "larger than /dev/vda", "stay unused")
	if room := p.Target.Room(p.Target.MountedAt("/").Lower()); room > 20*gib {
		t.Errorf("the root has %s, and the old disk cannot join", size(room))
	}
	in = wish()
	in.To, in.Disks, in.Old = "raid1", []string{"/dev/vdb", "/dev/vdc"}, OldKeep
	p = planned(t, f, in)
	if room := p.Target.Room(p.Target.MountedAt("/").Lower()); room < 38*gib {
		t.Errorf("the root has %s of two disks of 40 GiB", size(room))
	}
	in.Wipe = []string{"/dev/vdc"}
	p = planned(t, f, in)
	if p.Target.Node("disk:new1").Disk.Wipe || !p.Target.Node("disk:new2").Disk.Wipe {
		t.Error("--wipe is not that of its disk")
	}
	in.Wipe = []string{"/dev/vda"}
	if _, found, err = New(in, f); err == nil {
		t.Fatal("--wipe of the source")
	}
	want(t, found, Refuse, "plan.target", "--wipe /dev/vda", "--wipe /dev/vdb or --wipe /dev/vdc")
}
