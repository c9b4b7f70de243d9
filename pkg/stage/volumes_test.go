package stage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"migrate-init/pkg/fstab"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/sim"
	"migrate-init/pkg/survey"
)

const (
	volumeMiB = int64(1) << 20
	cryptUUID = "cccccccc-0000-4000-8000-000000000001"
)

// layers is a machine with an encrypted container, and a volume group on an overlay and an array; effects change what it shows.
type layers struct {
	*Env
	f      *plan.Facts
	disks  map[string][]byte
	done   []string
	opens  string // the passphrase that opens the container
	asked  []string
	loaded []string
}

func (l *layers) Do(_ context.Context, e machine.Effect) (machine.Output, error) {
	l.done = append(l.done, e.String())
	switch x := e.(type) {
	case machine.Mapping:
		name := fmt.Sprintf("dm-%d", len(l.f.Devices))
		l.f.Devices = append(l.f.Devices, plan.Device{Name: name, Path: "/dev/" + name, Kind: plan.KindDM, Mapping: x.Name, MappingID: x.UUID})
		for i := range l.f.Groups[0].Volumes {
			if v := &l.f.Groups[0].Volumes[i]; "vg--0-"+v.Name == x.Name {
				v.Node = name
			}
		}
	case machine.Unmap:
		l.f.Devices = slices.DeleteFunc(l.f.Devices, func(d plan.Device) bool { return d.Mapping == x.Name })
	case machine.Exec:
		if string(x.Stdin) != l.opens {
			return machine.Output{}, &machine.ExecError{Argv: x.Argv, Code: 2, Stderr: []byte("No key available with this passphrase.")}
		}
		l.f.Devices = append(l.f.Devices, plan.Device{Name: "dm-9", Path: "/dev/dm-9", Kind: plan.KindDM, Mapping: "vda3_crypt"})
		l.f.Crypts[0].Node = "dm-9"
	}
	return machine.Output{}, nil
}

func volumeGroup() sim.Group {
	return sim.Group{UUID: sim.LVMID("vg"), Name: "vg-0", Extent: 4 * volumeMiB,
		PVs: []sim.PV{{UUID: sim.LVMID("pvA"), Size: 200 * volumeMiB}, {UUID: sim.LVMID("pvB"), Size: 200 * volumeMiB}},
		LVs: []sim.LV{{UUID: sim.LVMID("root"), Name: "root", Extents: 10, At: 5},
			{UUID: sim.LVMID("var"), Name: "var", Extents: 8, Segments: "type = \"striped\"\nstripe_count = 2\nstripe_size = 128\n\nstripes = [\n\"pv0\", 20,\n\"pv1\", 30\n]\n"},
			{UUID: sim.LVMID("mir"), Name: "mir", Extents: 2, Segments: "type = \"mirror\"\nmirror_count = 2\nregion_size = 1024\n\nmirrors = [\n\"i0\", 0,\n\"i1\", 0\n]\n"},
			{UUID: sim.LVMID("i0"), Name: "i0", Extents: 2, At: 30, Hidden: true}, {UUID: sim.LVMID("i1"), Name: "i1", Extents: 2, PV: 1, At: 40, Hidden: true}}}
}

