package survey

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/uuid"

	"migrate-init/pkg/gpt"
	"migrate-init/pkg/md"
	"migrate-init/pkg/plan"
)

const (
	mib     = int64(1) << 20
	release = "6.1.0-40-amd64"
	rootID  = "11111111-1111-4111-8111-111111111111"
	swapID  = "33333333-3333-4333-8333-333333333333"
)

// device is a block device of pieces; between them it is zero.
type device struct {
	size   int64
	pieces map[int64][]byte
}

func (d device) ReadAt(b []byte, at int64) (int, error) {
	clear(b)
	for off, p := range d.pieces {
		from, to := max(at, off), min(at+int64(len(b)), off+int64(len(p)))
		if from < to {
			copy(b[from-at:to-at], p[from-off:to-off])
		}
	}
	if at+int64(len(b)) > d.size {
		return int(max(d.size-at, 0)), io.EOF
	}
	return len(b), nil
}

func (device) Close() error { return nil }

// part is the window of a partition.
func (d device) part(off, size int64) device {
	p := device{size, map[int64][]byte{}}
	for at, b := range d.pieces {
		if at >= off && at < off+size {
			p.pieces[at-off] = b
		}
	}
	return p
}

func ext4(id, label string, size int64) []byte {
	le := binary.LittleEndian
	b := make([]byte, 1024)
	for at, v := range map[int]uint32{0: 65536, 4: uint32(size / 4096), 12: 1000, 16: 60000, 24: 2, 32: 32768, 40: 8192, 76: 1, 92: 0x3c, 96: 0x2c2, 100: 0x6b, 224: 8} {
		le.PutUint32(b[at:], v)
	}
	le.PutUint16(b[56:], 0xef53)
	le.PutUint16(b[58:], 1)
	le.PutUint16(b[88:], 256)
	u := uuid.MustParse(id)
	copy(b[104:], u[:])
	copy(b[120:136], label)
	return b
}

func swap(id string, size int64) []byte {
	b := make([]byte, 4096)
	binary.LittleEndian.PutUint32(b[1024:], 1)
	binary.LittleEndian.PutUint32(b[1028:], uint32(size/4096)-1)
	u := uuid.MustParse(id)
	copy(b[1036:], u[:])
	copy(b[4086:], "SWAPSPACE2")
	return b
}

func vmlinuz(rel string) string {
	b := make([]byte, 0x400)
	b[0x1fe], b[0x1ff] = 0x55, 0xaa
	copy(b[0x202:], "HdrS")
	binary.LittleEndian.PutUint16(b[0x20e:], 0x100)
	copy(b[0x300:], rel+" (debian)\x00")
	return string(b)
}

// bootx is a made-up boot loader whose configuration is "ok" when nothing is wrong with it.
func bootx() plan.Loader {
	return plan.Loader{Name: "bootx", Look: func(root fs.FS, f *plan.Facts) (plan.Boot, []plan.Problem, bool) {
		b := f.Boot
		got, err := fs.ReadFile(root, "boot/bootx.conf")
		if err != nil {
			return b, nil, false
		}
		b.Config = "/boot/bootx.conf"
		if d, _ := f.Holder("/boot"); d != nil {
			b.Device = d.Name
		}
		if string(got) != "ok" {
			return b, []plan.Problem{{Subject: b.Config, Err: "it is broken"}}, true
		}
		return b, nil, true
	}}
}

func loaders() []plan.Loader {
	never := plan.Loader{Name: "never", Look: func(fs.FS, *plan.Facts) (plan.Boot, []plan.Problem, bool) { return plan.Boot{Config: "x"}, nil, false }}
	return []plan.Loader{never, bootx()}
}

// machine is a Debian in a VM: vda with bios_grub, root and swap, vdb empty, vdc a member of a degraded array that runs.
type machine struct {
	root  fstest.MapFS
	disks map[string]device
}

func (m machine) file(name, format string, args ...any) {
	m.root[name] = &fstest.MapFile{Data: fmt.Appendf(nil, format, args...), Mode: 0o644}
}

func (m machine) link(name, to string) {
	m.root[name] = &fstest.MapFile{Data: []byte(to), Mode: fs.ModeSymlink | 0o777}
}

// block puts a device into sysfs; at is its place below /sys/devices.
func (m machine) block(name, at, dev string, size int64) {
	dir := "sys/devices/" + at + "/" + name
	m.file(dir+"/size", "%d\n", size/512)
	m.file(dir+"/dev", "%s\n", dev)
	m.file(dir+"/ro", "0\n")
	m.link("sys/class/block/"+name, "../../devices/"+at+"/"+name)
}

