package survey

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"

	"migrate-init/pkg/fstab"
	"migrate-init/pkg/plan"
)

// mounts reads mountinfo of this process.
func (l *looker) mounts() {
	infos, err := mountinfo.GetMountsFromReader(strings.NewReader(l.text("proc/self/mountinfo")), nil)
	l.problem("/proc/self/mountinfo", err)
	for _, i := range infos {
		m := plan.Mount{Source: i.Source, Target: i.Mountpoint, Type: i.FSType, Options: i.Options + "," + i.VFSOptions, Root: i.Root}
		for j := range l.f.Devices {
			d := &l.f.Devices[j]
			if d.Major == uint32(i.Major) && d.Minor == uint32(i.Minor) || d.Path == i.Source {
				m.Device = d.Name
				d.MountedAt = append(d.MountedAt, i.Mountpoint)
				break
			}
		}
		if l.w.Free != nil && m.Device != "" {
			m.Free = l.w.Free(i.Mountpoint)
		}
		l.f.Mounts = append(l.f.Mounts, m)
	}
	l.subvolumes()
	if l.w.Unused == nil {
		return
	}
	for i, m := range l.f.Mounts {
		// A path tells of what was mounted there last.
		if m.Device == "" || slices.ContainsFunc(l.f.Mounts[i+1:], func(o plan.Mount) bool { return o.Target == m.Target }) {
			continue
		}
		if n := l.w.Unused(m.Target); n >= 0 {
			l.unused[m.Device] = n
		}
	}
}

// swaps reads /proc/swaps: "Filename Type Size Used Priority", a header line first.
func (l *looker) swaps() {
	first := true
	for line := range strings.Lines(l.text("proc/swaps")) {
		f := strings.Fields(line)
		if first || len(f) < 2 {
			first = false
			continue
		}
		// The kernel adds the remark where the node was made again since.
		if d := l.f.Dev(strings.TrimSuffix(fstab.Unescape(f[0]), " (deleted)")); d != nil {
			d.Swapping = true
		}
	}
}

func (l *looker) fstab() {
	b, err := l.bytes("etc/fstab")
	if err != nil {
		l.problem("/etc/fstab", err)
		return
	}
	t, err := fstab.Parse(b)
	if err != nil {
		l.problem("/etc/fstab", err)
		return
	}
	for _, m := range t.Malformed() {
		l.note(fmt.Sprintf("/etc/fstab line %d", m.Line), m.Reason+"; mount passes over the whole line, systemd may not")
	}
	for _, e := range t.Entries() {
		x := plan.Fstab{Spec: e.Spec.String(), Name: l.name(e.Spec), Target: e.File, Type: e.VFSType, Options: string(e.Options)}
		d, several := l.resolve(e.Spec)
		if x.Ambiguous = several; len(several) > 0 {
			l.problem("fstab line "+x.Spec, fmt.Errorf("ambiguous: matches /dev/%s; refusing to choose", strings.Join(several, " and /dev/")))
		}
		if d != nil {
			x.Device = d.Name
		} else if len(several) == 0 && strings.HasPrefix(e.Spec.Value, "/dev/") {
			x.Device = l.node(e.Spec.Value) // of a kind that is not surveyed: zram0, sr0
		}
		l.f.Fstab = append(l.f.Fstab, x)
	}
}

// resolve finds the device that a spec of fstab means, nil for none, or those that it could mean.
func (l *looker) resolve(spec fstab.Spec) (*plan.Device, []string) {
	if spec.Kind == fstab.Other {
		return nil, nil
	}
	return single(l.meant(spec))
}

// single is the one device of a list, or else the names of several.
func single(found []*plan.Device) (*plan.Device, []string) {
	switch len(found) {
	case 0:
		return nil, nil
	case 1:
		return found[0], nil
	}
	var names []string
	for _, d := range found {
		names = append(names, d.Name)
	}
	return nil, names
}

// subvolumes lists those of every mounted filesystem that may have some, once each.
func (l *looker) subvolumes() {
	if l.w.Subvolumes == nil {
		return
	}
	for i, m := range l.f.Mounts {
		covered := slices.ContainsFunc(l.f.Mounts[i+1:], func(o plan.Mount) bool { return o.Target == m.Target })
		if m.Device == "" || covered || l.parts[m.Device] != nil || plan.FSTypeOf(m.Type).Part == "" {
			continue
		}
		list, err := l.w.Subvolumes(m.Target)
		if err != nil {
			l.ofDevice("", "/dev/"+m.Device, err)
			continue
		}
		l.parts[m.Device] = list
	}
}
