package survey_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"migrate-init/pkg/md"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/sim"
	"migrate-init/pkg/survey"
)

const cryptID = "55555555-5555-4555-8555-555555555555"

// disk adds a disk with some first bytes.
func (m machine) disk(name string, number uint32, size int64, head []byte) {
	d := &sim.Device{Name: name, Major: 254, Minor: number, Size: size, Disk: sim.NewDisk(name, size)}
	if len(head) > 0 {
		d.Write(head, 0)
	}
	m.disks[name] = d
	for n, f := range sim.Sysfs(d) {
		m.root[n] = f
	}
}

// mapping adds a device-mapper device over another.
func (m machine) mapping(name, dm, uuid, lower string, number int, size int64) {
	m.virtual(name, fmt.Sprintf("253:%d", number), size)
	m.file("sys/devices/virtual/block/"+name+"/dm/name", "%s\n", dm)
	m.file("sys/devices/virtual/block/"+name+"/dm/uuid", "%s\n", uuid)
	for n := range m.root {
		if strings.HasSuffix(n, "/block/"+lower+"/size") {
			m.link(strings.TrimSuffix(n, "size")+"holders/"+name, "../x")
			break
		}
	}
	m.disks[name] = &sim.Device{Name: name, Size: size, Disk: sim.NewDisk(name, size)}
}

func group(name string) sim.Group {
	return sim.Group{UUID: sim.LVMID("vg" + name), Name: name, Extent: 4 * mib,
		PVs: []sim.PV{{UUID: sim.LVMID("pvA" + name), Size: 200 * mib}, {UUID: sim.LVMID("pvB" + name), Size: 200 * mib}},
		LVs: []sim.LV{{UUID: sim.LVMID("root" + name), Name: "root", Extents: 10}, {UUID: sim.LVMID("data" + name), Name: "data", Extents: 10, PV: 1},
			{UUID: sim.LVMID("tp" + name), Name: "thin", Extents: 2, Segments: "type = \"thin-pool\"\nmetadata = \"m\"\npool = \"p\"\ntransaction_id = 0\nchunk_size = 128\n"},
			{UUID: sim.LVMID("m" + name), Name: "m", Extents: 1, PV: 1, At: 20, Hidden: true}, {UUID: sim.LVMID("p" + name), Name: "p", Extents: 2, PV: 1, At: 30, Hidden: true},
			{UUID: sim.LVMID("mir" + name), Name: "mir", Extents: 2, Segments: "type = \"mirror\"\nmirror_count = 2\nregion_size = 1024\n\nmirrors = [\n\"i0\", 0,\n\"i1\", 0\n]\n"},
			{UUID: sim.LVMID("i0" + name), Name: "i0", Extents: 2, At: 20, Hidden: true}, {UUID: sim.LVMID("i1" + name), Name: "i1", Extents: 2, PV: 1, At: 40, Hidden: true}}}
}

func TestGroups(t *testing.T) {
	m, g := debian(t), group("vg-0")
	m.disk("vdd", 48, 200*mib, g.Label(0))
	m.disk("vde", 64, 200*mib, g.Label(1))
	compact := strings.NewReplacer("-", "")
	m.mapping("dm-1", "vg--0-root", "LVM-"+compact.Replace(g.UUID)+compact.Replace(g.LVs[0].UUID), "vdd", 1, 40*mib)
	f := m.look(t, survey.Deep)
	got := f.Group(g.UUID)
	if got == nil || got.Name != "vg-0" || len(got.PVs) != 2 || got.PVs[1].Device != "vde" || got.Refused != nil || len(got.Volumes) != 4 {
		t.Fatalf("groups %+v, problems %+v", f.Groups, f.Problems)
	}
	for i, want := range []plan.LogicalVolume{{Name: "root", Type: "linear", Size: 40 * mib, Node: "dm-1"}, {Name: "data", Type: "linear", Size: 40 * mib}, {Name: "thin", Type: "thin-pool", Size: 8 * mib}, {Name: "mir", Type: "mirror", Size: 8 * mib, Copies: 2}} {
		v := got.Volumes[i]
		if v.Name != want.Name || v.Type != want.Type || v.Size != want.Size || v.Node != want.Node || v.Copies != want.Copies || (v.Refused != nil) != (v.Name == "thin") {
			t.Errorf("volume %+v, want %+v", v, want)
		}
	}
	// Without a physical volume, what lies on it alone cannot be read.
	delete(m.disks, "vde")
	m.disk("vde", 64, 200*mib, nil)
	got = m.look(t, survey.Deep).Group(g.UUID)
	if missing := got.Missing(); len(missing) != 1 || missing[0].UUID != g.PVs[1].UUID || got.Volumes[0].Refused != nil || got.Volumes[1].Refused == nil {
		t.Errorf("a missing physical volume: %+v", got)
	}
}

