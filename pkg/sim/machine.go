// Package sim is a made-up machine for tests: disks in memory, a kernel that knows partitions, md, mounts and sysfs, and the
// programs that a migration calls. It is a machine and reads no plan; what it is told are effects. A test cuts its power at any
// effect, tears a write, takes the page cache away, lets an effect fail, and boots it again.
//
// Only tests import it.
package sim

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"strings"
	"testing"
	"testing/fstest"

	"migrate-init/pkg/gpt"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/survey"
	"migrate-init/pkg/tree"
)

// Machine is a made-up machine. Its disks, and the files of its filesystems, outlive a boot; everything else starts again.
// It carries out effects as the kernel and the system's tools would, and fails the test when one touches a source disk
// that must not be touched.
type Machine struct {
	TB    testing.TB
	Disks []*Disk
	Trees map[string]fstest.MapFS // by filesystem UUID
	boots int

	layout Layout
	Rules  plan.Rules // what looks know of families and generators

	// AssembleAll says that an installed system starts every array and volume, whatever its settings say.
	AssembleAll   bool
	startReadOnly bool // what md's parameter start_ro says

	live    bool // the old system runs: it may write to its own disk
	Joining bool // the new system runs: the old disk may be written

	Root    fstest.MapFS
	Mounts  []Mount
	Devices []*Device
	Arrays  map[string]*Array
	loaded  map[string]bool
	Entered string                       // NewRoot of SwitchRoot
	version int                          // counts what may change what a look sees
	seen    map[survey.Depth]*plan.Facts // what looks have found since version was seenAt
	seenAt  int
	Told    []string // what the program under test said since the last boot

	Fails map[string]string // by name: what a program says that fails

	Finds map[string][]tree.Finding // by source UUID: what a look before the copy finds there

	Replays map[string]Replay // by filesystem UUID: what a replay of its journal does

	loose map[string]fstest.MapFS // by filesystem UUID and name: what programs overwrote and no one has synced yet; nil files were not there

	journaled map[string]map[string]bool // by filesystem UUID: names of renames that are in its journal only, until a sync or a mount for writing

	Log   []string
	Calls []string // what was asked beside effects: devices opened, directories read, modules loaded
	Verbs int
	Fault Fault
	Tear  int            // which chunk of a torn WriteDevice is cut in half, counted from 1; 0 is the middle one
	Dead  error          // why nothing works any more
	Watch func(done int) // before every verb, and when a moment has passed
}

// Fault is what goes wrong at one verb, counted from 1: "error" (not done, and reported), "late" (done, and reported as
// failed), "before", "torn" and "after" are power cuts. "call" is a failure of one of Calls.
type Fault struct {
	At  int
	How string
}

// What a Fault ends in: a power cut, after which nothing works until the next boot, or a failure.
var (
	ErrCut      = errors.New("the power is gone")
	ErrInjected = errors.New("injected failure")
)

// Verb counts an action and tells how it is to be done: 0 not at all, 1 in half, 2 whole; then is what to return.
func (m *Machine) Verb(line string, writes []string) (how int, then error) {
	if m.Dead != nil {
		return 0, m.Dead
	}
	m.Verbs++
	m.version++
	if m.Watch != nil {
		m.Watch(m.Verbs - 1)
	}
	if len(writes) > 0 {
		line += "  => " + strings.Join(writes, " ")
	}
	m.Log = append(m.Log, line)
	if m.Fault.How == "" || m.Fault.How == "call" || m.Verbs != m.Fault.At {
		return 2, nil
	}
	switch m.Fault.How {
	case "error":
		return 0, ErrInjected
	case "late":
		return 2, ErrInjected
	}
	m.Dead = ErrCut
	return map[string]int{"before": 0, "torn": 1, "after": 2}[m.Fault.How], ErrCut
}

// Do implements machine.Machine.
func (m *Machine) Do(_ context.Context, e machine.Effect) (machine.Output, error) {
	how, then := m.Verb(e.String(), e.Writes())
	if how == 0 {
		return machine.Output{}, then
	}
	for _, name := range e.Writes() {
		if b, err := m.param(name); err == nil {
			m.guard(b, e)
		}
	}
	if x, ok := e.(machine.Exec); ok && m.live {
		if out, reads, err := m.Reads(x); reads {
			return out, errors.Join(err, then)
		}
	}
	if err := m.carry(e, how == 1); err != nil {
		return machine.Output{}, err
	}
	return machine.Output{}, then
}

// guard fails the test when a source disk would be written.
func (m *Machine) guard(b *Device, what any) {
	for _, d := range b.disks() {
		if d.Source && !m.live && !m.Joining {
			m.TB.Errorf("source disk %s is written: %v", d.Name, what)
		}
	}
}

// Boot starts another kernel: partitions as the tables say, nothing mounted, no array, nothing read-only.
func (m *Machine) Boot() {
	m.boots++
	m.version++
	m.Mounts, m.Devices, m.Arrays, m.loaded, m.Dead, m.Entered, m.Fault, m.Verbs, m.Log, m.Calls, m.Told = nil, nil, map[string]*Array{}, map[string]bool{}, nil, "", Fault{}, 0, nil, nil, nil
	m.live, m.Joining, m.Watch, m.loose, m.startReadOnly = false, false, nil, nil, false
	for i, d := range m.Disks {
		b := &Device{Name: d.Name, Major: 254, Minor: uint32(16 * i), Size: d.Size, Disk: d}
		m.Devices = append(m.Devices, b)
		t, err := gpt.Read(d, d.Size, 512)
		if err != nil || t.Backup {
			continue // the kernel does not look for the backup
		}
		for _, p := range t.Partitions {
			m.addPart(b, p.Number, p.Start, p.Size)
		}
	}
	m.Root = fstest.MapFS{"init": {Data: []byte("migrate-init"), Mode: 0o755}, "mnt": {Mode: fs.ModeDir | 0o755}, "etc": {Mode: fs.ModeDir | 0o755}, "dev": {Mode: fs.ModeDir | 0o755}}
	m.Mounts = []Mount{{Src: "devtmpfs", Dir: "/dev", Type: "devtmpfs", Tree: fstest.MapFS{}}}
}

// Clone copies what outlives a boot.
func (m *Machine) Clone(t testing.TB) *Machine {
	c := &Machine{TB: t, boots: m.boots, layout: m.layout, AssembleAll: m.AssembleAll, Rules: m.Rules, Trees: map[string]fstest.MapFS{}, Finds: m.Finds, Replays: m.Replays}
	for _, d := range m.Disks {
		c.Disks = append(c.Disks, d.clone())
	}
	for id, tree := range m.Trees {
		c.Trees[id] = maps.Clone(tree)
	}
	for id, names := range m.journaled {
		for name := range names {
			c.rename(id, name)
		}
	}
	return c
}

// Changed says that a test changed by itself what the kernel shows: the next look looks again.
func (m *Machine) Changed() { m.version++ }
