package stage

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"migrate-init/pkg/md"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/survey"
)

type memory struct{ *bytes.Reader }

func (memory) Close() error { return nil }

// A member whose array may have gone on without it is not started alone; one whose mate never came is.
func TestLoneMember(t *testing.T) {
	const size = 64 << 20
	uuid, err := md.ParseUUID("2e4afb49:d08d46e2:830903ec:61074109")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		mate  md.MemberSpec
		words string // of the refusal
	}{
		{"its mate has never been there", md.MemberSpec{Size: size, Missing: true}, ""},
		{"its mate was active", md.MemberSpec{Size: size, DeviceUUID: md.UUID{2}}, "slot 1 was active when the array last ran"},
	} {
		t.Run(c.name, func(t *testing.T) {
			images, err := md.New(md.Spec{Version: md.V12, UUID: uuid, Name: "server:root", Level: 1, RaidDisks: 2, CTime: time.Unix(1700000000, 0),
				Members: []md.MemberSpec{{Size: size, DeviceUUID: md.UUID{1}}, c.mate}, Bitmap: true})
			if err != nil {
				t.Fatal(err)
			}
			disk := make([]byte, size)
			for _, w := range images[0].Writes {
				copy(disk[w.Offset:], w.Data)
			}
			e := &Env{Open: func(string) (survey.Device, error) { return memory{bytes.NewReader(disk)}, nil }}
			err = e.startable(&plan.Node{Ref: plan.Ref("md:" + uuid.String()), Layer: plan.Layer{MD: &plan.MD{Bitmap: true}}}, []*plan.Device{{Path: "/dev/vdb3", Size: size}})
			if c.words == "" && err != nil || c.words != "" && (err == nil || !strings.Contains(err.Error(), c.words)) {
				t.Errorf("%v, want %q", err, c.words)
			}
		})
	}
}

// A planned RAID5 that misses a member and was cut off is not started in the image, and the refusal says what then.
func TestStartableAfterPowerCut(t *testing.T) {
	const size = 64 << 20
	spec := md.Spec{Version: md.V12, UUID: md.UUID{7}, Level: 5, RaidDisks: 3, CTime: time.Unix(1700000000, 0), Bitmap: true,
		Members: []md.MemberSpec{{Size: size, DeviceUUID: md.UUID{1}}, {Size: size, DeviceUUID: md.UUID{2}}, {Size: size, Missing: true}}}
	images, err := md.New(spec)
	if err != nil {
		t.Fatal(err)
	}
	for _, dirty := range []bool{false, true} {
		disks := map[string][]byte{}
		var members []*plan.Device
		for i, img := range images {
			name := "/dev/vd" + string(rune('b'+i)) + "3"
			disks[name] = make([]byte, size)
			for _, w := range img.Writes {
				copy(disks[name][w.Offset:], w.Data)
			}
			if dirty {
				img.Super.ResyncOffset = 0
				raw, err := img.Super.Marshal()
				if err != nil {
					t.Fatal(err)
				}
				copy(disks[name][img.Super.SuperOffset:], raw)
			}
			members = append(members, &plan.Device{Path: name, Size: size})
		}
		e := &Env{Open: func(name string) (survey.Device, error) { return memory{bytes.NewReader(disks[name])}, nil }}
		n := &plan.Node{Ref: plan.Ref("md:" + spec.UUID.String()), On: []plan.Ref{"part:a", "part:b", ""}, Layer: plan.Layer{MD: &plan.MD{Name: "h:root", Level: 5, Bitmap: true}}}
		err := e.startable(n, members)
		if dirty != (err != nil) || err != nil && !strings.Contains(err.Error(), "make a new plan, with --wipe") {
			t.Errorf("dirty %v: %v", dirty, err)
		}
	}
}
