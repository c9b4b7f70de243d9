package plan

import (
	"slices"
	"strings"
	"testing"
)

const rootPart = Ref("part:22222222-0000-0000-0000-000000000002")

// covered are facts of an image in which the old root's partition has an overlay.
func covered() *Facts {
	f := good()
	below := f.Dev("vda2")
	below.MountedAt, below.Holders, below.Major, below.Minor = nil, []string{"dm-0"}, 254, 2
	top := Device{Name: "dm-0", Path: "/dev/dm-0", Kind: KindDM, Size: below.Size, Sector: 512, Mapping: OverlayOf(below), MappingID: OverlayOf(below), Over: "vda2", Contents: below.Contents}
	below.Contents = nil
	f.Devices = append(f.Devices, top)
	f.Mounts = nil
	return f
}

func TestOverlayStandsForWhatItCovers(t *testing.T) {
	p := planned(t, good(), wish())
	f := covered()
	if d, err := f.Volume(p, rootPart); err != nil || d == nil || d.Name != "dm-0" {
		t.Errorf("volume of the partition: %v, %v", d, err)
	}
	if d, err := f.PartByGUID(rootPart.ID()); err != nil || d == nil || d.Name != "vda2" {
		t.Errorf("partition itself: %v, %v", d, err)
	}
	if r := f.refTo("dm-0"); r != rootPart {
		t.Errorf("reference to the overlay: %s", r)
	}
	if d := f.DiskOf("dm-0"); d == nil || d.Name != "vda" {
		t.Errorf("disk of the overlay: %v", d)
	}
	n := f.Graph().Node("fs:11111111-0000-0000-0000-000000000002")
	if n == nil || n.Lower() != rootPart {
		t.Errorf("filesystem as it is seen: %+v", n)
	}
	if x := Check(p, f, Offline); slices.ContainsFunc(x, func(x Finding) bool { return strings.HasPrefix(x.ID, "source.present") && x.Severity != OK }) {
		t.Errorf("%v", x)
	}
	if f.Overlay("vda3") != nil || f.Overlay("") != nil {
		t.Error("a device without an overlay has one")
	}
}

func TestDirtySourceGetsAnOverlay(t *testing.T) {
	p := planned(t, good(), wish())
	for name, c := range map[string]struct {
		change func(d *Device)
		want   []Overlay
	}{
		"in use":         {func(*Device) {}, nil},
		"dirty":          {func(d *Device) { d.MountedAt = nil }, []Overlay{{rootPart, 512 * mib}}}, // a quarter of the memory
		"known journal":  {func(d *Device) { d.MountedAt, d.Contents[0].Log = nil, 64*mib }, []Overlay{{rootPart, 80 * mib}}},
		"small blocks":   {func(d *Device) { d.MountedAt, d.Contents[0].Log, d.Contents[0].BlockSize = nil, 64*mib, 1024 }, []Overlay{{rootPart, 272 * mib}}},
		"clean":          {func(d *Device) { d.MountedAt, d.Contents[0].Dirty = nil, "" }, nil},
		"errors":         {func(d *Device) { d.MountedAt, d.Contents[0].Damage = nil, "errors" }, nil},
		"journal absent": {func(d *Device) { d.MountedAt, d.Contents[0].Journal = nil, "elsewhere" }, nil},
		"no journal":     {func(d *Device) { d.MountedAt, d.Contents[0].Type = nil, "ext2" }, nil},
	} {
		f := good()
		c.change(f.Dev("vda2"))
		if got := p.OverlaysNow(f); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
		if got := p.Replayable(f); len(got) != len(c.want) {
			t.Errorf("%s: replayable: %v", name, got)
		}
	}
	p.Overlays = []Overlay{{rootPart, 7 * mib}}
	f := good()
	f.Dev("vda2").MountedAt = nil
	if got := p.OverlaysNow(f); !slices.Equal(got, p.Overlays) {
		t.Errorf("a planned one and a dirty filesystem: %v", got)
	}
}

