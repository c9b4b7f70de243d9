package plan

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
)

// An AmbiguousError says that several things carry one identity: none of them is chosen.
type AmbiguousError struct {
	Subject    string
	Candidates []string
	// Below is a candidate that another one lies on, as the paths of a disk lie below multipath: both show the same bytes.
	Below string
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("%s: ambiguous: it matches %s; refusing to choose", e.Subject, strings.Join(e.Candidates, " and "))
}

// Dev returns the device with the name or path, or nil. A leading /dev/ is ignored; the two differ where nodes have a
// directory (cciss!c0d0), and for mappings, which have a name of their own (/dev/mapper/vg-root).
func (f *Facts) Dev(name string) *Device {
	name = strings.TrimPrefix(name, "/dev/")
	mapping, mapped := strings.CutPrefix(name, "mapper/")
	for i := range f.Devices {
		if d := &f.Devices[i]; d.Name == name || d.Path == "/dev/"+name || mapped && d.Mapping == mapping {
			return &f.Devices[i]
		}
	}
	return nil
}

// Parts returns the partitions of a disk that the kernel knows, by number.
func (f *Facts) Parts(disk string) []*Device {
	var out []*Device
	for i := range f.Devices {
		if d := &f.Devices[i]; d.Kind == KindPart && d.Parent == disk {
			out = append(out, d)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Number < out[j].Number })
	return out
}

// DiskOf returns the whole disk that a device is on, the device itself when it is one, or nil.
func (f *Facts) DiskOf(name string) *Device {
	d := f.Dev(name)
	for d != nil && (d.Kind == KindPart || d.Over != "") {
		d = f.Dev(orElse(d.Over, d.Parent))
	}
	return d
}

// Disk finds the one disk that a node means: nil when there is none, an AmbiguousError when there are several.
func (f *Facts) Disk(n *Node) (*Device, error) { return diskKind().find(f, n) }

// PartByGUID finds a partition by its GUID.
func (f *Facts) PartByGUID(guid string) (*Device, error) {
	return one(f, "partition "+guid, func(d *Device) bool { return d.Kind == KindPart && d.GUID != "" && strings.EqualFold(d.GUID, guid) })
}

// FS finds the device with the filesystem of a UUID. A device that carries a raid, LVM, LUKS or ZFS label has none.
func (f *Facts) FS(uuid string) (*Device, error) {
	return one(f, "filesystem "+uuid, func(d *Device) bool {
		c := d.Filesystem()
		return c != nil && strings.EqualFold(c.UUID, uuid)
	})
}

// Swap finds the device with the swap area of a UUID.
func (f *Facts) Swap(uuid string) (*Device, error) {
	return one(f, "swap "+uuid, func(d *Device) bool {
		c := d.Swap()
		return c != nil && strings.EqualFold(c.UUID, uuid)
	})
}

// Array finds an array by UUID, or nil.
func (f *Facts) Array(uuid string) *Array {
	for i := range f.Arrays {
		if f.Arrays[i].UUID == uuid {
			return &f.Arrays[i]
		}
	}
	return nil
}

// Volume resolves a reference of a plan to the device that it is now: nil when it is not there, or is one that has to be
// started and was not. Where an overlay covers it, that is the device.
func (f *Facts) Volume(p *Plan, r Ref) (*Device, error) {
	n := p.Node(r)
	if n == nil {
		return nil, fmt.Errorf("volume %s: not a reference of this plan", r)
	}
	k, _ := kindOf(n)
	d, err := k.find(f, n)
	return f.top(d), err
}

func one(f *Facts, noun string, match func(*Device) bool) (*Device, error) {
	var found []*Device
	for i := range f.Devices {
		if match(&f.Devices[i]) {
			found = append(found, &f.Devices[i])
		}
	}
	switch len(found) {
	case 0:
		return nil, nil
	case 1:
		return found[0], nil
	}
	e := &AmbiguousError{Subject: noun}
	for _, d := range found {
		e.Candidates = append(e.Candidates, d.Path)
		if slices.ContainsFunc(found, func(top *Device) bool { return f.below(d, top) }) {
			e.Below = d.Path
		}
	}
	return nil, e
}

// below reports whether one device lies on another, or on the disk that the other is a partition of.
func (f *Facts) below(low, top *Device) bool {
	for _, d := range []*Device{low, f.Dev(low.Parent)} {
		if d == nil {
			continue
		}
		for _, h := range d.Holders {
			if x := f.Dev(h); x != nil && (x == top || f.below(x, top)) {
				return true
			}
		}
	}
	return false
}

// apart is what to do about a volume that was found twice: identify says how one of the two gets another identity, which ruins
// the volume where both are the same.
func apart(err error, other, identify string) string {
	var many *AmbiguousError
	if errors.As(err, &many) && many.Below != "" {
		return "it is one volume that is seen twice: stop what shows " + many.Below + " again, or hide that (a path of multipath: partx --delete DISK); do not change its UUID"
	}
	return "disconnect " + other + ", or give it another identity" + identify
}

// layered reports whether a label is present that makes a device no filesystem, whatever else is seen on it.
func (d *Device) layered() bool {
	return slices.ContainsFunc(d.Contents, func(c Content) bool {
		return !c.Ghost && slices.Contains([]string{ContentRaid, ContentLVM, ContentLUKS, ContentZFS, ContentOther}, c.Kind)
	})
}

func (d *Device) only(kind string) *Content {
	if d.layered() {
		return nil
	}
	var found *Content
	for i := range d.Contents {
		if d.Contents[i].Kind == kind && !d.Contents[i].Ghost {
			if found != nil {
				return nil
			}
			found = &d.Contents[i]
		}
	}
	return found
}

// Filesystem returns the one filesystem on a device, or nil: none, several, or a lower layer's label is there.
func (d *Device) Filesystem() *Content { return d.only(ContentFS) }

// Swap returns the swap area on a device, or nil.
func (d *Device) Swap() *Content { return d.only(ContentSwap) }

// Empty reports whether nothing known is on a disk: no signature and no partition.
func (d *Device) Empty() bool { return len(d.Contents) == 0 && d.Table == nil }
