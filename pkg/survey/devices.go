package survey

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"sort"
	"strconv"
	"strings"

	"migrate-init/pkg/plan"
)

// sector is sysfs's unit for sizes and starts, whatever the disk's own sectors are (Documentation/ABI/stable/sysfs-block).
const sector = 512

// devices reads /sys/class/block: one entry a disk, partition, array or mapping. Left out are what can hold no system
// (kind) and the single paths to a disk that the kernel shows as one (nvme0c0n1 of nvme0n1): they have its serial number
// and no node.
func (l *looker) devices() {
	names := l.names("sys/class/block")
	if len(names) == 0 {
		l.problem("/sys/class/block", errors.New("there are no block devices; is sysfs mounted?"))
	}
	paths := map[string][]string{}
	for _, n := range names {
		dir := path.Join("sys/class/block", n)
		if l.attr(dir, "hidden") == "1" {
			paths[wholeOf(n)] = append(paths[wholeOf(n)], l.bus(n))
			continue
		}
		d := plan.Device{Name: n, Path: "/dev/" + strings.ReplaceAll(n, "!", "/"), Size: l.number(dir, "size") * sector, ReadOnly: l.attr(dir, "ro") == "1"}
		maj, min, _ := strings.Cut(l.attr(dir, "dev"), ":")
		d.Major, d.Minor = num32(maj), num32(min)
		d.Kind = l.kind(dir, n)
		if d.Kind == plan.KindOther || d.Kind == plan.KindLoop && d.Size == 0 {
			continue
		}
		queue := path.Join(dir, "queue")
		if d.Kind == plan.KindPart {
			d.Number, d.Start = int(l.number(dir, "partition")), l.number(dir, "start")*sector
			d.Parent = l.parent(dir, n)
			queue = path.Join("sys/class/block", d.Parent, "queue")
		}
		d.Sector = l.number(queue, "logical_block_size")
		if d.Sector == 0 {
			d.Sector = sector
		}
		d.Rotational = l.attr(queue, "rotational") == "1" && !strings.HasPrefix(wholeName(d), "vd")
		switch d.Kind {
		case plan.KindDisk:
			l.identity(&d, dir)
		case plan.KindDM:
			d.Mapping, d.MappingID = l.attr(dir, "dm/name"), l.attr(dir, "dm/uuid")
		}
		if hs, err := fs.ReadDir(l.w.Root, path.Join(dir, "holders")); err == nil {
			for _, h := range hs {
				d.Holders = append(d.Holders, h.Name())
			}
		}
		l.f.Devices = append(l.f.Devices, d)
	}
	l.overlays()
	l.heads()
	for i := range l.f.Devices {
		if d := &l.f.Devices[i]; d.Kind == plan.KindDisk && len(paths[d.Name]) > 0 {
			l.byPaths(d, paths[d.Name])
		}
	}
	sort.SliceStable(l.f.Devices, func(i, j int) bool { return natural(l.f.Devices[i].Name, l.f.Devices[j].Name) })
}

// wholeName is the name of the disk that d is, or is a part of.
func wholeName(d plan.Device) string {
	if d.Parent != "" {
		return d.Parent
	}
	return d.Name
}

// heads says of arrays and mappings what is true of any of their members: the kernel calls every virtio disk rotational,
// and hands that on.
func (l *looker) heads() {
	for range 4 { // an array of mappings on partitions, and one to spare
		for i := range l.f.Devices {
			d := &l.f.Devices[i]
			if d.Kind != plan.KindArray && d.Kind != plan.KindDM {
				continue
			}
			if over := l.f.Dev(d.Over); d.Over != "" && over != nil {
				d.Rotational = over.Rotational // its store is in memory
				continue
			}
			members, turns := 0, false
			for _, m := range l.f.Devices {
				if slices.Contains(m.Holders, d.Name) {
					members++
					turns = turns || m.Rotational
				}
			}
			d.Rotational = turns || members == 0 && d.Rotational
		}
	}
}

func (l *looker) kind(dir, n string) string {
	switch {
	case l.exists(path.Join(dir, "partition")):
		return plan.KindPart
	case l.exists(path.Join(dir, "md")):
		return plan.KindArray
	case l.exists(path.Join(dir, "dm")):
		return plan.KindDM
	case strings.HasPrefix(n, "loop"):
		return plan.KindLoop
	case strings.HasPrefix(n, "ram"), strings.HasPrefix(n, "zram"), strings.HasPrefix(n, "sr"), strings.HasPrefix(n, "fd"), strings.HasPrefix(n, "nbd"), strings.HasPrefix(n, "md"):
		return plan.KindOther
	}
	return plan.KindDisk
}

// parent finds a partition's disk: the directory that holds its own in the device tree.
func (l *looker) parent(dir, n string) string {
	if link, err := fs.ReadLink(l.w.Root, dir); err == nil {
		return path.Base(path.Dir(link))
	}
	// A world without links (a fixture) lists partitions inside their disk's directory.
	for _, p := range l.names("sys/block") {
		if l.exists(path.Join("sys/block", p, n, "partition")) {
			return p
		}
	}
	return ""
}

func (l *looker) identity(d *plan.Device, dir string) {
	for _, a := range []string{"serial", "device/serial"} {
		if d.Serial = printable(l.attr(dir, a)); d.Serial != "" {
			break
		}
	}
	if d.Serial == "" {
		d.Serial = l.unitSerial(path.Join(dir, "device/vpd_pg80"))
	}
	for _, a := range []string{"wwid", "device/wwid"} {
		if d.WWN = printable(l.attr(dir, a)); d.WWN != "" {
			break
		}
	}
	d.Model = printable(l.attr(dir, "device/model"))
	d.Removable = l.attr(dir, "removable") == "1"
	bus := l.bus(d.Name)
	d.Bus, d.Remote, d.Drivers = steady(bus), remote(bus), l.drivers(bus)
}