func newLayers(t *testing.T) *layers {
	t.Helper()
	g := volumeGroup()
	l := &layers{opens: "open sesame", disks: map[string][]byte{"/dev/dm-0": g.Label(0), "/dev/md0": g.Label(1)}, f: &plan.Facts{
		Devices: []plan.Device{{Name: "dm-0", Path: "/dev/dm-0", Kind: plan.KindDM, Size: 200 * volumeMiB, Over: "vda2"}, {Name: "md0", Path: "/dev/md0", Kind: plan.KindArray, Size: 200 * volumeMiB},
			{Name: "vda3", Path: "/dev/vda3", Kind: plan.KindPart, GUID: "aaaaaaaa-0000-4000-8000-000000000003"}},
		Groups: []plan.VolumeGroup{{UUID: g.UUID, Name: g.Name, Extent: g.Extent, PVs: []plan.PhysicalVolume{{UUID: g.PVs[0].UUID, Device: "dm-0"}, {UUID: g.PVs[1].UUID, Device: "md0"}}}},
		Crypts: []plan.Crypt{{UUID: cryptUUID, Version: 2, Device: "vda3"}},
	}}
	p := &plan.Plan{Source: plan.Graph{
		{Ref: "part:aaaaaaaa-0000-4000-8000-000000000003", Was: "/dev/vda3", Layer: plan.Layer{Part: &plan.Part{Name: "secret"}}},
		{Ref: "luks:" + cryptUUID, On: []plan.Ref{"part:aaaaaaaa-0000-4000-8000-000000000003"}, Layer: plan.Layer{LUKS: &plan.LUKS{Name: "vda3_crypt", Modules: []string{"aes", "xts"}}}},
		{Ref: plan.Ref("vg:" + g.UUID), On: []plan.Ref{"a", "b"}, Layer: plan.Layer{VG: &plan.VG{Name: g.Name}}},
	}}
	for _, v := range g.LVs[:3] {
		l.f.Groups[0].Volumes = append(l.f.Groups[0].Volumes, plan.LogicalVolume{UUID: v.UUID, Name: v.Name, Size: v.Extents * g.Extent})
		p.Source = append(p.Source, plan.Node{Ref: plan.Ref("lv:" + v.UUID), On: []plan.Ref{plan.Ref("vg:" + g.UUID)}, Size: v.Extents * g.Extent, Layer: plan.Layer{LV: &plan.LV{Name: v.Name, Group: g.Name}}})
	}
	l.Env = &Env{Plan: p, Machine: l, Facts: l.f, Tell: func(Event) {}, Root: fstest.MapFS{},
		Look: func(context.Context, survey.Depth) (*plan.Facts, error) { return l.f, nil },
		Open: func(path string) (survey.Device, error) {
			if d := l.f.Dev(path); d == nil {
				return nil, fs.ErrNotExist
			}
			return closer{bytes.NewReader(l.disks[path])}, nil
		},
		Load: func(_ context.Context, names ...string) error { l.loaded = append(l.loaded, names...); return nil },
		Wait: func(_ context.Context, what string, cond func() (bool, error)) error {
			if ok, err := cond(); err != nil || !ok {
				return fmt.Errorf("%s did not come: %w", what, errors.Join(err, context.DeadlineExceeded))
			}
			return nil
		},
		Ask: func(_ context.Context, prompt string) ([]byte, error) {
			l.asked = append(l.asked, prompt)
			return []byte(map[bool]string{true: "open sesame", false: "guess"}[len(l.asked) == 3]), nil
		}}
	return l
}

type closer struct{ *bytes.Reader }

func (closer) Close() error { return nil }

func (l *layers) volume(name string) *plan.Node {
	return l.Plan.Source.Node(plan.Ref("lv:" + sim.LVMID(name)))
}

// Each kind of volume becomes the table that LVM would make of it, over the devices that its physical volumes are now; a mirror
// is read through one image.
func TestVolumesStart(t *testing.T) {
	l := newLayers(t)
	if err := l.startIdle(t.Context(), l.Plan.Source); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"map vg--0-root: 41943040 bytes at 0: linear /dev/dm-0 43008",
		"map vg--0-var: 33554432 bytes at 0: striped 2 128 /dev/dm-0 165888 /dev/md0 247808",
		"map vg--0-mir: 8388608 bytes at 0: linear /dev/dm-0 247808",
	} {
		if !slices.Contains(l.done, want) {
			t.Errorf("not done: %s\n%s", want, strings.Join(l.done, "\n"))
		}
	}
	before := len(l.done)
	if err := l.startIdle(t.Context(), l.Plan.Source); err != nil || len(l.done) != before {
		t.Errorf("what runs is started again: %v %q", err, l.done[before:])
	}
	// A failure undoes all of it, and nothing else.
	l.Abandon(t.Context())
	for _, d := range l.f.Devices {
		if d.Mapping != "" {
			t.Errorf("%s is still there", d.Mapping)
		}
	}
}

func TestVolumeRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(l *layers)
		want   string
	}{
		"another size": {func(l *layers) { l.volume("root").Size += 4 * volumeMiB }, "it was changed since the plan was made"},
		"renamed":      {func(l *layers) { l.volume("root").LV.Name = "var" }, "it was changed since the plan was made"},
		"torn label":   {func(l *layers) { l.disks["/dev/dm-0"][600] ^= 1 }, "checksum"},
		"another group": {func(l *layers) {
			g := volumeGroup()
			g.UUID = sim.LVMID("other")
			l.disks["/dev/dm-0"], l.disks["/dev/md0"] = g.Label(0), g.Label(1)
		}, "is not there any more"},
		"no device":      {func(l *layers) { l.f.Groups[0].PVs[1].Device = "" }, "is missing"},
		"device-mapper":  {func(l *layers) { l.Load = func(context.Context, ...string) error { return errors.New("no dm_mod") } }, "no dm_mod"},
		"a part of both": {func(l *layers) { l.f.Groups[0].Volumes = nil }, "did not come"},
	} {
		l := newLayers(t)
		c.change(l)
		err := lvKind().start(t.Context(), l.Env, l.volume("root"))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "logical volume /dev/vg-0/") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// Of a mirror, LVM's own parts are removed after the volume; they would hold the disk.
func TestVolumeStop(t *testing.T) {
	l := newLayers(t)
	uuid := "LVM-" + strings.Repeat("x", 64)
	l.f.Devices = append(l.f.Devices, plan.Device{Name: "dm-3", Path: "/dev/dm-3", Mapping: "vg-m", MappingID: uuid},
		plan.Device{Name: "dm-4", Path: "/dev/dm-4", Mapping: "vg-m_rimage_0", MappingID: uuid, Holders: []string{"dm-3"}},
		plan.Device{Name: "dm-5", Path: "/dev/dm-5", Mapping: "vg-x_rimage_0", MappingID: uuid, Holders: []string{"dm-7"}})
	if err := lvKind().stop(t.Context(), l.Env, "/dev/dm-3"); err != nil || strings.Join(l.done, "; ") != "remove mapping vg-m; remove mapping vg-m_rimage_0" {
		t.Errorf("%v: %q", err, l.done)
	}
}

func TestContainerOpens(t *testing.T) {
	l := newLayers(t)
	n := l.Plan.Source.Node("luks:" + cryptUUID)
	if err := l.startIdle(t.Context(), plan.Graph{*n}); err != nil || len(l.asked) != 3 {
		t.Fatalf("%v, asked %q", err, l.asked)
	}
	if !strings.Contains(l.asked[0], "/dev/vda3 (vda3_crypt)") || !slices.Equal(l.loaded, []string{"dm_crypt", "aes", "xts"}) {
		t.Errorf("asked %q, loaded %q", l.asked[0], l.loaded)
	}
	for _, line := range l.done {
		if strings.Contains(line, "sesame") {
			t.Errorf("the passphrase is told: %s", line)
		}
	}
	if !slices.Contains(l.done, "run DM_DISABLE_UDEV=1 cryptsetup open --type luks --key-file - /dev/vda3 vda3_crypt") {
		t.Errorf("%q", l.done)
	}
	// The next container is tried with what opened the first; no one is asked again.
	l.f.Crypts[0].Node = ""
	if err := luksKind().start(t.Context(), l.Env, n); err != nil || len(l.asked) != 3 {
		t.Errorf("%v, asked %q", err, l.asked)
	}
	l.Abandon(t.Context())
	if l.f.Dev("dm-9") != nil {
		t.Error("the container is still open")
	}
}

func TestContainerRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(l *layers, n *plan.LUKS)
		want   string
	}{
		"three wrong ones": {func(l *layers, _ *plan.LUKS) { l.opens = "another" }, "the passphrase was wrong 3 times"},
		"no one to ask":    {func(l *layers, _ *plan.LUKS) { l.Ask = nil }, "no console to ask"},
		"no answer": {func(l *layers, _ *plan.LUKS) {
			l.Ask = func(context.Context, string) ([]byte, error) { return nil, errors.New("no one entered a passphrase") }
		}, "no one entered a passphrase"},
		"re-encryption":   {func(l *layers, _ *plan.LUKS) { l.f.Crypts[0].Unusual = "a re-encryption is under way" }, "under way"},
		"no device":       {func(l *layers, _ *plan.LUKS) { l.f.Crypts[0].Device = "vdz" }, "/dev/vdz is not here"},
		"no key file":     {func(_ *layers, n *plan.LUKS) { n.KeyFile = "/etc/key" }, "key file"},
		"a wrong key":     {func(l *layers, n *plan.LUKS) { n.KeyFile = "/etc/key"; l.Root = keyIn("wrong") }, "No key available"},
		"two of one UUID": {func(l *layers, _ *plan.LUKS) { l.f.Crypts = append(l.f.Crypts, l.f.Crypts[0]) }, "ambiguous"},
		"no dm_crypt": {func(l *layers, _ *plan.LUKS) {
			l.Load = func(context.Context, ...string) error { return errors.New("module dm_crypt: not found") }
		}, "dm_crypt"},
	} {
		l := newLayers(t)
		n := l.Plan.Source.Node("luks:" + cryptUUID)
		c.change(l, n.LUKS)
		if err := luksKind().start(t.Context(), l.Env, n); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	l := newLayers(t)
	n := l.Plan.Source.Node("luks:" + cryptUUID)
	n.LUKS.KeyFile, l.Root, l.Ask = "/etc/key", keyIn("open sesame"), nil
	if err := luksKind().start(t.Context(), l.Env, n); err != nil {
		t.Errorf("with the key file: %v", err)
	}
}

func keyIn(key string) fstest.MapFS {
	return fstest.MapFS{strings.TrimPrefix(KeyFile(cryptUUID), "/"): {Data: []byte(key)}}
}

// Whatever a line of crypttab calls the old container, it is that one; others are not touched.
func TestOldContainer(t *testing.T) {
	l := newLayers(t)
	for _, s := range []string{"UUID=" + cryptUUID, "/dev/vda3", "PARTUUID=AAAAAAAA-0000-4000-8000-000000000003", "PARTLABEL=secret", "/dev/disk/by-uuid/" + cryptUUID} {
		if oldContainer(l.Plan, fstab.ParseSpec(s)) == nil {
			t.Errorf("%s is not the old container", s)
		}
	}
	for _, s := range []string{"/dev/vda4", "UUID=dddddddd-0000-4000-8000-000000000001", "none"} {
		if oldContainer(l.Plan, fstab.ParseSpec(s)) != nil {
			t.Errorf("%s is the old container", s)
		}
	}
	l.Plan.Target = l.Plan.Source
	if oldContainer(l.Plan, fstab.ParseSpec("/dev/vda3")) != nil {
		t.Error("a container that stays is given up")
	}
}

// A layer that does not run tells nothing of what was written to it; one reason is enough.
func TestStaleLayers(t *testing.T) {
	l := newLayers(t)
	s := &plan.Node{Ref: "fs:1", On: []plan.Ref{"luks:" + cryptUUID}, Layer: plan.Layer{FS: &plan.FS{}}}
	l.Plan.Source = append(l.Plan.Source, *s)
	out := stale(l.Plan, l.f, nil, s)
	if len(out) != 1 || !strings.Contains(out[0].Fix, "cryptsetup open --readonly /dev/vda3 vda3_crypt") {
		t.Errorf("%v", out)
	}
	lv := &plan.Node{Ref: "fs:2", On: []plan.Ref{l.volume("root").Ref}, Layer: plan.Layer{FS: &plan.FS{}}}
	l.Plan.Source = append(l.Plan.Source, *lv)
	if out := stale(l.Plan, l.f, nil, lv); len(out) != 1 || !strings.Contains(out[0].Fix, "lvchange -ay vg-0/root") {
		t.Errorf("%v", out)
	}
}

