package survey_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"migrate-init/pkg/plan"
	"migrate-init/pkg/survey"
)

// A disk with nothing known on it is not empty for that; a blank one is, and a partition's boot code is left alone.
func TestUnknownDataIsSeen(t *testing.T) {
	data := make([]byte, 4<<20)
	data[70000] = 0xa5
	m := &box{disks: map[string]io.ReaderAt{"/dev/sda": bytes.NewReader(data), "/dev/sdb": bytes.NewReader(make([]byte, 4<<20))}}
	m.block("sda", "8192")
	m.block("sdb", "8192")
	f := m.look(t, survey.Deep)
	a, b := f.Dev("sda"), f.Dev("sdb")
	if a.Empty() || len(a.Contents) != 1 || a.Contents[0].Type != "unknown data" || !a.Contents[0].Ghost || len(a.Contents[0].Wipe) > 0 {
		t.Errorf("%+v", a.Contents)
	}
	if !b.Empty() {
		t.Errorf("blank disk: %+v", b.Contents)
	}
	d := debian(t)
	if got := d.look(t, survey.Deep).Dev("vda1"); got == nil || got.Kind != plan.KindPart || len(got.Contents) > 0 {
		t.Errorf("bios_grub with a core image: %+v", got)
	}
}

// A firmware RAID's mark at the end of a disk claims the disk; at the end of a partition it is data.
func TestFirmwareRAIDInAPartition(t *testing.T) {
	m := debian(t)
	m.disks["vda2"].Write([]byte("$XIDE$"), 800*mib-512)
	m.disks["vdb"].Write([]byte("$XIDE$"), gib-512)
	f := m.look(t, survey.Deep)
	if c := f.Dev("vda2").Contents; len(c) != 1 || c[0].Type != "ext4" {
		t.Errorf("partition: %+v", c)
	}
	if c := f.Dev("vdb").Contents; len(c) != 1 || c[0].Type != "lsi_mega_raid_member" {
		t.Errorf("disk: %+v", c)
	}
}

// A GPT whose backup is missing or elsewhere is read, and what is wrong with it goes on into the facts.
func TestDamageOfATableIsSeen(t *testing.T) {
	m := debian(t)
	if d := m.look(t, survey.Deep).Dev("vda"); len(d.Table.Damage) > 0 {
		t.Fatalf("whole table: %q", d.Table.Damage)
	}
	m.disks["vda"].Write(make([]byte, 512), gib-512)
	f := m.look(t, survey.Deep)
	d := f.Dev("vda")
	if len(d.Table.Damage) != 1 || !strings.Contains(d.Table.Damage[0], "backup: header at byte 1073741312") || d.Table.Backup || len(d.Table.Partitions) != 3 {
		t.Errorf("%+v", d.Table)
	}
	if text := strings.Join(strings.Fields(f.Describe()), " "); !strings.Contains(text, "DAMAGED TABLE: backup: header at byte 1073741312") {
		t.Errorf("inspect: %s", text)
	}
}

// A partition that kpartx maps is a partition; another mapping may be a whole disk.
func TestFirmwareRAIDInAMapping(t *testing.T) {
	data := make([]byte, 4<<20)
	copy(data[len(data)-512:], "$XIDE$")
	m := &box{disks: map[string]io.ReaderAt{"/dev/dm-0": bytes.NewReader(data), "/dev/dm-1": bytes.NewReader(data)}}
	m.block("dm-0", "8192", "dm/uuid", "part1-mpath-3600a0b8\n")
	m.block("dm-1", "8192", "dm/uuid", "mpath-3600a0b8\n")
	f := m.look(t, survey.Deep)
	if c := f.Dev("dm-0").Contents; len(c) != 0 {
		t.Errorf("partition: %+v", c)
	}
	if c := f.Dev("dm-1").Contents; len(c) != 1 || c[0].Type != "lsi_mega_raid_member" {
		t.Errorf("disk: %+v", c)
	}
}