// bus is where a block device is attached, below /sys/devices.
func (l *looker) bus(name string) string {
	link, err := fs.ReadLink(l.w.Root, path.Join("sys/class/block", name))
	if err != nil {
		return ""
	}
	_, tail, _ := strings.Cut(path.Dir(path.Dir(link)), "devices/") // .../virtio2/block/vda -> .../virtio2
	return tail
}

// steady leaves out of a place on the buses the numbers that the kernel gives in the order in which drivers come: an
// image has fewer of them, and counts otherwise. What tells two disks of one controller apart stays.
func steady(bus string) string {
	const digits = "0123456789"
	dirs := strings.Split(bus, "/")
	for i, d := range dirs {
		name := strings.TrimRight(d, digits)
		_, unit, ok := strings.Cut(d, ":") // 2:0:0:1: host, channel, target, unit
		switch {
		case name == "virtio", name == "host", name == "ata":
			dirs[i] = name
		case ok && strings.HasPrefix(d, "target"):
			dirs[i] = "target:" + unit
		case ok && i > 0 && strings.HasPrefix(dirs[i-1], "target:"):
			dirs[i] = unit
		}
	}
	return strings.Join(dirs, "/")
}

// wholeOf names the disk that a hidden path is one of: nvme0n1 of nvme0c1n1 (drivers/nvme/host/multipath.c).
func wholeOf(name string) string {
	ctrl, tail, _ := strings.Cut(name, "c")
	_, ns, _ := strings.Cut(tail, "n")
	return ctrl + "n" + ns
}

// byPaths asks the paths of a disk what the disk itself, which is of no bus, cannot tell: the drivers, and whether one of
// them stays in this machine.
func (l *looker) byPaths(d *plan.Device, buses []string) {
	d.Drivers, d.Remote = nil, remote(buses[0])
	for _, bus := range buses {
		for _, m := range l.drivers(bus) {
			if !slices.Contains(d.Drivers, m) {
				d.Drivers = append(d.Drivers, m)
			}
		}
		if remote(bus) == "" {
			d.Remote = ""
		}
	}
}

// remote says of a place on the buses why an image without network and without programs for it would not find the disk;
// "" for a disk that the kernel finds by itself.
func remote(bus string) string {
	top, below, _ := strings.Cut(bus, "/")
	switch {
	case top == "rbd":
		return "reached over a network (rbd)"
	case top == "virtual" && strings.HasPrefix(below, "nvme-fabrics"):
		return "reached over a network (NVMe)"
	case bus == "virtual":
		return "made by software (such as bcache, DRBD or a ZFS volume)"
	}
	for dir := range strings.SplitSeq(bus, "/") {
		if n, ok := strings.CutPrefix(dir, "session"); ok && n != "" && strings.Trim(n, "0123456789") == "" {
			return "reached over a network (iSCSI)"
		}
	}
	return ""
}

// unitSerial reads SCSI's page 80h of vital product data: a byte for the kind of device, 0x80, the length of the serial
// number in two bytes, the number (SPC-4, 7.8.17).
func (l *looker) unitSerial(name string) string {
	b, err := l.bytes(name)
	if err != nil || len(b) < 4 || b[1] != 0x80 {
		return ""
	}
	return printable(strings.ToValidUTF8(string(b[4:]), "?"))
}

// drivers walks from the disk up to the bus: the modules of its own driver, its controller's, the bridge's. A driver
// that is built in has no module there.
func (l *looker) drivers(bus string) []string {
	var out []string
	for at := bus; at != "." && at != "/" && at != ""; at = path.Dir(at) {
		if link, err := fs.ReadLink(l.w.Root, path.Join("sys/devices", at, "driver/module")); err == nil {
			out = append(out, path.Base(link))
		}
	}
	return out
}

// byID notes each disk's link in /dev/disk/by-id, the one that tells most: a serial number before a WWN, a WWN before
// what else udev made.
func (l *looker) byID() {
	rank := func(n string) int {
		for i, p := range []string{"nvme-eui", "wwn-", "nvme-", "scsi-", "virtio-", "ata-"} {
			if strings.HasPrefix(n, p) {
				return i + 1
			}
		}
		return 0
	}
	best := map[*plan.Device]string{}
	for _, n := range l.names("dev/disk/by-id") {
		d := l.byNode("/dev/disk/by-id/" + n)
		if d != nil && d.Kind == plan.KindDisk && (best[d] == "" || rank(n) > rank(best[d])) {
			best[d] = n
		}
	}
	for d, n := range best {
		d.ByID = "/dev/disk/by-id/" + n
	}
}

// printable trims what firmware pads identities with.
func printable(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }), " ")
}

func num32(s string) uint32 {
	n, _ := strconv.ParseUint(s, 10, 32)
	return uint32(n)
}

// natural orders vda2 before vda10.
func natural(a, b string) bool {
	pa, na := split(a)
	pb, nb := split(b)
	if pa != pb {
		return pa < pb
	}
	return na < nb
}

func split(s string) (string, int) {
	i := len(s)
	for i > 0 && s[i-1] >= '0' && s[i-1] <= '9' {
		i--
	}
	n, _ := strconv.Atoi(s[i:])
	return s[:i], n
}