// Mirrors of the old system are not started by the new one's udev; linear volumes write nothing by themselves.
func TestVolumeRules(t *testing.T) {
	l := newLayers(t)
	vg := l.Plan.Source.Node(plan.Ref("vg:" + sim.LVMID("vg")))
	vg.VG.PVs = []string{"PV-A", "PV-B"}
	root := sim.Files(map[string]string{"etc/udev/rules.d/10-x.rules": ""})
	written := func() string {
		r := &rewriter{p: l.Plan, root: root, dir: "/new"}
		if err := r.volumes(); err != nil {
			t.Fatal(err)
		}
		for _, e := range r.out {
			if w, ok := e.(machine.WriteFile); ok && w.Path == "/new"+volumeRules {
				return string(w.Data)
			}
		}
		return ""
	}
	if got := written(); got != "" {
		t.Errorf("without a mirror: %s", got)
	}
	l.volume("mir").LV.Type = "raid1"
	for _, pv := range vg.VG.PVs {
		if got, want := written(), `ENV{ID_FS_TYPE}=="LVM2_member", ENV{ID_FS_UUID}=="`+pv+`", ENV{ID_FS_TYPE}=""`+"\n"; !strings.Contains(got, want) {
			t.Errorf("no %s in:\n%s", want, got)
		}
	}
	root = sim.Files(map[string]string{"etc/fstab": ""})
	if got := written(); got != "" {
		t.Errorf("without udev: %s", got)
	}
}

// A raid1 is read through an image that dm-raid calls whole: here the second, as the first is being rebuilt.
func TestRaid1Volume(t *testing.T) {
	l, g := newLayers(t), volumeGroup()
	lv := sim.LV{UUID: sim.LVMID("safe"), Name: "safe", Extents: 2, Segments: "type = \"raid1\"\ndevice_count = 2\nregion_size = 1024\n\nraids = [\n\"safe_rmeta_0\", \"safe_rimage_0\",\n\"safe_rmeta_1\", \"safe_rimage_1\"\n]\n"}
	g.LVs = append(g.LVs, lv)
	for i := range 2 {
		n := fmt.Sprint(i)
		g.LVs = append(g.LVs, sim.LV{UUID: sim.LVMID("rmeta" + n), Name: "safe_rmeta_" + n, Extents: 1, PV: i, Hidden: true}, sim.LV{UUID: sim.LVMID("rimage" + n), Name: "safe_rimage_" + n, Extents: 2, PV: i, At: 1, Hidden: true})
	}
	super := func(slot byte, rebuilt byte) []byte {
		b := make([]byte, 512)
		copy(b, []byte{0x44, 0x6d, 0x52, 0x64})
		b[12], b[16] = slot, 7
		for i := 32; i < 40; i++ {
			b[i] = rebuilt
		}
		return b
	}
	for i, dev := range []string{"/dev/dm-0", "/dev/md0"} {
		l.disks[dev] = append(g.Label(i), super(byte(i), byte(0xff*i))...)
	}
	l.f.Groups[0].Volumes = append(l.f.Groups[0].Volumes, plan.LogicalVolume{UUID: lv.UUID, Name: lv.Name, Size: 8 * volumeMiB})
	n := plan.Node{Ref: plan.Ref("lv:" + lv.UUID), On: l.volume("root").On, Size: 8 * volumeMiB, Layer: plan.Layer{LV: &plan.LV{Name: lv.Name, Group: g.Name}}}
	l.Plan.Source = append(l.Plan.Source, n)
	if err := lvKind().start(t.Context(), l.Env, &n); err != nil || !slices.Contains(l.done, "map vg--0-safe: 8388608 bytes at 0: linear /dev/md0 10240") {
		t.Errorf("%v: %q", err, l.done)
	}
	l.disks["/dev/md0"] = append(g.Label(1), super(1, 0)...)
	if err := lvKind().start(t.Context(), l.Env, &n); err == nil || !strings.Contains(err.Error(), "no image is known to hold all of it") {
		t.Errorf("both are being rebuilt: %v", err)
	}
}
