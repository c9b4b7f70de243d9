package survey

import (
	"errors"
	"fmt"
	"strconv"

	"migrate-init/boot"
	"migrate-init/pkg/gpt"
	"migrate-init/pkg/md"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/probe"
)

// contents opens one device and reads its table and signatures.
func (l *looker) contents(d *plan.Device) {
	if d.Size == 0 {
		return
	}
	r, err := l.w.Open(d.Path)
	if err != nil {
		l.problem(d.Path, err)
		return
	}
	defer r.Close()
	res, err := probe.Probe(r, d.Size)
	l.problem(d.Path, err)
	for _, s := range res.Signatures {
		if s.Kind != probe.Table {
			d.Contents = append(d.Contents, content(s))
		}
	}
	if d.Kind == plan.KindDisk || d.Kind == plan.KindLoop {
		l.table(d, r)
	}
	if len(res.Find(probe.RAID)) > 0 || len(d.Contents) > 0 || d.Kind == plan.KindPart {
		l.members(d, r)
	}
}

func (l *looker) table(d *plan.Device, r Device) {
	t, err := gpt.Read(r, d.Size, int(d.Sector))
	if err != nil {
		if !errors.Is(err, gpt.ErrNone) {
			l.problem("partition table of "+d.Path, err)
		}
	} else {
		d.Table = &plan.Table{Scheme: t.Scheme, ID: t.ID}
		for _, p := range t.Partitions {
			d.Table.Partitions = append(d.Table.Partitions, plan.Partition{Number: p.Number, Type: p.Type, Role: roleOf(p.Type), GUID: p.ID, Name: p.Name, Start: p.Start, Size: p.Size, Logical: p.Logical})
		}
	}
	lba0 := make([]byte, 512)
	if _, err := r.ReadAt(lba0, 0); err != nil {
		l.problem("boot sector of "+d.Path, err)
		return
	}
	if _, err := boot.ParseBootSector(lba0); err == nil {
		d.BootSector = "grub"
	} else if lba0[0] != 0 {
		d.BootSector = "unknown"
	}
}

func roleOf(typ string) string {
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

func kindOf(k probe.Kind) string {
	switch k {
	case probe.Filesystem:
		return plan.ContentFS
	case probe.Swap:
		return plan.ContentSwap
	case probe.RAID:
		return plan.ContentRaid
	case probe.LVM:
		return plan.ContentLVM
	case probe.LUKS:
		return plan.ContentLUKS
	case probe.ZFS:
		return plan.ContentZFS
	}
	return plan.ContentOther
}

func content(s probe.Signature) plan.Content {
	c := plan.Content{Kind: kindOf(s.Kind), Type: s.Type, UUID: s.UUID, Label: s.Label, Version: s.Version, Size: s.Size, Used: s.Used, BlockSize: s.BlockSize}
	for _, w := range (probe.Result{Signatures: []probe.Signature{s}}).Wipes() {
		c.Wipe = append(c.Wipe, plan.Span{Offset: w.Offset, Length: w.Length})
	}
	switch {
	case s.Ext != nil:
		x := s.Ext
		c.Features, c.Inodes, c.InodeSize, c.BlockSize = x.Features, int64(x.Inodes), int64(x.InodeSize), x.BlockSize
		// The write time and the mount count change with every mount for writing, the free counts with what was written.
		c.Stamp = fmt.Sprintf("written %d, mounted %d times, %d blocks and %d inodes free", x.WriteTime, x.MountCount, x.FreeBlocks, x.FreeInodes)
		switch {
		case x.NeedsRecovery:
			c.Dirty = "its journal has not been replayed (needs_recovery)"
		case x.Errors || x.ErrorCount > 0:
			c.Dirty = fmt.Sprintf("the kernel found errors in it (%d); run e2fsck", x.ErrorCount)
		case !x.Clean:
			c.Dirty = "it was not unmounted cleanly"
		case x.OrphanInode != 0:
			c.Dirty = fmt.Sprintf("deleted files wait to be released (orphan inode %d)", x.OrphanInode)
		}
	case s.XFS != nil:
		c.Stamp = fmt.Sprintf("%d blocks and %d inodes free", s.XFS.FreeBlocks, s.XFS.FreeInodes)
		if s.XFS.Log != probe.LogClean {
			c.Dirty = "its log is not clean: " + s.XFS.LogNote
		}
	case s.Btrfs != nil:
		c.Stamp = "generation " + strconv.FormatUint(s.Btrfs.Generation, 10)
		if s.Btrfs.LogTree {
			c.Dirty = "an fsync log waits to be replayed"
		}
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

// members notes the md superblocks of a device; arrays() groups them.
func (l *looker) members(d *plan.Device, r Device) {
	supers, err := md.Scan(r, d.Size)
	var dmg *md.Damaged
	if err != nil && !errors.As(err, &dmg) {
		l.problem(d.Path, err)
	}
	for _, s := range supers {
		uuid := s.UUID.String()
		a := l.f.Array(uuid)
		if a == nil {
			l.f.Arrays = append(l.f.Arrays, plan.Array{UUID: uuid, Name: s.Name, Level: strconv.Itoa(s.Level), Metadata: string(s.Version), Devices: s.RaidDisks})
			a = &l.f.Arrays[len(l.f.Arrays)-1]
		}
		m := plan.Member{Device: d.Name, Role: -1, Events: s.Events, State: s.ArrayState()}
		if role := s.Role(); int(role) < s.RaidDisks {
			m.Role = int(role)
		}
		a.Members = append(a.Members, m)
	}
}
