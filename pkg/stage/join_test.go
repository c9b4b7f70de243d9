package stage

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"testing"
	"time"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/md"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/survey"
)

// ram is a device in memory.
type ram struct{ b []byte }

func (r ram) ReadAt(b []byte, off int64) (int, error) { return bytes.NewReader(r.b).ReadAt(b, off) }
func (ram) Close() error                              { return nil }

// joining is a machine whose devices are in memory; a hot-added device is a member at once.
type joining struct {
	f    *plan.Facts
	disk map[string]ram
}

func (m *joining) Do(_ context.Context, e machine.Effect) (machine.Output, error) {
	switch x := e.(type) {
	case machine.WriteDevice:
		for _, c := range x.Chunks {
			copy(m.disk[x.Dev].b[c.Offset:], c.Data)
		}
	case machine.Ioctl:
		m.f.Dev(x.Alters[0]).Holders = []string{"md0"}
	}
	return machine.Output{}, nil
}

// TestJoinersHaveTheirOwnIdentity: two members join one array of three; each gets the device UUID that the plan has for
// its slot, and joining again does nothing.
func TestJoinersHaveTheirOwnIdentity(t *testing.T) {
	const size = 64 << 20
	const array = "aaaaaaaa:bbbbbbbb:cccccccc:dddddddd"
	devices := []string{"00000000:00000000:00000000:00000001", "00000000:00000000:00000000:00000002", "00000000:00000000:00000000:00000003"}
	node := func(on ...plan.Ref) plan.Node {
		return plan.Node{Ref: "md:" + array, On: on, Layer: plan.Layer{MD: &plan.MD{Name: "h:root", Level: 1, Metadata: "1.2", Devices: devices}}}
	}
	parts := plan.Graph{}
	for _, g := range []plan.Ref{"part:a", "part:b", "part:c"} {
		parts = append(parts, plan.Node{Ref: g, Size: size, Layer: plan.Layer{Part: &plan.Part{}}})
	}
	p := &plan.Plan{Target: append(parts[:1:1], node("part:a", "", "")), Final: append(parts[:3:3], node("part:a", "part:b", "part:c"))}

	m := &joining{f: &plan.Facts{Devices: []plan.Device{{Name: "md0", Path: "/dev/md0", Kind: plan.KindArray, Size: size}},
		Arrays: []plan.Array{{UUID: array, Node: "md0", Devices: 3}}}, disk: map[string]ram{}}
	for i, g := range []string{"a", "b", "c"} {
		name := fmt.Sprintf("vd%s1", g)
		m.f.Devices = append(m.f.Devices, plan.Device{Name: name, Path: "/dev/" + name, Kind: plan.KindPart, GUID: g, Size: size, Major: 8, Minor: uint32(i)})
		m.disk["/dev/"+name] = ram{make([]byte, size)}
	}
	m.f.Dev("vda1").Holders = []string{"md0"}
	target := p.Target.Node("md:" + array)
	spec, err := specOf(target, time.Unix(1700000000, 0), []int64{size, size, size})
	if err != nil {
		t.Fatal(err)
	}
	images, err := md.New(spec)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range images[0].Writes {
		copy(m.disk["/dev/vda1"].b[w.Offset:], w.Data)
	}
	e := &Env{Plan: p, Machine: m, Facts: m.f, Tell: func(Event) {}, Look: func(context.Context, survey.Depth) (*plan.Facts, error) { return m.f, nil },
		Open: func(name string) (survey.Device, error) {
			if r, ok := m.disk[name]; ok {
				return r, nil
			}
			return nil, fs.ErrNotExist
		}}
	for range 2 {
		if err := runJoin(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range []string{"/dev/vda1", "/dev/vdb1", "/dev/vdc1"} {
		supers, err := md.Scan(m.disk[name], size)
		if err != nil || len(supers) != 1 || supers[0].UUID.String() != array || supers[0].DeviceUUID.String() != devices[i] {
			t.Errorf("%s: %+v, %v", name, supers, err)
		}
	}
}

// TestCreationCutBetweenMembers: the power goes after some of three superblocks. What is there is as it was created, so the
// rest is written; once a member has changed, the array has run, and nothing is.
func TestCreationCutBetweenMembers(t *testing.T) {
	const size = 64 << 20
	const array = "aaaaaaaa:bbbbbbbb:cccccccc:dddddddd"
	devices := []string{"00000000:00000000:00000000:00000001", "00000000:00000000:00000000:00000002", "00000000:00000000:00000000:00000003"}
	names := []string{"vda1", "vdb1", "vdc1"}
	target := plan.Graph{}
	for _, g := range []plan.Ref{"part:a", "part:b", "part:c"} {
		target = append(target, plan.Node{Ref: g, Size: size, Layer: plan.Layer{Part: &plan.Part{}}})
	}
	target = append(target, plan.Node{Ref: "md:" + array, On: []plan.Ref{"part:a", "part:b", "part:c"},
		Layer: plan.Layer{MD: &plan.MD{Name: "h:root", Level: 1, Metadata: "1.2", Bitmap: true, Devices: devices}}})
	world := func(members ...string) (*Env, *joining) {
		m := &joining{f: &plan.Facts{}, disk: map[string]ram{}}
		for i, name := range names {
			m.f.Devices = append(m.f.Devices, plan.Device{Name: name, Path: "/dev/" + name, Kind: plan.KindPart, GUID: string(rune('a' + i)), Size: size, Major: 8, Minor: uint32(i)})
			m.disk["/dev/"+name] = ram{make([]byte, size)}
		}
		if len(members) > 0 {
			a := plan.Array{UUID: array, Devices: 3}
			for _, name := range members {
				a.Members = append(a.Members, plan.Member{Device: name})
			}
			m.f.Arrays = []plan.Array{a}
		}
		return &Env{Plan: &plan.Plan{Target: target, Created: time.Unix(1700000000, 0)}, Machine: m, Facts: m.f, Tell: func(Event) {},
			Look: func(context.Context, survey.Depth) (*plan.Facts, error) { return m.f, nil },
			Open: func(name string) (survey.Device, error) { return m.disk[name], nil }}, m
	}
	n := target.Node("md:" + array)
	e, whole := world()
	if err := e.makeArray(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	for _, there := range [][]string{{"vda1"}, {"vda1", "vdb1"}, {"vdc1"}, names} {
		e, m := world(there...)
		for _, name := range there {
			copy(m.disk["/dev/"+name].b, whole.disk["/dev/"+name].b)
		}
		if err := e.makeArray(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if !bytes.Equal(m.disk["/dev/"+name].b, whole.disk["/dev/"+name].b) {
				t.Errorf("%q were there: %s is not as it is in a creation without a cut", there, name)
			}
		}
	}
	for what, change := range map[string]func(e *Env, m *joining){
		"a member that has run":    func(_ *Env, m *joining) { m.disk["/dev/vda1"].b[4096+200]++ },
		"an array that is running": func(_ *Env, m *joining) { m.f.Arrays[0].Node = "md0" },
	} {
		e, m := world("vda1")
		copy(m.disk["/dev/vda1"].b, whole.disk["/dev/vda1"].b)
		change(e, m)
		if err := e.makeArray(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		if supers, err := md.Scan(m.disk["/dev/vdb1"], size); err != nil || len(supers) > 0 {
			t.Errorf("%s: a member was made beside it: %v, %v", what, supers, err)
		}
	}
}
