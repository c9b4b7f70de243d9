package sim

import (
	"fmt"
	"io/fs"
	"maps"
	"strings"
	"testing/fstest"
)

// kernel adds what the kernel and udev show.
func (m *Machine) kernel(out fstest.MapFS) {
	file := func(name, format string, args ...any) { put(out, name, format, args...) }
	file("proc/sys/kernel/hostname", "server")
	file("proc/sys/kernel/osrelease", Release)
	file("proc/sys/kernel/random/boot_id", "boot-%d", m.boots)
	file("proc/cmdline", "root=UUID=%s ro console=ttyS0", OldRoot)
	file("proc/meminfo", "MemTotal:        2048000 kB\nMemAvailable:    1024000 kB")
	for mod := range m.loaded {
		file("sys/module/"+mod+"/initstate", "live")
	}
	m.swaps(out)
	m.mountinfo(out)
	for _, b := range m.Devices {
		maps.Copy(out, m.sysfs(b))
	}
}

func put(out fstest.MapFS, name, format string, args ...any) {
	out[name] = &fstest.MapFile{Data: fmt.Appendf(nil, format+"\n", args...), Mode: 0o444}
}

func (m *Machine) swaps(out fstest.MapFS) {
	text := "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority"
	for i, p := range m.layout.Parts {
		if m.live && p.Kind == "swap" {
			text += fmt.Sprintf("\n%-40spartition\t%d\t\t0\t\t-2", m.pathOf(i), p.Size/1024-4)
		}
	}
	put(out, "proc/swaps", "%s", text)
}

func (m *Machine) mountinfo(out fstest.MapFS) {
	var infos strings.Builder
	for i, mount := range m.Mounts {
		maj, min := uint32(0), uint32(30+i)
		if b := m.Dev(mount.Src); b != nil && mount.Type != "bind" {
			maj, min = b.Major, b.Minor
		}
		opts := "rw"
		if mount.ReadOnly {
			opts = "ro"
		}
		fmt.Fprintf(&infos, "%d 1 %d:%d / %s %s - %s %s %s\n", 20+i, maj, min, mount.Dir, opts, mount.Type, mount.Src, opts)
	}
	out["proc/self/mountinfo"] = &fstest.MapFile{Data: []byte(infos.String())}
}

// Sysfs is what the kernel shows of a disk or a partition that no one uses, and udev's link to it.
func Sysfs(b *Device) fstest.MapFS { return (&Machine{live: true}).sysfs(b) }

func (m *Machine) sysfs(b *Device) fstest.MapFS {
	out := fstest.MapFS{}
	file := func(name, format string, args ...any) { put(out, name, format, args...) }
	link := func(name, to string) { out[name] = &fstest.MapFile{Data: []byte(to), Mode: fs.ModeSymlink | 0o777} }
	bus := fmt.Sprintf("sys/devices/pci0000:00/0000:00:%02x.0", 4+b.Minor/16)
	at := "sys/devices/virtual/block/" + b.Name
	switch {
	case b.Disk != nil && b.Number == 0:
		at = bus + "/virtio/block/" + b.Name
		file(at+"/removable", "0")
		file(at+"/queue/logical_block_size", "512")
		file(at+"/queue/rotational", "0")
		link(bus+"/virtio/driver/module", "../../../../../module/virtio_blk")
		link(bus+"/driver/module", "../../../../module/virtio_pci")
		if b.Disk.Serial != "" {
			file(at+"/serial", "%s", b.Disk.Serial)
		}
		if b.Disk.Serial != "" && m.live {
			link("dev/disk/by-id/virtio-"+b.Disk.Serial, "../../"+b.Name)
		}
	case b.Disk != nil:
		disk := strings.TrimRight(b.Name, "0123456789")
		at = bus + "/virtio/block/" + disk + "/" + b.Name
		file(at+"/partition", "%d", b.Number)
		file(at+"/start", "%d", b.Offset/512)
	case b.layer != nil && m.Arrays[b.Name] == nil:
		b.layerFiles(at, file)
	case m.Arrays[b.Name] == nil: // a layer over other devices, as device-mapper makes them
		file(at+"/dm/name", "%s", b.Name)
	default:
		m.arrayFiles(at, b, file)
		link("sys/block/"+b.Name, strings.Replace(at, "sys/", "../", 1))
	}
	file(at+"/size", "%d", b.Size/512)
	file(at+"/dev", "%d:%d", b.Major, b.Minor)
	file(at+"/ro", "%d", map[bool]int{true: 1}[b.ReadOnly])
	out[at+"/holders"] = &fstest.MapFile{Mode: fs.ModeDir | 0o755}
	for _, h := range m.holders(b) {
		link(at+"/holders/"+h, "../../x")
	}
	link("sys/class/block/"+b.Name, strings.Replace(at, "sys/", "../../", 1))
	return out
}
