package plan

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Tags of names, as fstab(5) has them. A path and a number have none.
const (
	TagUUID      = "UUID"
	TagLabel     = "LABEL"
	TagPartUUID  = "PARTUUID"
	TagPartLabel = "PARTLABEL"
)

// Name is how something names a device, by what it means: quotes and escapes are gone, and a link of udev is the tag that
// it stands for. A label is as the device carries it.
type Name struct {
	Tag   string `json:"tag,omitempty"` // UUID, LABEL, PARTUUID, PARTLABEL, ID; "" for a path or a number
	Value string `json:"value,omitempty"`
}

// Use is a place, beside the lines of fstab, that names a device.
type Use struct {
	Where     string   `json:"where"`            // for people: "/etc/crypttab line 3"
	Spec      string   `json:"spec"`             // as fstab would spell it
	Resume    bool     `json:"resume,omitempty"` // the boot waits for it, to resume from hibernation
	Name      Name     `json:"name"`
	Device    string   `json:"device,omitempty"`    // by name; "" when it resolves to none
	Ambiguous []string `json:"ambiguous,omitempty"` // the devices that it could mean, where they are several
}

// inUse are the values by which something finds a device under a tag.
func (f *Facts) inUse(tag string) map[string]bool {
	m := map[string]bool{}
	for _, e := range f.Fstab {
		if e.Name.Tag == tag {
			m[e.Name.Value] = true
		}
	}
	for _, u := range f.Uses {
		if u.Name.Tag == tag {
			m[u.Name.Value] = true
		}
	}
	return m
}

// alsoCalled lists, as fstab would spell them, the names of a source beside its UUID, its partition's GUID and its node:
// the links that lead to it, and what anything calls it. Only those are there that lead to it alone.
func (f *Facts) alsoCalled(d *Device) []string {
	out := append([]string(nil), d.Links...)
	add := func(dev string, n Name, spec string) {
		known := n.Tag == TagUUID || n.Tag == TagPartUUID && strings.EqualFold(n.Value, d.GUID) || n.Tag == "" && n.Value == d.Path
		if dev == d.Name && !known && utf8.ValidString(spec) {
			out = append(out, spec)
		}
	}
	for _, e := range f.Fstab {
		if !e.bind() {
			add(e.Device, e.Name, e.Spec)
		}
	}
	for _, u := range f.Uses {
		add(u.Device, u.Name, u.Spec)
	}
	return merge(out)
}

// moves reports whether a device is a volume that the plan moves, or one of a source's lower layers.
func (p *Plan) moves(f *Facts, d *Device) bool {
	if d == nil || d.Kind == KindDisk && d.Table != nil {
		return false
	}
	ref := p.refIn(f, d)
	return ref != "" && p.Source.Node(ref) != nil
}

// checkNames looks at what names devices, in fstab and outside of it. Names of a source become those of its successor; what cannot be
// told apart is not touched, and what is not there keeps each boot waiting.
func checkNames(p *Plan, f *Facts, a *answers) {
	labels, names := f.inUse(TagLabel), f.inUse(TagPartLabel)
	for _, n := range p.Target.Filesystems() {
		if n.FS.Label != "" && labels[n.FS.Label] {
			a.refuse("label "+n.FS.Label, "make a new plan", "the old system finds its filesystem by it by now, and the new one at %s would have it too", n.FS.Mount)
		}
	}
	for _, t := range p.NewDisks() {
		for _, n := range p.Target.Parts(t.Ref) {
			if n.Part.Name != "" && names[n.Part.Name] {
				a.refuse("partition name "+n.Part.Name, "make a new plan", "the old system finds a partition by it by now, and a new one would have it too")
			}
		}
	}
	// It would become the new UUID of the one that moves, whichever was meant.
	ambiguous := func(noun string, devices []string) bool {
		if !slices.ContainsFunc(devices, func(n string) bool { return p.moves(f, f.Dev(n)) }) {
			return false
		}
		a.refuse(noun, "give one of them another name, wipe it if nothing on it is wanted, or name the device by UUID there", "ambiguous: it matches several devices (%s), and only one of them is moved", strings.Join(devices, ", "))
		return true
	}
	for _, e := range f.Fstab {
		ambiguous(fmt.Sprintf("fstab line %s at %s", e.Spec, e.Target), e.Ambiguous)
	}
	for _, u := range f.Uses {
		noun := fmt.Sprintf("%s: %s", u.Where, u.Spec)
		t := p.targetOf(f, u.Device)
		switch {
		case ambiguous(noun, u.Ambiguous):
		case t != nil:
			a.warn(noun, "remove it there, or name another device", "it is on the target disk %s, which is overwritten", t.Path)
		case u.Resume && u.Device == "":
			a.warn(noun, "remove it there, or name a swap area that exists", "no device matches it: each boot waits about 30 seconds for it, and so will the new system")
		}
	}
}
