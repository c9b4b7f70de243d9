package survey

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"migrate-init/boot"
	"migrate-init/pkg/gpt"
	"migrate-init/pkg/md"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/probe"
)

// contents gives a device its table and signatures, and notes its md superblocks. known is what looks remember.
func (l *looker) contents(d *plan.Device, known map[string]reading) {
	if d.Size == 0 || d.Internal() || l.f.Overlay(d.Name) != nil || l.stores(d) {
		return
	}
	if d.Kind == plan.KindDM && l.attr("sys/class/block", d.Name, "dm/suspended") == "1" {
		// a read would wait until someone resumes it
		l.ofDevice("", d.Path, errors.New("is suspended, and was not read; resume it: dmsetup resume "+d.Path))
		return
	}
	if was, ok := known[d.Name]; ok {
		d.Contents, d.Table, d.BootSector = slices.Clone(was.contents), was.table, was.sector
		l.members(d, was.supers)
		l.hold(d, was)
		l.w.Known.keep(d, was)
	} else if !l.open(d) {
		return
	}
	if list := l.parts[d.Name]; list != nil {
		if c := d.Filesystem(); c != nil {
			c.Subvolumes = list
		}
	}
	// What the superblock of a mounted filesystem counts is as old as the mount.
	if n, ok := l.unused[d.Name]; ok {
		if c := d.Filesystem(); c != nil && n <= c.Size {
			c.Used = c.Size - n
		}
	}
}

// open reads a device, and keeps what it found unless something could not be read.
func (l *looker) open(d *plan.Device) bool {
	dev, err := l.w.Open(d.Path)
	if err != nil {
		l.ofDevice("", d.Path, err)
		return false
	}
	defer dev.Close()
	problems, members := len(l.f.Problems), len(l.supers)
	l.read(d, newOnce(dev, d.Size))
	if len(l.f.Problems) == problems {
		var supers []md.Superblock
		for _, m := range l.supers[members:] {
			supers = append(supers, m.Super)
		}
		l.w.Known.keep(d, reading{supers: supers, pv: l.pv(d), crypt: l.header(d)})
	}
	return true
}

// read reads a device's table, signatures and md superblocks.
func (l *looker) read(d *plan.Device, r io.ReaderAt) {
	look := probe.Probe
	// kpartx gives its mappings of partitions a UUID that begins so; libblkid knows them by it (lib/sysfs.c).
	mapped := l.coversPart(d) || d.Kind == plan.KindDM && strings.HasPrefix(strings.ToLower(d.MappingID), "part")
	if d.Kind == plan.KindPart || mapped {
		look = probe.Partition
	}
	res, err := look(r, d.Size)
	l.ofDevice("", d.Path, err)
	for _, s := range res.Signatures {
		if s.Kind != probe.Table || s.Ghost {
			d.Contents = append(d.Contents, content(s))
		}
	}
	for i := range d.Contents {
		// What cannot be read is no block, and the boot loader starts nothing by it.
		if c := &d.Contents[i]; c.Kind == plan.ContentFS && c.Label == boot.BlockLabel {
			if env, _, err := boot.ReadBlock(r, c.UUID); err == nil {
				c.Env = env.List()
			}
		}
	}
	switch d.Kind {
	case plan.KindArray:
		// An array may be partitioned like a disk; what is on it otherwise shows no table.
		if len(res.Find(probe.Table)) > 0 {
			l.table(d, r)
		}
	case plan.KindDisk, plan.KindLoop:
		l.table(d, r)
		if len(d.Contents) == 0 && d.Table == nil && err == nil {
			s, found, err := probe.Unnamed(r, d.Size)
			l.ofDevice("", d.Path, err)
			if found {
				d.Contents = append(d.Contents, content(s))
			}
		}
	}
	if len(res.Find(probe.RAID)) > 0 || len(d.Contents) > 0 || d.Kind == plan.KindPart || d.Over != "" {
		l.members(d, l.scan(d, r))
	}
	l.layers(d, r)
}

func (l *looker) table(d *plan.Device, r io.ReaderAt) {
	t, err := gpt.Read(r, d.Size, int(d.Sector))
	if err != nil {
		if !errors.Is(err, gpt.ErrNone) {
			l.ofDevice(tableOf, d.Path, err)
		}
	} else {
		d.Table = &plan.Table{Scheme: t.Scheme, ID: t.ID, Backup: t.Backup, Hybrid: t.Hybrid, Damage: t.Damage}
		for _, p := range t.Partitions {
			d.Table.Partitions = append(d.Table.Partitions, plan.Partition{Number: p.Number, Type: p.Type, Role: roleOf(p.Type), GUID: p.ID, Name: p.Name, Start: p.Start, Size: p.Size})
		}
	}
	lba0 := make([]byte, 512)
	if _, err := r.ReadAt(lba0, 0); err != nil {
		l.ofDevice("boot sector", d.Path, err)
		return
	}
	d.BootSector = boot.SectorOwner(lba0)
}

