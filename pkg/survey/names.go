package survey

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"migrate-init/pkg/conf"
	"migrate-init/pkg/fstab"
	"migrate-init/pkg/plan"
)

// links notes which links below /dev/disk, and of arrays and mappings, lead to which device.
func (l *looker) links() {
	dirs := []string{"dev/md", "dev/mapper"}
	for _, dir := range l.names("dev/disk") {
		dirs = append(dirs, "dev/disk/"+dir)
	}
	for _, dir := range dirs {
		for _, n := range l.names(dir) {
			at := "/" + dir + "/" + n
			if d := l.byNode(at); d != nil {
				d.Links = append(d.Links, at)
			}
		}
	}
}

// uses lists what names devices beside fstab: crypttab, the kernel's command line and that of kernels to come, the
// settings of the initramfs generator and of the boot loader, and its entries.
func (l *looker) uses() {
	l.crypttab()
	for _, p := range l.f.Kernel.Params {
		l.param("kernel command line", p)
	}
	texts := plan.Texts()
	for _, s := range l.w.Rules.Generator(l.f.Distro.Initrd).Settings {
		texts = append(texts, s.Pattern)
		l.variables(s)
	}
	for _, pattern := range append(texts, l.w.Rules.Loader(l.f.Boot.Loader).Texts...) {
		for _, n := range l.glob(pattern) {
			l.mentioned(n)
		}
	}
}

// glob lists files that match a pattern; a pattern without a star is the name of one.
func (l *looker) glob(pattern string) []string {
	if !strings.Contains(pattern, "*") {
		return []string{pattern}
	}
	names, err := fs.Glob(l.w.Root, pattern)
	l.problem("/"+pattern, err)
	return slices.DeleteFunc(names, func(n string) bool {
		st, err := fs.Stat(l.w.Root, n)
		return err != nil || st.IsDir()
	})
}

func (l *looker) crypttab() {
	t, err := fstab.ParseCrypttab([]byte(l.text("etc/crypttab")))
	l.problem("/etc/crypttab", err)
	for _, e := range t.Entries() {
		l.use(fmt.Sprintf("/etc/crypttab line %d", e.Line), e.Source, false)
	}
}

// param notes the device that a kernel parameter names. Only root= and resume= may be a number.
func (l *looker) param(where string, p plan.Param) {
	spec := fstab.ParseSpec(p.Value)
	if spec.Kind != fstab.Other || p.Key == "root" || p.Key == "resume" {
		l.use(where+": "+p.Key+"=", spec, p.Key == "resume")
	}
}

// variables notes what the settings of an initramfs generator name.
func (l *looker) variables(s plan.Settings) {
	for _, n := range l.glob(s.Pattern) {
		b := []byte(l.text(n))
		for _, key := range s.Devices {
			// What only running the file could tell is found by rewriting it, which is tried before anything is scheduled.
			if v, ok, err := conf.Get(b, key); err == nil && ok {
				l.use("/"+n+": "+key+"=", fstab.ParseSpec(v), key == s.Resume)
			}
		}
	}
}

// use notes a place that names a device. A word that is neither a tag, a node nor a number names none.
func (l *looker) use(where string, spec fstab.Spec, resume bool) {
	u := plan.Use{Where: where, Spec: spec.String(), Name: l.name(spec), Resume: resume}
	d, several := single(l.meant(spec))
	_, _, number := spec.Number()
	u.Ambiguous = several
	switch {
	case spec.Kind == fstab.Nothing, spec.Kind == fstab.Other && !number, spec.Kind == fstab.Device && !strings.HasPrefix(spec.Value, "/dev/"):
		return
	case d != nil:
		u.Device = d.Name
	case spec.Kind == fstab.Device && len(several) == 0:
		u.Device = l.node(spec.Value) // of a kind that is not surveyed: zram0
	}
	l.f.Uses = append(l.f.Uses, u)
}

// mentioned notes which labels, partition names and device numbers of this machine a text names, whatever its syntax is.
// Two devices of one label would be ambiguous to it.
func (l *looker) mentioned(name string) {
	text := fstab.TextOf(conf.Uncommented([]byte(l.text(name))))
	seen := map[fstab.Spec]bool{}
	for i := range l.f.Devices {
		d := &l.f.Devices[i]
		specs := []fstab.Spec{{Kind: fstab.Label, Value: labelOf(d)}, {Kind: fstab.PartLabel, Value: l.partName(d)}}
		if d.Kind == plan.KindPart { // root= by number
			specs = append(specs, fstab.Spec{Value: fmt.Sprintf("%d:%d", d.Major, d.Minor)})
			if d.Major < 1<<12 && d.Minor < 1<<8 {
				specs = append(specs, fstab.Spec{Value: fmt.Sprintf("%x%02x", d.Major, d.Minor)})
			}
		}
		for _, s := range specs {
			if s.Value != "" && !seen[s] && text.Mentions(s) {
				seen[s] = true
				l.use("/"+name, s, false)
			}
		}
	}
}

