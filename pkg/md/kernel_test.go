package md

import (
	"encoding/hex"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func TestAssembleIoctls(t *testing.T) {
	got, err := AssembleIoctls(V12, []Dev{{254, 17}, {8, 2}})
	if err != nil {
		t.Fatal(err)
	}
	info := make([]byte, 72)
	info[0], info[4] = 1, 2
	disk := func(major, minor byte) []byte {
		b := make([]byte, 20)
		b[4], b[8] = major, minor
		return b
	}
	want := []Ioctl{
		{Name: "SET_ARRAY_INFO", Req: 0x40480923, Arg: info},
		{Name: "ADD_NEW_DISK", Req: 0x40140921, Arg: disk(254, 17)},
		{Name: "ADD_NEW_DISK", Req: 0x40140921, Arg: disk(8, 2)},
		{Name: "RUN_ARRAY", Req: 0x400c0930},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	old, err := setArrayInfo(V090)
	if err != nil || old.Arg[0] != 0 || old.Arg[4] != 90 {
		t.Error(old, err)
	}
	if _, err := AssembleIoctls(V12, nil); err == nil {
		t.Error("no members: no error")
	}
	if _, err := AssembleIoctls("2.0", []Dev{{8, 1}}); err == nil {
		t.Error("version 2.0: no error")
	}
}

// _IO and friends, computed from md_u.h: direction, size, magic 9, number.
func TestRequestNumbers(t *testing.T) {
	code := func(dir, size, nr uintptr) uintptr { return dir<<30 | size<<16 | 9<<8 | nr }
	const none, write = 0, 1
	for _, c := range []struct {
		got  Ioctl
		want uintptr
		arg  int
	}{
		{addNewDisk(Dev{}), code(write, 20, 0x21), 20}, {runArray(), code(write, 12, 0x30), 0},
		{StopArray(), code(none, 0, 0x32), 0}, {RestartArrayRW(), code(none, 0, 0x34), 0},
	} {
		if c.got.Req != c.want || len(c.got.Arg) != c.arg {
			t.Errorf("%s: %#x with %d bytes, want %#x with %d", c.got.Name, c.got.Req, len(c.got.Arg), c.want, c.arg)
		}
	}
	if b := HotAdd(Dev{254, 2}, 5).Arg; hex.EncodeToString(b) != "05000000fe00000002000000ffffffff00000000" {
		t.Errorf("%x", b)
	}
}

func TestDiskRoundTrip(t *testing.T) {
	d := Disk{1, 2, 3, -1, 5}
	if got, err := DecodeDiskInfo(d.encode()); err != nil || got != d {
		t.Error(got, err)
	}
	if _, err := DecodeDiskInfo(nil); err == nil {
		t.Error("no bytes: no error")
	}
}

func TestSysfsWrites(t *testing.T) {
	got, err := AssembleSysfs("md5", V12, []Dev{{254, 0}}, true)
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, StopSysfs("md5"), CreateNode("md5"), StartReadOnly(true), StartDirtyDegraded(false))
	want := []SysfsWrite{
		{"block/md5/md/metadata_version", "1.2"}, {"block/md5/md/new_dev", "254:0"}, {"block/md5/md/array_state", "readonly"},
		{"block/md5/md/array_state", "clear"}, {"module/md_mod/parameters/new_array", "md5"},
		{"module/md_mod/parameters/start_ro", "1"}, {"module/md_mod/parameters/start_dirty_degraded", "0"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for level, want := range map[int]string{1: "raid1", 4: "raid456", 5: "raid456", 6: "raid456", 10: "raid10", 0: "raid0"} {
		if m, err := Modules(level); err != nil || len(m) != 2 || m[0] != "md_mod" || m[1] != want {
			t.Errorf("level %d: %v, %v", level, m, err)
		}
	}
	if _, err := Modules(-4); err == nil {
		t.Error("multipath: no error")
	}
}

func sysfs(files map[string]string) fstest.MapFS {
	m := fstest.MapFS{}
	for k, v := range files {
		m[k] = &fstest.MapFile{Data: []byte(v)}
	}
	return m
}

func TestReadSysfs(t *testing.T) {
	sys := sysfs(map[string]string{
		"block/md0/size": "2093056\n", "block/md0/md/array_state": "active\n", "block/md0/md/level": "raid1\n",
		"block/md0/md/raid_disks": "2\n", "block/md0/md/degraded": "1\n", "block/md0/md/sync_action": "recover\n",
		"block/md0/md/sync_completed": "524288 / 2093056\n", "block/md0/md/sync_speed": "98304\n",
		"block/md0/md/metadata_version": "1.2\n", "block/md0/md/component_size": "1046528\n", "block/md0/md/resync_start": "none\n",
		"block/md0/md/uuid":           "00112233-4455-6677-8899-aabbccddeeff\n",
		"block/md0/md/dev-vdb2/state": "in_sync\n", "block/md0/md/dev-vdb2/slot": "0\n", "block/md0/md/dev-vdb2/size": "1046528\n",
		"block/md0/md/dev-vdb2/errors": "3\n", "block/md0/md/dev-vdb2/block/dev": "254:18\n",
		"block/md0/md/dev-vda2/state": "spare,write_mostly\n", "block/md0/md/dev-vda2/slot": "1\n",
		"block/md0/md/dev-cciss!c0d0/state": "faulty\n", "block/md0/md/dev-cciss!c0d0/slot": "none\n",
		"block/md127/md/array_state": "inactive\n", "block/md127/md/raid_disks": "0\n",
		"block/md126/size": "0\n", "block/vda/size": "5\n",
	})
	got, err := ReadSysfs(sys, "md0")
	if err != nil {
		t.Fatal(err)
	}
	want := Status{Name: "md0", State: "active", Level: "raid1", Version: "1.2", RaidDisks: 2, Degraded: 1, Size: 2093056 * 512,
		Component: 1046528 << 10, SyncAction: "recover", Clean: true, ResyncStart: MaxSector,
		Sync: Progress{Active: true, Done: 524288, Size: 2093056, Rate: 98304 << 10},
		Members: []MemberStatus{
			{Name: "vdb2", Dev: "254:18", Slot: 0, States: []string{"in_sync"}, Size: 1046528 << 10, Errors: 3},
			{Name: "vda2", Slot: 1, States: []string{"spare", "write_mostly"}},
			{Name: "cciss/c0d0", Slot: -1, States: []string{"faulty"}},
		}}
	want.UUID, _ = ParseUUID("00112233445566778899aabbccddeeff")
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if !got.Running() {
		t.Error("an active array does not run")
	}
	idle, err := ReadSysfs(sys, "md127")
	if err != nil || idle.Running() {
		t.Error(idle, err)
	}
	alone, err := ReadSysfs(sysfs(map[string]string{
		"block/md1/md/array_state": "clean\n", "block/md1/md/raid_disks": "2\n", "block/md1/md/degraded": "1\n",
		"block/md1/md/sync_action": "recover\n", "block/md1/md/sync_completed": "none\n",
		"block/md1/md/dev-vda2/state": "in_sync\n", "block/md1/md/dev-vda2/slot": "0\n",
		"block/md1/md/dev-vdb2/state": "faulty\n", "block/md1/md/dev-vdb2/slot": "none\n",
	}), "md1")
	if err != nil || alone.Sync != (Progress{}) || alone.SyncAction != "recover" {
		t.Errorf("recovery without a member to recover to: %+v, %v", alone, err)
	}
	for _, name := range []string{"md9", "../md0", "a/b", ""} {
		if _, err := ReadSysfs(sys, name); err == nil {
			t.Errorf("%q: no error", name)
		}
	}
}

func TestProgress(t *testing.T) {
	for _, c := range []struct {
		action, completed, speed string
		want                     Progress
	}{
		{"idle", "none", "none", Progress{}},
		{"frozen", "", "", Progress{}},
		{"resync", "delayed", "none", Progress{Active: true, Delayed: true}},
		{"resync", "none", "0", Progress{Active: true}},
		{"check", "10 / 40", "1", Progress{Active: true, Done: 10, Size: 40, Rate: 1024}},
		{"check", "10 of 40", "-1", Progress{Active: true}},
	} {
		if got := progress(c.action, c.completed, c.speed); got != c.want {
			t.Errorf("%+v: %+v", c, got)
		}
	}
}