func roleOf(typ string) string {
	for role, own := range map[string]string{plan.RoleJournal: plan.JournalType, plan.RoleOneShot: plan.OneShotType} {
		if strings.EqualFold(typ, own) {
			return role
		}
	}
	k, ok := gpt.KindOf(typ)
	if !ok {
		return plan.RoleOther
	}
	switch k.Name {
	case plan.RoleBIOSGrub, plan.RoleESP, plan.RoleRaid, plan.RoleSwap, plan.RoleLinux:
		return k.Name
	}
	return plan.RoleOther
}

func content(s probe.Signature) plan.Content {
	c := plan.Content{Kind: string(s.Kind), Type: s.Type, UUID: s.UUID, Label: s.Label, Size: s.Size, Used: s.Used, BlockSize: s.BlockSize, Dirty: s.Dirty, Stamp: s.Stamp, Ghost: s.Ghost}
	for _, w := range s.Wipes() {
		c.Wipe = append(c.Wipe, plan.Span{Offset: w.Offset, Length: w.Length})
	}
	if x := s.Ext; x != nil {
		c.Features, c.Inodes, c.InodeSize, c.BlockSize = x.Features, int64(x.Inodes), int64(x.InodeSize), x.BlockSize
		c.Log = x.JournalSize
		if x.ExternalJournal() {
			if c.Journal = x.JournalDevice; c.Journal == "" {
				c.Journal = "without a UUID"
			}
		}
		if x.Errors || x.ErrorCount > 0 {
			c.Damage = fmt.Sprintf("the kernel recorded errors in it (%d)", x.ErrorCount)
		}
	}
	if x := s.XFS; x != nil {
		c.Features, c.InodeSize, c.Sector, c.Log = x.Features, x.InodeSize, x.SectorSize, x.LogSize
		if x.ExternalLog {
			c.Journal = "without a UUID"
		}
	}
	if x := s.Btrfs; x != nil {
		c.Features, c.Members = x.Features, int(min(x.Devices, 1<<16))
		c.NodeSize, c.Checksum = x.NodeSize, x.Checksum
	}
	if s.Checksum == probe.Invalid && c.Dirty == "" {
		c.Dirty = "its superblock's checksum does not match"
	}
	return c
}

// partitionIDs gives every partition that the kernel knows the GUID that the table has for it.
func (l *looker) partitionIDs() {
	for i := range l.f.Devices {
		d := &l.f.Devices[i]
		disk := l.f.DiskOf(d.Name)
		if d.Kind != plan.KindPart || disk == nil || disk.Table == nil {
			continue
		}
		for _, p := range disk.Table.Partitions {
			// The kernel's view may lag behind the table: a number alone is no identity.
			if p.Number == d.Number && p.Start == d.Start && p.Size == d.Size {
				d.GUID = p.GUID
			}
		}
	}
}

// scan reads a device's md superblocks.
func (l *looker) scan(d *plan.Device, r io.ReaderAt) []md.Superblock {
	supers, err := md.Scan(r, d.Size)
	var dmg *md.Damaged
	if err != nil && !errors.As(err, &dmg) {
		l.ofDevice("", d.Path, err)
	}
	return supers
}

// members notes the md superblocks of a device; arrays() groups them.
func (l *looker) members(d *plan.Device, supers []md.Superblock) {
	for _, s := range supers {
		uuid := s.UUID.String()
		a := l.f.Array(uuid)
		if a == nil {
			l.f.Arrays = append(l.f.Arrays, plan.Array{UUID: uuid, Name: s.Name, Level: strconv.Itoa(s.Level), Metadata: string(s.Version), Devices: s.RaidDisks})
			a = &l.f.Arrays[len(l.f.Arrays)-1]
		}
		m := plan.Member{Device: d.Name, Role: -1, Events: s.Events, Updated: s.UTime.Unix(), State: s.ArrayState()}
		if role := s.Role(); int(role) < s.RaidDisks {
			m.Role = int(role)
		}
		a.Members = append(a.Members, m)
		l.supers = append(l.supers, md.Member{Device: d.Name, Super: s})
	}
}
