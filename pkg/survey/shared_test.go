package survey

import (
	"testing"

	"migrate-init/pkg/md"
	"migrate-init/pkg/plan"
)

// TestSharedSuperblock: the last partition of a disk ends where the disk does, and both show the 0.90 superblock of one member.
func TestSharedSuperblock(t *testing.T) {
	const mib = int64(1) << 20
	uuid := md.UUID{0: 7}
	for name, c := range map[string]struct {
		holder string // the device that an array has
		start  int64
		super  int64  // where the disk's copy is
		member string // the devices that are members then
	}{
		"not running":              {"", mib, 100*mib - 64<<10, "vda1"},
		"the partition is in use":  {"vda1", mib, 100*mib - 64<<10, "vda1"},
		"the whole disk is in use": {"vda", mib, 100*mib - 64<<10, "vda"},
		"two superblocks":          {"", mib, 99 * mib, "vda vda1"},
	} {
		t.Run(name, func(t *testing.T) {
			raid := plan.Content{Kind: plan.ContentRaid, Type: "linux_raid_member", UUID: "07000000-0000-0000-0000-000000000000"}
			f := &plan.Facts{Devices: []plan.Device{
				{Name: "vda", Kind: plan.KindDisk, Size: 100 * mib, Contents: []plan.Content{raid}},
				{Name: "vda1", Kind: plan.KindPart, Parent: "vda", Start: c.start, Size: 99 * mib, Contents: []plan.Content{raid}},
				{Name: "md0", Kind: plan.KindArray},
			}}
			if d := f.Dev(c.holder); d != nil {
				d.Holders = []string{"md0"}
			}
			l := &looker{f: f}
			l.members(f.Dev("vda"), []md.Superblock{{Version: md.V090, UUID: uuid, RaidDisks: 2, SuperOffset: c.super}})
			l.members(f.Dev("vda1"), []md.Superblock{{Version: md.V090, UUID: uuid, RaidDisks: 2, SuperOffset: 99*mib - 64<<10}})
			l.shared()
			members, left := "", ""
			for _, m := range f.Arrays[0].Members {
				members += " " + m.Device
			}
			for _, d := range f.Devices {
				if len(d.Contents) > 0 && !d.Contents[0].Ghost {
					left += " " + d.Name
				}
			}
			if want := " " + c.member; members != want || left != want || len(l.supers) != len(f.Arrays[0].Members) {
				t.Errorf("members are%s, signatures count on%s, %d superblocks; want%s", members, left, len(l.supers), want)
			}
		})
	}
}

// TestSharedSuperblockCovered: the partition is read through an overlay, and the disk shows the superblock all the same.
func TestSharedSuperblockCovered(t *testing.T) {
	const mib = int64(1) << 20
	f := &plan.Facts{Devices: []plan.Device{
		{Name: "vda", Kind: plan.KindDisk, Size: 100 * mib},
		{Name: "vda1", Kind: plan.KindPart, Parent: "vda", Start: mib, Size: 99 * mib},
		{Name: "dm-0", Kind: plan.KindDM, Over: "vda1", Size: 99 * mib},
	}}
	l := &looker{f: f}
	for name, at := range map[string]int64{"vda": 100*mib - 64<<10, "dm-0": 99*mib - 64<<10} {
		l.members(f.Dev(name), []md.Superblock{{Version: md.V090, RaidDisks: 2, SuperOffset: at}})
	}
	l.shared()
	if m := f.Arrays[0].Members; len(m) != 1 || m[0].Device != "dm-0" {
		t.Errorf("members are %+v", m)
	}
}

// TestPeculiar: what the kernel would need to be told is noted.
func TestPeculiar(t *testing.T) {
	const mib = int64(1) << 20
	raid0 := func(a, b int64, features md.Feature) []md.Superblock {
		return []md.Superblock{{Version: md.V12, Level: 0, ChunkSize: 512 << 10, RaidDisks: 2, DataSize: a, Features: features, DeviceUUID: md.UUID{1}},
			{Version: md.V12, Level: 0, ChunkSize: 512 << 10, RaidDisks: 2, DataSize: b, Features: features, DeviceUUID: md.UUID{2}}}
	}
	for name, c := range map[string]struct {
		supers            []md.Superblock
		noLayout, journal bool
	}{
		"RAID0, equal":                 {raid0(mib, mib, 0), false, false},
		"RAID0, equal but for a chunk": {raid0(mib, mib+4096, 0), false, false},
		"RAID0, unequal":               {raid0(mib, 2*mib, 0), true, false},
		"RAID0, unequal, recorded":     {raid0(mib, 2*mib, md.FeatureRaid0Layout), false, false},
		"RAID1, unequal":               {[]md.Superblock{{Level: 1, DataSize: mib}, {Level: 1, DataSize: 2 * mib}}, false, false},
		"RAID5 with a journal":         {[]md.Superblock{{Level: 5, Features: md.FeatureJournal}}, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			l := &looker{f: &plan.Facts{}}
			for _, s := range c.supers {
				l.members(&plan.Device{Name: "x"}, []md.Superblock{s})
			}
			l.peculiar()
			if a := l.f.Arrays[0]; a.NoLayout != c.noLayout || a.Journal != c.journal {
				t.Errorf("no layout %v, journal %v; want %v, %v", a.NoLayout, a.Journal, c.noLayout, c.journal)
			}
		})
	}
}
