package survey

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

func (m *box) look(t *testing.T, depth Depth) *plan.Facts {
	t.Helper()
	f, err := Look(t.Context(), World{Root: m.files, Open: func(p string) (Device, error) {
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
		if p.Noun == noun {
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
	f := m.look(t, Deep)
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
	f := m.look(t, Deep)
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
	f := m.look(t, Shallow)
	if len(f.Devices) != 1 || f.Devices[0].Name != "nvme0n1" {
		t.Errorf("devices %v", f.Devices)
	}
}

// SCSI pads the serial number, and puts a binary header before it.
func TestSerialOfSCSI(t *testing.T) {
	m := &box{}
	m.block("sda", "8192", "device/vpd_pg80", "\x00\x80\x00\x14      WD-WCC4N0000001 ")
	m.block("sdb", "8192", "device/vpd_pg80", "\x00\x80")
	m.block("sdc", "8192", "device/vpd_pg80", "\x00\x80\x00\x00", "serial", "S 1\n")
	f := m.look(t, Shallow)
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
	f := m.look(t, Deep)
	if !slices.Equal(m.opens, []string{"/dev/dm-1"}) || !strings.Contains(problems(f, "/dev/dm-0"), "dmsetup resume") {
		t.Errorf("opened %q, problems %v", m.opens, f.Problems)
	}
}

func TestNoSysfsIsAProblem(t *testing.T) {
	m := &box{files: fstest.MapFS{}}
	if f := m.look(t, Shallow); !strings.Contains(problems(f, "/sys/class/block"), "sysfs") {
		t.Errorf("problems %v", f.Problems)
	}
}

// A server with everything installed has some megabytes of it.
func TestLongPackageList(t *testing.T) {
	m := &box{}
	m.block("sda", "0")
	m.file("etc/os-release", "ID=debian\n")
	m.file("var/lib/dpkg/status", strings.Repeat("Package: x\nStatus: install ok installed\nDescription: "+strings.Repeat("y", 1000)+"\n\n", 6000)+
		"Package: mdadm\nStatus: install ok installed\n\nPackage: e2fsprogs\nStatus: deinstall ok config-files\n")
	if f := m.look(t, Whole); !slices.Equal(f.Distro.Missing, []string{"e2fsprogs"}) {
		t.Errorf("missing %q, problems %v", f.Distro.Missing, f.Problems)
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
			f := m.look(t, Deep)
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
