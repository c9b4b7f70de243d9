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
