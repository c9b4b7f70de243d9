package survey

import (
	"slices"

	"migrate-init/pkg/luks"
	"migrate-init/pkg/lvm"
	"migrate-init/pkg/md"
	"migrate-init/pkg/plan"
)

// Known is what looks remember of devices, so that the next one reads only those that may have changed since. It is for a
// machine that no one but the caller changes: an initramfs, where no udev and no other program runs. What the kernel shows
// (sysfs, mounts, the state of arrays) is never remembered. The zero Known remembers nothing yet; a nil one nothing ever.
//
// Read again is what Forget named, with all that lies on it and all that it lies on; what is new, of another size, mounted or
// unmounted since; and what could not be read. What a superblock counts while it is mounted is old in any case, and the kernel
// writes those below an array that runs all the time: while it runs the array, it is the kernel that knows its state.
type Known struct {
	read    map[string]reading // by the device's name
	changed []string           // paths
}

// reading is what was read from a device.
type reading struct {
	of       plan.Device // which it was: size, place, number, and who used it
	contents []plan.Content
	table    *plan.Table
	sector   string
	supers   []md.Superblock
	pv       *lvm.Device
	crypt    *luks.Header
}

// Forget says that a device may have changed.
func (k *Known) Forget(path string) {
	if k != nil && !slices.Contains(k.changed, path) {
		k.changed = append(k.changed, path)
	}
}

// ForgetAll says that every device may have changed.
func (k *Known) ForgetAll() {
	if k != nil {
		k.read, k.changed = nil, nil
	}
}

// take returns what is known of the devices of f, whose mounts are listed already, without what may have changed since.
func (k *Known) take(f *plan.Facts) map[string]reading {
	if k == nil {
		return nil
	}
	old, changed := k.read, k.changed
	k.read, k.changed = map[string]reading{}, nil // a look that fails leaves nothing known
	stale := map[string]bool{}
	for i := range f.Devices {
		if d := &f.Devices[i]; slices.Contains(changed, d.Path) || !same(old[d.Name].of, d) {
			reach(f, d, func(lower, upper *plan.Device) bool { return on(upper, lower) }, stale)
			reach(f, d, on, stale) // a write to one partition is none to the next
		}
	}
	for name := range stale {
		delete(old, name)
	}
	return old
}

// keep notes what was just read from a device: the labels of r, and what the device itself has.
func (k *Known) keep(d *plan.Device, r reading) {
	if k != nil {
		r.of, r.contents, r.table, r.sector = *d, slices.Clone(d.Contents), d.Table, d.BootSector
		k.read[d.Name] = r
	}
}

// same reports whether a device is the one that was read, and is used by the same.
func same(a plan.Device, b *plan.Device) bool {
	return a.Name == b.Name && a.Kind == b.Kind && a.Parent == b.Parent && a.Major == b.Major && a.Minor == b.Minor && a.Start == b.Start &&
		a.Size == b.Size && a.Sector == b.Sector && a.Swapping == b.Swapping && slices.Equal(a.Holders, b.Holders) && slices.Equal(a.MountedAt, b.MountedAt)
}

// on reports whether a device lies directly on another.
func on(upper, lower *plan.Device) bool {
	return upper.Parent == lower.Name || slices.Contains(lower.Holders, upper.Name)
}

// reach adds to names a device and all that next leads to.
func reach(f *plan.Facts, d *plan.Device, next func(from, to *plan.Device) bool, names map[string]bool) {
	names[d.Name] = true
	for i := range f.Devices {
		if x := &f.Devices[i]; x.Name != d.Name && next(d, x) {
			reach(f, x, next, names)
		}
	}
}