// name is what a spec means; a label is told as the device carries it.
func (l *looker) name(spec fstab.Spec) plan.Name {
	m := spec.Meaning()
	for i := range l.f.Devices {
		d := &l.f.Devices[i]
		switch m.Kind {
		case fstab.Label:
			if c := labelOf(d); c != "" && spec.Same(fstab.Spec{Kind: fstab.Label, Value: c}) {
				return plan.Name{Tag: plan.TagLabel, Value: c}
			}
		case fstab.PartLabel:
			if c := l.partName(d); c != "" && spec.Same(fstab.Spec{Kind: fstab.PartLabel, Value: c}) {
				return plan.Name{Tag: plan.TagPartLabel, Value: c}
			}
		}
	}
	return plan.Name{Tag: m.Tag(), Value: m.Value}
}

// meant lists the devices that a spec of fstab, crypttab, root= or resume= may mean.
func (l *looker) meant(spec fstab.Spec) []*plan.Device {
	m := spec.Meaning()
	var match func(d *plan.Device) bool
	switch m.Kind {
	case fstab.UUID:
		match = func(d *plan.Device) bool { c := contentOf(d); return c != nil && strings.EqualFold(c.UUID, m.Value) }
	case fstab.Label:
		match = func(d *plan.Device) bool {
			return labelOf(d) != "" && m.Same(fstab.Spec{Kind: fstab.Label, Value: labelOf(d)})
		}
	case fstab.PartUUID:
		id, off, counted := strings.Cut(m.Value, "/partnroff=")
		if n, err := strconv.Atoi(off); counted && err == nil {
			return l.counted(id, n)
		}
		match = func(d *plan.Device) bool { return d.GUID != "" && strings.EqualFold(d.GUID, m.Value) }
	case fstab.PartLabel:
		match = func(d *plan.Device) bool {
			return l.partName(d) != "" && m.Same(fstab.Spec{Kind: fstab.PartLabel, Value: l.partName(d)})
		}
	case fstab.ID:
		match = func(d *plan.Device) bool {
			return slices.ContainsFunc(d.Links, func(at string) bool {
				return m.Same(fstab.Spec{Kind: fstab.Device, Value: at})
			})
		}
	case fstab.Device:
		if d := l.byNode(path.Clean(spec.Value)); d != nil {
			return []*plan.Device{d}
		}
		// What the kernel was told to mount as root has no node of this name where udev makes none.
		if m.Value == "/dev/root" {
			if d, _ := l.f.Holder("/"); d != nil {
				return []*plan.Device{d}
			}
		}
		return nil
	case fstab.Other:
		major, minor, ok := m.Number()
		match = func(d *plan.Device) bool { return ok && d.Major == major && d.Minor == minor }
	default:
		return nil
	}
	var found []*plan.Device
	for i := range l.f.Devices {
		if match(&l.f.Devices[i]) {
			found = append(found, &l.f.Devices[i])
		}
	}
	// udev gives a link to one of several; a link that is there when the tag is not read leads somewhere, too.
	if spec.Kind == fstab.Device && len(found) == 0 {
		if d := l.byNode(path.Clean(spec.Value)); d != nil {
			return []*plan.Device{d}
		}
	}
	return found
}

// counted finds the partition whose number is n behind that of another.
func (l *looker) counted(guid string, n int) []*plan.Device {
	for i := range l.f.Devices {
		d := &l.f.Devices[i]
		if d.GUID == "" || !strings.EqualFold(d.GUID, guid) {
			continue
		}
		for _, x := range l.f.Parts(d.Parent) {
			if x.Number == d.Number+n {
				return []*plan.Device{x}
			}
		}
	}
	return nil
}

func contentOf(d *plan.Device) *plan.Content {
	if c := d.Filesystem(); c != nil {
		return c
	}
	return d.Swap()
}

func labelOf(d *plan.Device) string {
	if c := contentOf(d); c != nil {
		return c.Label
	}
	return ""
}

// partName is a partition's name in its table.
func (l *looker) partName(d *plan.Device) string {
	disk := l.f.DiskOf(d.Name)
	if d.Kind != plan.KindPart || disk == nil || disk.Table == nil {
		return ""
	}
	for _, p := range disk.Table.Partitions {
		if p.Number == d.Number {
			return p.Name
		}
	}
	return ""
}
