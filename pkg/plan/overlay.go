package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// An Overlay is a snapshot in memory through which a source volume is read. What lies on it (an array, a volume group, a
// journal to replay) writes into the store of the snapshot, and never to the disk.
type Overlay struct {
	On   Ref   `toml:"on" json:"on"`     // a node of Source that lies on no other but its disk
	Size int64 `toml:"size" json:"size"` // of the store, in bytes of memory
}

// OverlayPrefix begins the name and the UUID of an overlay's device-mapper device; the number of the device that it covers
// follows, MAJOR:MINOR.
const OverlayPrefix = "migrate-init-overlay-"

// OverlayOf names the device-mapper device that covers a device.
func OverlayOf(d *Device) string { return fmt.Sprintf("%s%d:%d", OverlayPrefix, d.Major, d.Minor) }

const (
	// storeMargin is for what layers write when they start: superblocks, bitmaps, and a filesystem's own superblock.
	storeMargin = 16 * mib
	// storeLeast is below what a start of a layer may write.
	storeLeast = 4 * mib
	// storeUnit is what a snapshot copies for the smallest write, in bytes.
	storeUnit = 4096
)

// overlays plans one for each lowest source volume that carries more than a filesystem or swap of its own. A filesystem that
// is alone on its volume gets one only if it is not clean when the image starts.
func (b *builder) overlays() {
	for i := range b.p.Source {
		n := &b.p.Source[i]
		if n.Part == nil && n.Disk == nil || !layered(b.p.Source.Above(n.Ref)) {
			continue
		}
		size := storeMargin
		for _, s := range b.srcs {
			if s.node.FS != nil && b.p.Source.Rests(s.node.Ref, n.Ref) {
				size += replaySize(s.use)
			}
		}
		b.p.Overlays = append(b.p.Overlays, n.overlay(size))
	}
	b.p.Overlays = bounded(b.p.Overlays, b.f.Machine.Memory)
}

// layered reports whether what lies on a volume is more than a filesystem or swap of its own, and no partition.
func layered(above []*Node) bool {
	return slices.ContainsFunc(above, func(n *Node) bool {
		return n.Part == nil && (n.FS == nil && n.Swap == nil || len(n.On) > 1)
	})
}

// OverlaysNow lists the overlays of a machine as it is found: those of the plan, and one for each filesystem that is alone
// on its volume and not clean, where a mount can replay its journal. They are not larger than this machine's memory allows.
func (p *Plan) OverlaysNow(f *Facts) []Overlay {
	out := slices.Clone(p.Overlays)
	for _, s := range p.Source.Filesystems() {
		d, err := f.Volume(p, s.Lower())
		low := p.Source.Node(s.Lower())
		if err != nil || d == nil || low == nil || low.Part == nil && low.Disk == nil || !d.replayable() {
			continue
		}
		if !slices.ContainsFunc(out, func(o Overlay) bool { return o.On.Is(low.Ref) }) {
			out = append(out, low.overlay(storeMargin+replaySize(d.Filesystem())))
		}
	}
	return bounded(out, f.Machine.Memory)
}

// Replayable lists the source filesystems that are not clean, and may be after a mount that replays their journal.
func (p *Plan) Replayable(f *Facts) []*Node {
	var out []*Node
	for _, s := range p.Source.Filesystems() {
		if d, err := f.FS(s.Ref.ID()); err == nil && d != nil && d.replayable() {
			out = append(out, s)
		}
	}
	return out
}

// replayable reports whether the filesystem on a device is not clean and a mount may make it so. Where the kernel found
// errors, or the superblock is damaged, a mount is no help.
func (d *Device) replayable() bool {
	c := d.Filesystem()
	return c != nil && c.Dirty != "" && c.Damage == "" && c.Journal == "" && len(d.MountedAt) == 0 && FSTypeOf(c.Type).Replay != nil
}

// replaySize is the most that a replay of a filesystem's journal is expected to write.
func replaySize(c *Content) int64 {
	replay := FSTypeOf(c.Type).Replay
	if replay == nil {
		return 0
	}
	return replay(c)
}