func TestOverlaysOfLayers(t *testing.T) {
	part := func(id string) Node {
		return Node{Ref: Ref("part:" + id), On: []Ref{"disk:old1"}, Size: 100 * gib, Layer: Layer{Part: &Part{}}}
	}
	fs := func(id string, on ...Ref) (Node, source) {
		n := Node{Ref: Ref("fs:" + id), On: on, Layer: Layer{FS: &FS{Type: "ext4"}}}
		return n, source{node: n, use: &Content{Kind: ContentFS, Type: "ext4", BlockSize: 4096, Log: 64 * mib, Features: []string{"has_journal"}}}
	}
	disk := Node{Ref: "disk:old1", Was: "/dev/vda", Size: 500 * gib, Layer: Layer{Disk: &Disk{}}}
	array := Node{Ref: "md:a", On: []Ref{"part:1", "part:2", ""}, Layer: Layer{MD: &MD{}}}
	onArray, sourceA := fs("a", "md:a")
	plain, sourceP := fs("p", "part:3")
	spread, sourceS := fs("s", "part:4", "part:5")
	spread.FS.Type, sourceS.use.Type = "btrfs", "btrfs"
	swap := Node{Ref: "swap:x", On: []Ref{"part:6"}, Layer: Layer{Swap: &Swap{}}}
	b := &builder{f: &Facts{Machine: Machine{Memory: 64 * gib}}, srcs: []source{sourceA, sourceP, sourceS}, p: &Plan{
		Source: Graph{disk, part("1"), part("2"), part("3"), part("4"), part("5"), part("6"), array, onArray, plain, spread, swap}}}
	b.overlays()
	want := []Overlay{{"part:1", 80 * mib}, {"part:2", 80 * mib}, {"part:4", 144 * mib}, {"part:5", 144 * mib}}
	if !slices.Equal(b.p.Overlays, want) {
		t.Errorf("got %v, want %v", b.p.Overlays, want)
	}
	if what := b.p.invalidOverlay(); what != "" {
		t.Error(what)
	}
	whole, sourceW := fs("w", "md:w")
	b = &builder{f: &Facts{}, srcs: []source{sourceW}, p: &Plan{Source: Graph{disk, {Ref: "md:w", On: []Ref{"disk:old1"}, Layer: Layer{MD: &MD{}}}, whole}}}
	b.overlays()
	if want := []Overlay{{"disk:old1", 80 * mib}}; !slices.Equal(b.p.Overlays, want) {
		t.Errorf("an array of whole disks: got %v, want %v", b.p.Overlays, want)
	}
	if got := b.p.OverlayText(); !strings.Contains(got, "/dev/vda read through a snapshot in memory (up to 80 MiB)") {
		t.Errorf("%q", got)
	}
}

func TestStoresAreBounded(t *testing.T) {
	for _, c := range []struct {
		memory int64
		sizes  []int64
		want   []int64
	}{
		{0, []int64{gib, gib}, []int64{gib, gib}},
		{8 * gib, []int64{gib, gib}, []int64{gib, gib}},
		{4 * gib, []int64{gib, gib}, []int64{gib / 2, gib / 2}},
		{gib, []int64{16 * mib, gib}, []int64{16 * mib, 240 * mib}},
		{64 * mib, []int64{16 * mib, 16 * mib, 16 * mib, 16 * mib, 16 * mib}, []int64{4 * mib, 4 * mib, 4 * mib, 4 * mib, 4 * mib}},
	} {
		var list []Overlay
		for _, s := range c.sizes {
			list = append(list, Overlay{"part:x", s})
		}
		var got []int64
		for _, o := range bounded(list, c.memory) {
			got = append(got, o.Size)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("memory %d: %v becomes %v, want %v", c.memory, c.sizes, got, c.want)
		}
	}
	if o := (&Node{Ref: "part:x", Size: 10 * mib}).overlay(gib); o.Size != 14*mib {
		t.Errorf("store of a volume of 10 MiB: %d", o.Size)
	}
}

func TestOverlaysThatAPlanCannotHave(t *testing.T) {
	for want, list := range map[string][]Overlay{
		"not a partition": {{"fs:11111111-0000-0000-0000-000000000002", 16 * mib}},
		"of \"\"":         {{"", 16 * mib}},
		"100 bytes":       {{rootPart, 100}},
		"4194305 bytes":   {{rootPart, 4*mib + 1}},
		"store of 2":      {{rootPart, 20 * gib}},
		"planned twice":   {{rootPart, 16 * mib}, {rootPart, 16 * mib}},
	} {
		p := planned(t, good(), wish())
		p.Overlays = list
		if _, err := p.Encode(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", list, err, want)
		}
	}
	p := planned(t, good(), wish())
	p.Overlays = []Overlay{{rootPart, 16 * mib}}
	if _, err := p.Encode(); err != nil {
		t.Error(err)
	}
	f := good()
	without := CheckMemory(planned(t, good(), wish()), f, 0)
	p.Overlays[0].Size = 3 * gib
	if with := CheckMemory(p, f, 0); without.Severity != OK || with.Severity != Warn {
		t.Errorf("memory without a store: %v, with one: %v", without, with)
	}
}
