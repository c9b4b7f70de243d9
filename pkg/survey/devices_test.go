package survey_test

import (
	"bytes"
	"io"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"migrate-init/pkg/md"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/survey"
)

type closing struct{ io.ReaderAt }

func (closing) Close() error { return nil }

type broken struct{}

func (broken) ReadAt([]byte, int64) (int, error) { return 0, syscall.EIO }

// box is a World of files of sysfs, procfs and /etc, and of disks by path.
type box struct {
	files fstest.MapFS
	disks map[string]io.ReaderAt
	opens []string
}

func (m *box) file(name, text string) {
	if m.files == nil {
		m.files = fstest.MapFS{}
	}
	m.files[name] = &fstest.MapFile{Data: []byte(text)}
}

// block adds a device to sysfs: attributes as name, value, name, value.
func (m *box) block(name, size string, attrs ...string) {
	m.file("sys/class/block/"+name+"/size", size)
	for i := 0; i < len(attrs); i += 2 {
		m.file("sys/class/block/"+name+"/"+attrs[i], attrs[i+1])
	}
}

func (m *box) look(t *testing.T, depth survey.Depth) *plan.Facts {
	t.Helper()
	f, err := survey.Look(t.Context(), survey.World{Root: m.files, Rules: rules(), Open: func(p string) (survey.Device, error) {
		m.opens = append(m.opens, p)
		r, ok := m.disks[p]
		if !ok {
			return nil, &fs.PathError{Op: "open", Path: p, Err: fs.ErrNotExist}
		}
		return closing{r}, nil
	}}, depth)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func problems(f *plan.Facts, noun string) string {
	var out []string
	for _, p := range f.Problems {
		if p.Subject == noun {
			out = append(out, p.Err)
		}
	}
	return strings.Join(out, "; ")
}

// A disk that cannot be read is a Problem, and the next one is looked at all the same.
func TestLookGoesOnAfterAReadError(t *testing.T) {
	m := &box{disks: map[string]io.ReaderAt{"/dev/sda": broken{}, "/dev/sdb": bytes.NewReader(make([]byte, 4<<20))}}
	for _, n := range []string{"sda", "sdb", "sdc"} {
		m.block(n, "8192")
	}
	f := m.look(t, survey.Deep)
	if len(f.Devices) != 3 || !strings.Contains(problems(f, "/dev/sda"), "input/output error") || problems(f, "/dev/sdb") != "" ||
		!strings.Contains(problems(f, "/dev/sdc"), "not exist") {
		t.Errorf("%d devices, problems %v", len(f.Devices), f.Problems)
	}
}

// What needs a medium, or is no disk, is not opened: an open may take long, or start a motor.
func TestLookOpensOnlyDisks(t *testing.T) {
	m := &box{}
	for _, n := range []string{"sr0", "fd0", "ram0", "zram0", "nbd0"} {
		m.block(n, "2880")
	}
	m.block("sdz", "0", "removable", "1") // a card reader without a card
	m.block("nbd1", "0")
	m.block("loop0", "0")
	m.block("mmcblk0boot0", "8192")
	f := m.look(t, survey.Deep)
	if want := []string{"/dev/mmcblk0boot0"}; !slices.Equal(m.opens, want) {
		t.Errorf("opened %q, want %q", m.opens, want)
	}
	if len(f.Devices) != 2 {
		t.Errorf("devices %v", f.Devices)
	}
}

// One namespace that two controllers lead to is one disk: its paths have the same serial number.
func TestNVMePathsAreNoDisks(t *testing.T) {
	m := &box{}
	for _, n := range []string{"nvme0n1", "nvme0c0n1", "nvme0c1n1"} {
		m.block(n, "8192", "device/serial", "S1", "wwid", "eui.1", "hidden", map[bool]string{true: "1\n", false: "0\n"}[strings.Contains(n, "c")])
	}
	f := m.look(t, survey.Shallow)
	if len(f.Devices) != 1 || f.Devices[0].Name != "nvme0n1" {
		t.Errorf("devices %v", f.Devices)
	}
}

// linked adds a device at its place below /sys/devices.
func (m *box) linked(name, at string, attrs ...string) {
	m.file("sys/class/block/"+name, "../../devices/"+at+"/"+name)
	m.files["sys/class/block/"+name].Mode = fs.ModeSymlink
	for i := 0; i < len(attrs); i += 2 {
		m.file("sys/devices/"+at+"/"+name+"/"+attrs[i], attrs[i+1])
	}
}

// A disk of several controllers is on no bus: what leads to it has the drivers that an image needs.
func TestNVMeDriversAreThoseOfThePaths(t *testing.T) {
	m := &box{}
	m.linked("nvme0n1", "virtual/nvme-subsystem/nvme-subsys0", "size", "8192", "wwid", "eui.1")
	m.linked("nvme0c0n1", "pci0000:00/0000:00:1d.0/0000:03:00.0/nvme/nvme0", "size", "8192", "hidden", "1")
	m.linked("nvme0c2n1", "virtual/nvme-fabrics/ctl/nvme2", "size", "8192", "hidden", "1")
	m.linked("nvme1n1", "virtual/nvme-subsystem/nvme-subsys1", "size", "8192")
	m.linked("nvme1c3n1", "virtual/nvme-fabrics/ctl/nvme3", "size", "8192", "hidden", "1")
	for name, to := range map[string]string{"0000:00:1d.0/0000:03:00.0": "nvme", "0000:00:1d.0": "pcieportdrv"} {
		m.file("sys/devices/pci0000:00/"+name+"/driver/module", "/sys/module/"+to)
		m.files["sys/devices/pci0000:00/"+name+"/driver/module"].Mode = fs.ModeSymlink
	}
	f := m.look(t, survey.Shallow)
	if d := f.Dev("nvme0n1"); !slices.Equal(d.Drivers, []string{"nvme", "pcieportdrv"}) || d.Remote != "" {
		t.Errorf("by PCI and by network: %+v", d)
	}
	if d := f.Dev("nvme1n1"); !strings.Contains(d.Remote, "NVMe") {
		t.Errorf("by network alone: %+v", d)
	}
	if len(f.Devices) != 2 {
		t.Errorf("devices %v", f.Devices)
	}
}

// What an image could not find again without a network or programs is told apart.
func TestRemoteDisks(t *testing.T) {
	for at, want := range map[string]string{
		"pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block": "",
		"pci0000:00/0000:00:03.0/virtio1/block":                        "",
		"platform/host3/session1/target3:0:0/3:0:0:1/block":            "iSCSI",
		"platform/sessions/block":                                      "",
		"virtual/nvme-fabrics/ctl/nvme0":                               "NVMe",
		"rbd/0/block":                                                  "rbd",
		"virtual/block":                                                "bcache",
	} {
		m := &box{}
		m.linked("sda", at, "size", "8192")
		if d := m.look(t, survey.Shallow).Dev("sda"); want == "" && d.Remote != "" || !strings.Contains(d.Remote, want) {
			t.Errorf("%s: %q, want %q", at, d.Remote, want)
		}
	}
}

// A disk without a serial number is found again by its place, in a kernel that has loaded other drivers in another order.
func TestPlaceIsSteady(t *testing.T) {
	for _, c := range []struct{ live, image, want string }{
		{"pci0000:00/0000:00:05.0/virtio2/block", "pci0000:00/0000:00:05.0/virtio0/block", "pci0000:00/0000:00:05.0/virtio"},
		{"pci0000:00/0000:00:05.0/virtio2/host2/target2:0:0/2:0:0:1/block", "pci0000:00/0000:00:05.0/virtio0/host0/target0:0:0/0:0:0:1/block", "pci0000:00/0000:00:05.0/virtio/host/target:0:0/0:0:1"},
		{"pci0000:00/0000:00:1f.2/ata3/host2/target2:0:0/2:0:0:0/block", "pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block", "pci0000:00/0000:00:1f.2/ata/host/target:0:0/0:0:0"},
		{"vbd-51712/block", "vbd-51712/block", "vbd-51712"},
	} {
		for _, at := range []string{c.live, c.image} {
			m := &box{}
			m.linked("sda", at, "size", "8192")
			if d := m.look(t, survey.Shallow).Dev("sda"); d.Bus != c.want {
				t.Errorf("%s: at %q, want %q", at, d.Bus, c.want)
			}
		}
	}
}

// A node may have a directory of its own, for which sysfs has another letter.
func TestNodeInDirectory(t *testing.T) {
	m := &box{}
	m.block("cciss!c0d0", "8192")
	f := m.look(t, survey.Shallow)
	if d := f.Dev("/dev/cciss/c0d0"); d == nil || d != f.Dev("cciss!c0d0") {
		t.Errorf("found %v", d)
	}
}

// The kernel says of a swap's node that it was made again since.
func TestSwapOfDeletedNode(t *testing.T) {
	m := &box{}
	m.block("sda", "8192")
	m.file("proc/swaps", "Filename Type Size Used Priority\n/dev/sda\\040(deleted) partition 1 0 -2\n")
	if f := m.look(t, survey.Shallow); !f.Dev("sda").Swapping {
		t.Error("not in use")
	}
}

// SCSI pads the serial number, and puts a binary header before it.
func TestSerialOfSCSI(t *testing.T) {
	m := &box{}
	m.block("sda", "8192", "device/vpd_pg80", "\x00\x80\x00\x14      WD-WCC4N0000001 ")
	m.block("sdb", "8192", "device/vpd_pg80", "\x00\x80")
	m.block("sdc", "8192", "device/vpd_pg80", "\x00\x80\x00\x00", "serial", "S 1\n")
	f := m.look(t, survey.Shallow)
	for name, want := range map[string]string{"sda": "WD-WCC4N0000001", "sdb": "", "sdc": "S 1"} {
		if d := f.Dev(name); d == nil || d.Serial != want {
			t.Errorf("%s: %+v, want serial %q", name, d, want)
		}
	}
}

func TestSuspendedMappingIsNotRead(t *testing.T) {
	m := &box{disks: map[string]io.ReaderAt{"/dev/dm-0": bytes.NewReader(make([]byte, 1<<20)), "/dev/dm-1": bytes.NewReader(make([]byte, 1<<20))}}
	m.block("dm-0", "2048", "dm/suspended", "1\n")
	m.block("dm-1", "2048", "dm/suspended", "0\n")
	f := m.look(t, survey.Deep)
	if !slices.Equal(m.opens, []string{"/dev/dm-1"}) || !strings.Contains(problems(f, "/dev/dm-0"), "dmsetup resume") {
		t.Errorf("opened %q, problems %v", m.opens, f.Problems)
	}
}

func TestNoSysfsIsAProblem(t *testing.T) {
	m := &box{files: fstest.MapFS{}}
	if f := m.look(t, survey.Shallow); !strings.Contains(problems(f, "/sys/class/block"), "sysfs") {
		t.Errorf("problems %v", f.Problems)
	}
}

// A member may still carry the superblock of an older array at another place.
func TestRunningArrayIsTheOneOfItsMetadata(t *testing.T) {
	const size = 16 << 20
	image := make([]byte, size)
	member := func(v md.Version, id byte) string {
		uuid := md.UUID{0: id, 15: 1}
		images, err := md.New(md.Spec{Version: v, UUID: uuid, Level: 1, RaidDisks: 2, CTime: time.Unix(1<<30, 0),
			Members: []md.MemberSpec{{Size: size, DeviceUUID: md.UUID{1}}, {Size: size, Missing: true, DeviceUUID: md.UUID{2}}}})
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range images[0].Writes {
			copy(image[w.Offset:], w.Data)
		}
		return uuid.String()
	}
	ids := map[md.Version]string{md.V10: member(md.V10, 7), md.V12: member(md.V12, 8)}
	for v, id := range ids {
		for _, known := range []string{"", id} {
			m := &box{disks: map[string]io.ReaderAt{"/dev/sda": bytes.NewReader(image)}}
			m.block("sda", "32768")
			m.block("md0", "0", "md/array_state", "clean")
			for name, text := range map[string]string{"array_state": "clean", "level": "raid1", "metadata_version": string(v), "uuid": known, "dev-sda/state": "in_sync", "dev-sda/slot": "0"} {
				m.file("sys/block/md0/md/"+name, text)
			}
			f := m.look(t, survey.Deep)
			for _, a := range f.Arrays {
				if (a.Node == "md0") != (a.UUID == id) {
					t.Errorf("array %s of metadata %s runs as %q, and %s is the one that runs", a.UUID, a.Metadata, a.Node, id)
				}
			}
			if len(f.Arrays) != 2 {
				t.Errorf("arrays %v", f.Arrays)
			}
		}
	}
}

// A member that is behind is drawn as missing, with the reason; of an array that runs the kernel is believed.
func TestStaleMember(t *testing.T) {
	const size = 16 << 20
	spec := md.Spec{Version: md.V12, UUID: md.UUID{0: 9, 15: 1}, Level: 1, RaidDisks: 2, CTime: time.Unix(1<<30, 0),
		Members: []md.MemberSpec{{Size: size, DeviceUUID: md.UUID{1}}, {Size: size, DeviceUUID: md.UUID{2}}}}
	images, err := md.New(spec)
	if err != nil {
		t.Fatal(err)
	}
	m := &box{disks: map[string]io.ReaderAt{}}
	for i, name := range []string{"sda", "sdb"} {
		disk := make([]byte, size)
		for _, w := range images[i].Writes {
			copy(disk[w.Offset:], w.Data)
		}
		if name == "sda" { // it went on
			super := images[i].Super
			super.Events += 655
			b, err := super.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			copy(disk[4096:], b)
		}
		m.disks["/dev/"+name] = bytes.NewReader(disk)
		m.block(name, "32768")
	}
	f := m.look(t, survey.Deep)
	if len(f.Arrays) != 1 || len(f.Arrays[0].Members) != 2 {
		t.Fatalf("arrays: %+v", f.Arrays)
	}
	for _, x := range f.Arrays[0].Members {
		if stale := x.Stale != ""; stale != (x.Device == "sdb") {
			t.Errorf("%+v", x)
		}
	}
	if s := f.Describe(); !strings.Contains(s, "[U_]") || !strings.Contains(s, "sdb (stale: ") {
		t.Errorf("described:\n%s", s)
	}
}

// A device with the superblock of an array that runs without it is drawn as stale, and so is one that the kernel calls faulty.
func TestStaleOfRunning(t *testing.T) {
	const size = 16 << 20
	spec := md.Spec{Version: md.V12, UUID: md.UUID{0: 9, 15: 1}, Level: 1, RaidDisks: 2, CTime: time.Unix(1<<30, 0),
		Members: []md.MemberSpec{{Size: size, DeviceUUID: md.UUID{1}}, {Size: size, DeviceUUID: md.UUID{2}}}}
	images, err := md.New(spec)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name         string
		ahead        uint64 // events of the member that went on
		slots        map[string]string
		degraded     string
		stale, marks string
	}{
		{"behind", 655, map[string]string{"sdb": "in_sync"}, "1", "sda (stale: event count", "[_U]"},
		{"equal", 0, map[string]string{"sdb": "in_sync"}, "1", "sda (stale: not in the running array)", "[_U]"},
		{"faulty", 0, map[string]string{"sda": "faulty", "sdb": "in_sync"}, "1", "sda (stale: the kernel calls it faulty)", "[_U]"},
		{"whole", 0, map[string]string{"sda": "in_sync", "sdb": "in_sync"}, "0", "", "[UU]"},
		{"rebuilding", 0, map[string]string{"sda": "spare", "sdb": "in_sync"}, "1", "", "[U_]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &box{disks: map[string]io.ReaderAt{}}
			for i, name := range []string{"sda", "sdb"} {
				disk := make([]byte, size)
				for _, w := range images[i].Writes {
					copy(disk[w.Offset:], w.Data)
				}
				super := images[i].Super
				if name == "sdb" {
					super.Events += c.ahead
				}
				b, err := super.Marshal()
				if err != nil {
					t.Fatal(err)
				}
				copy(disk[4096:], b)
				m.disks["/dev/"+name] = bytes.NewReader(disk)
				m.block(name, "32768")
			}
			m.block("md0", "0", "md/array_state", "clean")
			for name, text := range map[string]string{"level": "raid1", "metadata_version": "1.2", "uuid": images[0].Super.UUID.String(), "raid_disks": "2", "degraded": c.degraded} {
				m.file("sys/block/md0/md/"+name, text)
			}
			m.file("sys/block/md0/md/array_state", "clean")
			for name, state := range c.slots {
				m.file("sys/block/md0/md/dev-"+name+"/state", state)
				m.file("sys/block/md0/md/dev-"+name+"/slot", map[string]string{"sda": "0", "sdb": "1"}[name])
			}
			s := m.look(t, survey.Deep).Describe()
			if !strings.Contains(s, c.marks) || c.stale != "" && !strings.Contains(strings.Join(strings.Fields(s), " "), c.stale) || c.stale == "" && strings.Contains(s, "stale") {
				t.Errorf("described:\n%s\nwant %q %s", s, c.stale, c.marks)
			}
		})
	}
}