// The filesystem on a mirrored volume is on each image as well, whose UUIDs nothing marks: it is seen once.
func TestMirrorSeenOnce(t *testing.T) {
	m, g := debian(t), group("vg-0")
	m.disk("vdd", 48, 200*mib, g.Label(0))
	m.disk("vde", 64, 200*mib, g.Label(1))
	for i, c := range []struct {
		lv   int
		name string
	}{{5, "mir"}, {6, "m_mimage_0"}, {7, "m_mimage_1"}} {
		dev := fmt.Sprintf("dm-%d", i+1)
		m.mapping(dev, "vg--0-"+c.name, "LVM-"+strings.ReplaceAll(g.UUID+g.LVs[c.lv].UUID, "-", ""), []string{"vdd", "vdd", "vde"}[i], i+1, 8*mib)
		m.disks[dev].Write(sim.Ext4Super(cryptID, "mirrored", 8*mib, 1), 1024)
	}
	f := m.look(t, survey.Deep)
	if d, err := f.FS(cryptID); err != nil || d == nil || d.Name != "dm-1" {
		t.Errorf("the filesystem is on %+v, %v", d, err)
	}
}

// The members of a running array, and the paths below multipath, are not physical volumes; nor is a volume of a guest.
func TestNoPVs(t *testing.T) {
	g := group("vg0")
	for _, c := range []struct{ name, dm, uuid string }{{"multipath", "mpatha", "mpath-3600"}, {"an array", "", ""}, {"a volume", "vg-guest", "LVM-x"}} {
		m := debian(t)
		m.disk("vdd", 48, 200*mib, g.Label(0))
		switch {
		case c.uuid == "":
			m.virtual("md9", "9:9", 200*mib)
			m.file("sys/devices/virtual/block/md9/md/level", "raid1\n")
			m.file("sys/devices/pci0000:00/0000:00:07.0/virtio/block/vdd/holders/md9", "")
		default:
			m.mapping("dm-1", c.dm, c.uuid, "vdd", 1, 200*mib)
			m.disks["dm-1"].Write(g.Label(0), 0)
		}
		f := m.look(t, survey.Deep)
		var on []string
		for _, g := range f.Groups {
			for _, p := range g.PVs {
				if p.Device != "" {
					on = append(on, p.Device)
				}
			}
		}
		want := map[string][]string{"multipath": {"dm-1"}, "an array": nil, "a volume": {"vdd"}}[c.name]
		if !slices.Equal(on, want) {
			t.Errorf("%s: physical volumes %q, want %q", c.name, on, want)
		}
	}
}