// extReplay: each block of the journal is written to one place, and a snapshot copies its own unit for a smaller block.
func extReplay(c *Content) int64 {
	if !slices.Contains(c.Features, "has_journal") {
		return 0
	}
	log := c.Log
	if log == 0 {
		log = min(c.Size/16, 1024*mib) // no journal that mke2fs makes is larger
	}
	if c.BlockSize > 0 && c.BlockSize < storeUnit {
		log *= storeUnit / c.BlockSize
	}
	return log
}

// xfsReplay: the log has parts of blocks, down to 128 bytes, and each is written with its whole block.
func xfsReplay(c *Content) int64 { return 4 * c.Log }

// btrfsReplay: a log tree has what was synced within one commit interval; its leaves, and the trees on the way to them, are
// written to new places.
func btrfsReplay(*Content) int64 { return 128 * mib }

// overlay is one of a volume, with a store of about n bytes. None needs more than the volume has.
func (n *Node) overlay(store int64) Overlay {
	return Overlay{n.Ref, roundUp(min(store, n.Size+storeLeast))}
}

func roundUp(n int64) int64 { return (n + mib - 1) / mib * mib }

// bounded keeps all stores together within a quarter of the memory: the largest are cut, to one size. One that is too small
// for what is really replayed ends the migration, and the old system boots.
func bounded(list []Overlay, memory int64) []Overlay {
	if memory <= 0 {
		return list
	}
	bySize := make([]*Overlay, len(list))
	for i := range list {
		bySize[i] = &list[i]
	}
	slices.SortStableFunc(bySize, func(a, b *Overlay) int { return cmp.Compare(a.Size, b.Size) })
	left := memory / 4
	for i, o := range bySize {
		share := left / int64(len(bySize)-i) / mib * mib
		o.Size = max(storeLeast, min(o.Size, share))
		left -= o.Size
	}
	return list
}

// StoreSum is the memory that the stores of overlays may take, in bytes.
func StoreSum(list []Overlay) int64 {
	var sum int64
	for _, o := range list {
		sum += o.Size
	}
	return sum
}

// OverlayText says which sources are read through snapshots in memory, "" for none.
func (p *Plan) OverlayText() string {
	var out []string
	for _, o := range p.Overlays {
		if n := p.Source.Node(o.On); n != nil {
			out = append(out, n.Was)
		}
	}
	if len(out) == 0 {
		return ""
	}
	return fmt.Sprintf("%s read through %s in memory (up to %s)", strings.Join(out, ", "), map[bool]string{true: "a snapshot", false: "snapshots"}[len(out) == 1], size(StoreSum(p.Overlays)))
}

// invalidOverlay says what is impossible in the planned overlays, "" for nothing.
func (p *Plan) invalidOverlay() string {
	for i, o := range p.Overlays {
		n := p.Source.Node(o.On)
		switch {
		case n == nil || n.Part == nil && n.Disk == nil:
			return fmt.Sprintf("overlay of %q: not a partition or disk of its sources", o.On)
		case o.Size < storeLeast || o.Size > n.Size+storeMargin || o.Size%storeUnit != 0:
			return fmt.Sprintf("overlay of %s: a store of %d bytes", o.On, o.Size)
		case slices.ContainsFunc(p.Overlays[:i], func(x Overlay) bool { return x.On.Is(o.On) }):
			return fmt.Sprintf("overlay of %s: planned twice", o.On)
		}
	}
	return ""
}

// Overlay returns the device that covers another, or nil.
func (f *Facts) Overlay(name string) *Device {
	for i := range f.Devices {
		if d := &f.Devices[i]; d.Over != "" && d.Over == name {
			return d
		}
	}
	return nil
}

// top is the device through which a device is read: its overlay, where it has one.
func (f *Facts) top(d *Device) *Device {
	if d != nil {
		if o := f.Overlay(d.Name); o != nil {
			return o
		}
	}
	return d
}
