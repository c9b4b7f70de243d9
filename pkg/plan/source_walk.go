package plan

import "slices"

// A walk goes from disks upwards through everything that lies on them and runs. A volume at its end holds data itself: a
// filesystem, a swap area, something that is not known, or a layer that does not run.
type walk struct {
	f      *Facts
	seen   Graph
	done   map[string]bool
	layers []*Node   // arrays, volume groups and the like that run, each once
	leaves []*Device // the volumes, in the order of the disks and of their partitions
}

// climb walks up from disks.
func (f *Facts) climb(disks []*Device) *walk {
	w := &walk{f: f, seen: f.Graph(), done: map[string]bool{}}
	for _, d := range disks {
		w.device(d)
	}
	return w
}

// device visits a disk, a partition, or the device of a layer.
func (w *walk) device(d *Device) {
	if w.done[d.Name] {
		return
	}
	w.done[d.Name] = true
	parts := w.f.Parts(d.Name)
	for _, x := range parts {
		w.device(x)
	}
	if d.Kind == KindDisk && (d.Table != nil || len(parts) > 0) || d.Kind == KindArray && len(parts) > 0 {
		return
	}
	if !w.above(w.f.refTo(d.Name)) {
		w.leaves = append(w.leaves, d)
	}
}

// above visits the layers that lie on a reference and run, and reports whether there are any.
func (w *walk) above(r Ref) bool {
	some := false
	if r == "" {
		return false
	}
	for _, n := range w.seen.Above(r) {
		if n.FS != nil || n.Swap != nil || n.Part != nil || w.done[string(n.Ref)] && w.runs(n) {
			some = some || n.FS == nil && n.Swap == nil && n.Part == nil
			continue
		}
		if !w.runs(n) {
			continue
		}
		some, w.done[string(n.Ref)] = true, true
		w.layers = append(w.layers, n)
		if d := w.f.find(n); d != nil {
			w.device(d)
		} else {
			w.above(n.Ref)
		}
	}
	return some
}

// runs reports whether a layer, or anything on it, has a device.
func (w *walk) runs(n *Node) bool {
	return w.f.find(n) != nil || slices.ContainsFunc(w.seen.Over(n.Ref), func(o *Node) bool {
		return o.FS == nil && o.Swap == nil && w.f.find(o) != nil
	})
}

// find is the device of a node that was seen, nil for none or several.
func (f *Facts) find(n *Node) *Device {
	k, _ := kindOf(n)
	if k.find == nil {
		return nil
	}
	if n.Disk != nil {
		return f.Dev(n.Ref.ID()) // seen, a disk has its kernel name for a key
	}
	d, err := k.find(f, n)
	if err != nil {
		return nil
	}
	return d
}

// disksUnder lists the disks that a device lies on, itself where it is one, in the order of the devices.
func (f *Facts) disksUnder(d *Device) []*Device {
	g, ref := f.Graph(), f.refTo(d.Name)
	var out []*Device
	for i := range f.Devices {
		if x := &f.Devices[i]; x.Kind == KindDisk && ref != "" && g.Rests(ref, Ref("disk:"+x.Name)) {
			out = append(out, x)
		}
	}
	if len(out) == 0 {
		if x := f.DiskOf(d.Name); x != nil && x.Kind == KindDisk {
			out = append(out, x) // a partition without an identity
		}
	}
	return out
}

// spread adds to disks those that share a layer with one of them, until nothing more is shared.
func (f *Facts) spread(disks []*Device) []*Device {
	for {
		in := map[string]bool{}
		for _, d := range disks {
			in[d.Name] = true
		}
		w := f.climb(disks)
		for _, n := range w.layers {
			for _, x := range w.seen.DisksUnder(n.Ref) {
				in[x.Ref.ID()] = true
			}
		}
		if len(in) == len(disks) {
			return disks
		}
		disks = nil
		for i := range f.Devices {
			if in[f.Devices[i].Name] {
				disks = append(disks, &f.Devices[i])
			}
		}
	}
}
