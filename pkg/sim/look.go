package sim

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing/fstest"

	"migrate-init/pkg/plan"
	"migrate-init/pkg/survey"
)

// Look surveys the machine; what it found stays valid until the next verb.
func (m *Machine) Look(ctx context.Context, depth survey.Depth) (*plan.Facts, error) {
	if m.Dead != nil {
		return nil, m.Dead
	}
	if m.seen == nil || m.seenAt != m.version {
		m.seen, m.seenAt = map[survey.Depth]*plan.Facts{}, m.version
	}
	if f := m.seen[depth]; f != nil {
		return f, nil
	}
	at, key, known := depth, "", (*plan.Facts)(nil)
	if depth == survey.Deep {
		key = m.content()
		if k, ok := deep.Load(key); ok {
			at, known = survey.Shallow, k.(*plan.Facts)
		}
	}
	root := fstest.MapFS{}
	if depth == survey.Whole {
		root = m.View()
	} else {
		m.kernel(root)
	}
	f, err := survey.Look(ctx, m.world(root), at)
	if err == nil && known != nil {
		graft(f, known)
	} else if err == nil && key != "" {
		deep.Store(key, f)
	}
	if err == nil {
		m.seen[depth] = f
	}
	return f, err
}

func (m *Machine) world(root fs.FS) survey.World {
	return survey.World{Root: root, Rules: m.Rules, Open: func(name string) (survey.Device, error) {
		if b := m.Dev(name); b != nil {
			return b, nil
		}
		return nil, fs.ErrNotExist
	}, Free: func(string) int64 { return 1 << 30 }}
}

// LookAgain surveys the machine as the shipped program does in an initramfs, and returns the devices that were opened.
func (m *Machine) LookAgain(ctx context.Context, depth survey.Depth, known *survey.Known) (f *plan.Facts, opened []string, err error) {
	root := fstest.MapFS{}
	m.kernel(root)
	w := m.world(root)
	w.Known = known
	open := w.Open
	w.Open = func(name string) (survey.Device, error) {
		opened = append(opened, name)
		return open(name)
	}
	f, err = survey.Look(ctx, w, depth)
	return f, opened, err
}

// deep keeps what was read from devices, by their content: reading them is what costs, and the same states come again.
//
//nolint:gochecknoglobals // a memory of a pure function, which costs
var deep sync.Map

// content names all that a deep look reads: which devices there are, what the arrays do, and the bytes under them.
func (m *Machine) content() string {
	var b strings.Builder
	for _, d := range m.Devices {
		fmt.Fprintf(&b, "%s %d %d %d %d;", d.Name, d.Offset, d.Size, d.LegOffset, len(d.Legs))
		if d.layer != nil {
			b.WriteString(d.layer.fingerprint())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.Arrays)) {
		a := m.Arrays[name]
		passed := -1
		if a.recovery != nil {
			passed = a.recovery.passed
		}
		fmt.Fprintf(&b, "%s %v %d %d;", name, a.asleep, passed, len(a.Members))
	}
	for _, d := range m.Disks {
		fmt.Fprintf(&b, "%x ", d.Sum)
	}
	return b.String()
}

// graft adds to shallow facts what a deep look at the same content had read.
func graft(f, known *plan.Facts) {
	f.Arrays, f.Groups, f.Crypts = known.Arrays, known.Groups, known.Crypts
	for i := range f.Devices {
		d, k := &f.Devices[i], known.Dev(f.Devices[i].Name)
		d.Table, d.Contents, d.GUID, d.BootSector = k.Table, k.Contents, k.GUID, k.BootSector
	}
}