// Metadata at the end of a member leaves LVM's label where a whole disk has it. While the array does not run, that is still
// no physical volume: the members may differ, and the array has it.
func TestNoPVOnRawMember(t *testing.T) {
	for _, version := range []md.Version{md.V090, md.V10} {
		m, g := debian(t), group("vg0")
		id, _ := md.ParseUUID("deadbeef:00000000:00000000:00000009")
		other, _ := md.ParseUUID("deadbeef:00000000:00000000:0000000a")
		images, err := md.New(md.Spec{Version: version, UUID: id, Name: "server:pv", Level: 1, RaidDisks: 2, Members: []md.MemberSpec{{Size: 200 * mib, DeviceUUID: id}, {Size: 200 * mib, DeviceUUID: other}}, CTime: time.Unix(1700000000, 0)})
		if err != nil {
			t.Fatal(err)
		}
		for i, name := range []string{"vdd", "vde"} {
			m.disk(name, uint32(48+16*i), 200*mib, g.Label(0))
			for _, w := range images[i].Writes {
				m.disks[name].Write(w.Data, w.Offset)
			}
		}
		f := m.look(t, survey.Deep)
		if a := f.Array(id.String()); a == nil || len(a.Members) != 2 {
			t.Errorf("%s: the array is not seen: %+v", version, f.Arrays)
		}
		if len(f.Groups) > 0 {
			t.Errorf("%s: a group on members: %+v", version, f.Groups)
		}
	}
}

func TestCrypts(t *testing.T) {
	m := debian(t)
	m.disk("vdd", 48, 200*mib, sim.LUKS1(cryptID))
	m.disk("vde", 64, 200*mib, nil)
	m.mapping("dm-1", "vdd_crypt", "CRYPT-LUKS1-"+strings.ReplaceAll(cryptID, "-", "")+"-vdd_crypt", "vdd", 1, 198*mib)
	m.mapping("dm-2", "secret", "CRYPT-PLAIN-secret", "vde", 2, 200*mib)
	f := m.look(t, survey.Deep)
	if len(f.Crypts) != 2 {
		t.Fatalf("%+v, problems %+v", f.Crypts, f.Problems)
	}
	c := f.Crypts[0]
	if c.UUID != cryptID || c.Version != 1 || c.Device != "vdd" || c.Node != "dm-1" || c.Name != "vdd_crypt" || c.Passphrase != 1 || !slices.Equal(c.Modules, []string{"aes", "xts", "sha256"}) {
		t.Errorf("%+v", c)
	}
	if c := f.Crypts[1]; c.UUID != "" || c.Version != 0 || c.Device != "vde" || c.Node != "dm-2" || !strings.Contains(c.Unusual, "plain") {
		t.Errorf("%+v", c)
	}
	// A look that reads less finds the same.
	w, known := m.world(), &survey.Known{}
	w.Known = known
	for range 2 {
		again, err := survey.Look(t.Context(), w, survey.Deep)
		if err != nil || len(again.Crypts) != 2 || again.Crypts[0].UUID != c.UUID {
			t.Errorf("%+v, %v", again.Crypts, err)
		}
	}
	// Unopened, it is known all the same.
	delete(m.root, "sys/class/block/dm-1")
	if f := m.look(t, survey.Deep); len(f.Crypts) != 2 || f.Crypts[0].Node != "" {
		t.Errorf("%+v", f.Crypts)
	}
}

// A container may lie on a logical volume.
func TestCryptOnVolume(t *testing.T) {
	m, g := debian(t), group("vg0")
	m.disk("vdd", 48, 200*mib, g.Label(0))
	m.mapping("dm-1", "vg0-root", "LVM-"+strings.ReplaceAll(g.UUID+g.LVs[0].UUID, "-", ""), "vdd", 1, 40*mib)
	m.disks["dm-1"].Write(sim.LUKS1(cryptID), 0)
	f := m.look(t, survey.Deep)
	if len(f.Crypts) != 1 || f.Crypts[0].Device != "dm-1" {
		t.Fatalf("%+v, problems %+v", f.Crypts, f.Problems)
	}
	n := f.Graph().Node(plan.Ref("luks:" + cryptID))
	if n == nil || n.Lower() != plan.Ref("lv:"+g.LVs[0].UUID) {
		t.Errorf("%+v", n)
	}
}