func debian(t testing.TB) machine {
	t.Helper()
	m := machine{root: fstest.MapFS{}, disks: map[string]device{}}
	const gib = 1024 * mib
	vda, vdc := device{gib, map[int64][]byte{}}, device{gib, map[int64][]byte{}}
	bios, _ := gpt.TypeOf(gpt.SchemeGPT, "bios_grub")
	linux, _ := gpt.TypeOf(gpt.SchemeGPT, "linux")
	swapType, _ := gpt.TypeOf(gpt.SchemeGPT, "swap")
	writes, err := gpt.Encode(gpt.Table{Scheme: gpt.SchemeGPT, ID: "aaaaaaaa-0000-4000-8000-000000000000", SectorSize: 512, Partitions: []gpt.Partition{
		{Number: 1, Type: bios, ID: "aaaaaaaa-0000-4000-8000-000000000001", Name: "bios", Start: mib, Size: mib},
		{Number: 2, Type: linux, ID: "aaaaaaaa-0000-4000-8000-000000000002", Name: "the root", Start: 2 * mib, Size: 800 * mib},
		{Number: 3, Type: swapType, ID: "aaaaaaaa-0000-4000-8000-000000000003", Start: 802 * mib, Size: 100 * mib},
	}}, gib, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range writes {
		vda.pieces[w.Offset] = w.Data
	}
	vda.pieces[2*mib+1024] = ext4(rootID, "rootfs", 800*mib)
	vda.pieces[802*mib] = swap(swapID, 100*mib)
	id, _ := md.ParseUUID("deadbeef:00000000:00000000:00000001")
	member, _ := md.ParseUUID("deadbeef:00000000:00000000:00000002")
	images, err := md.New(md.Spec{Version: "1.2", UUID: id, Name: "server:data", Level: 1, RaidDisks: 2, Members: []md.MemberSpec{{Size: gib, DeviceUUID: member}, {Size: gib, Missing: true, DeviceUUID: id}}, CTime: time.Unix(1700000000, 0)})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range images[0].Writes {
		vdc.pieces[w.Offset] = w.Data
	}
	m.disks = map[string]device{"vda": vda, "vda1": vda.part(mib, mib), "vda2": vda.part(2*mib, 800*mib), "vda3": vda.part(802*mib, 100*mib),
		"vdb": {gib, nil}, "vdc": vdc, "md127": {images[0].Super.Size, map[int64][]byte{1024: ext4("44444444-4444-4444-8444-444444444444", "data", 900*mib)}}}

	for i, n := range []string{"vda", "vdb", "vdc"} {
		bus := fmt.Sprintf("pci0000:00/0000:00:%02x.0/virtio%d", 4+i, i)
		m.block(n, bus+"/block", fmt.Sprintf("254:%d", 16*i), gib)
		dir := "sys/devices/" + bus + "/block/" + n
		m.file(dir+"/queue/logical_block_size", "512\n")
		m.file(dir+"/queue/rotational", "1\n")
		m.file(dir+"/removable", "0\n")
		m.file(dir+"/serial", " SERIAL %s \n", n)
		m.link("sys/devices/"+bus+"/driver/module", "../../../../module/virtio_blk")
		m.link("sys/devices/"+strings.TrimSuffix(bus, fmt.Sprintf("/virtio%d", i))+"/driver/module", "../../../module/virtio_pci")
	}
	for i, p := range []struct{ start, size int64 }{{1, 1}, {2, 800}, {802, 100}} {
		n := fmt.Sprintf("vda%d", i+1)
		m.block(n, "pci0000:00/0000:00:04.0/virtio0/block/vda", fmt.Sprintf("254:%d", i+1), p.size*mib)
		dir := "sys/devices/pci0000:00/0000:00:04.0/virtio0/block/vda/" + n
		m.file(dir+"/partition", "%d\n", i+1)
		m.file(dir+"/start", "%d\n", p.start*mib/512)
	}
	m.block("md127", "virtual/block", "9:127", images[0].Super.Size)
	m.link("sys/block/md127", "../devices/virtual/block/md127")
	for n, s := range map[string]string{"array_state": "clean", "level": "raid1", "metadata_version": "1.2", "raid_disks": "2", "degraded": "1", "sync_action": "check",
		"sync_completed": "1000 / 4000", "sync_speed": "2048", "dev-vdc/state": "in_sync", "dev-vdc/slot": "0"} {
		m.file("sys/devices/virtual/block/md127/md/"+n, "%s\n", s)
	}
	m.link("sys/devices/pci0000:00/0000:00:06.0/virtio2/block/vdc/holders/md127", "../../../../../../virtual/block/md127")
	m.block("loop0", "virtual/block", "7:0", 0)
	m.block("sr0", "virtual/block", "11:0", 100*mib)
	m.block("dm-0", "virtual/block", "253:0", 10*mib)
	m.file("sys/devices/virtual/block/dm-0/dm/name", "x\n")
	m.file("sys/class/dmi/id/product_uuid", "ABCDEF00-0000-0000-0000-000000000000\n")

	m.file("proc/sys/kernel/hostname", "server\n")
	m.file("proc/sys/kernel/osrelease", release+"\n")
	m.file("proc/sys/kernel/random/boot_id", "b00t\n")
	m.file("proc/cmdline", "BOOT_IMAGE=/boot/vmlinuz root=UUID=%s ro console=ttyS0\n", rootID)
	m.file("proc/meminfo", "MemTotal:        1000000 kB\nMemFree:  1 kB\n")
	m.file("proc/swaps", "Filename\t\t\t\tType\t\tSize\n/dev/vda3                               partition\t102396\n")
	m.file("proc/self/mountinfo", "22 1 254:2 / / rw,relatime shared:1 - ext4 /dev/vda2 rw,errors=remount-ro\n23 22 0:21 / /proc rw - proc proc rw\n24 22 9:127 / /srv/with\\040space rw - ext4 /dev/md127 rw\n")
	m.file("etc/machine-id", "0123456789abcdef0123456789abcdef\n")
	m.file("etc/os-release", "PRETTY_NAME=\"Debian GNU/Linux 12\"\nID=debian\nVERSION_ID=\"12\"\n")
	m.file("etc/fstab", "# c\nUUID=%s / ext4 errors=remount-ro 0 1\nPARTUUID=AAAAAAAA-0000-4000-8000-000000000003 none swap sw 0 0\nLABEL=data /srv/with\\040space ext4 defaults 0 2\nPARTLABEL=the\\040root /x ext4 noauto 0 0\n/dev/mapper/x /y ext4 nofail 0 0\nUUID=99999999-9999-4999-8999-999999999999 /z ext4 nofail 0 0\n", rootID)
	m.link("dev/mapper/x", "../dm-0")
	m.link("dev/disk/by-id/virtio-SERIAL_vda", "../../vda")
	m.link("dev/disk/by-id/virtio-SERIAL_vda-part2", "../../vda2")
	m.link("dev/disk/by-id/wwn-0x1", "../../vdb")
	m.link("dev/disk/by-id/ata-MODEL", "../../vdb")
	for _, n := range []string{"usr/sbin/update-initramfs", "usr/lib/systemd/systemd", "lib/modules/" + release + "/modules.dep", "boot/initrd.img-" + release} {
		m.file(n, "x")
	}
	m.file("boot/vmlinuz-"+release, "%s", vmlinuz(release))
	m.file("boot/vmlinuz-old", "%s", vmlinuz("5.10.0-1-amd64"))
	m.file("boot/bootx.conf", "ok")
	m.file("var/lib/packages", "bash e2fsprogs")
	return m
}

func (m machine) look(t testing.TB, depth Depth) *plan.Facts {
	t.Helper()
	f, err := Look(context.Background(), World{Root: m.root, Rules: rules(), Open: func(p string) (Device, error) {
		d, ok := m.disks[strings.TrimPrefix(p, "/dev/")]
		if !ok {
			return nil, fmt.Errorf("open %s: %w", p, fs.ErrNotExist)
		}
		return d, nil
	}, Free: func(string) int64 { return 123 * mib }}, depth)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// rules are made up, and so is the list of packages; the rest is as on Debian.
func rules() plan.Rules {
	return plan.Rules{
		Loaders: loaders(),
		Families: []plan.Family{{Name: "red", IDs: []string{"rhel"}}, {Name: "debian", IDs: []string{"debian"}, Kernels: "boot/vmlinuz-*", Debconf: "var/cache/debconf/config.dat",
			Installed: func(read func(string) string, packages []string) []string {
				return slices.DeleteFunc(slices.Clone(packages), func(p string) bool { return !slices.Contains(strings.Fields(read("var/lib/packages")), p) })
			}}},
		Generators: []plan.Generator{{Name: "other", Program: "usr/bin/other"},
			{Name: "initramfs-tools", Program: "usr/sbin/update-initramfs", InitrdOf: func(k string) string { return strings.Replace(k, "vmlinuz", "initrd.img", 1) }}},
	}
}
