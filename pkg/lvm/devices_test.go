package lvm

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// The file of a machine with one PV on a partition and one on a disk, from an LVM that writes no hash.
const devicesFile = `# LVM uses devices listed in this file.
# Created by LVM command vgcreate pid 812 at Mon Nov 30 10:00:00 2026
VERSION=1.1.7
IDTYPE=sys_wwid IDNAME=naa.5000aaaa0000c3d4 DEVNAME=/dev/sda3 PVID=AbCdEf0123456789AbCdEf0123456789 PART=3
IDTYPE=sys_serial IDNAME=DATA7 DEVNAME=/dev/sdc PVID=Zz0123456789AbCdEf0123456789AbCd
IDTYPE=devname IDNAME=/dev/vdb DEVNAME=/dev/vdb PVID=.
`

func id(t *testing.T, s string) ID {
	t.Helper()
	id, err := ParseID(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestDevices(t *testing.T) {
	f := ParseDevices([]byte(devicesFile))
	want := []DeviceEntry{
		{"sys_wwid", "naa.5000aaaa0000c3d4", "/dev/sda3", "AbCdEf0123456789AbCdEf0123456789", 3},
		{"sys_serial", "DATA7", "/dev/sdc", "Zz0123456789AbCdEf0123456789AbCd", 0},
		{"devname", "/dev/vdb", "/dev/vdb", "", 0},
	}
	if d := cmp.Diff(want, f.Entries); d != "" || f.Hash != NoHash {
		t.Errorf("hash %d, %s", f.Hash, d)
	}
	for i, e := range want {
		line, err := e.Line()
		if err != nil || line != strings.SplitAfter(devicesFile, "\n")[3+i] {
			t.Errorf("%q, %v", line, err)
		}
	}
	// LVM finds keys anywhere in a line, and uses only lines that have the first two.
	for line, want := range map[string]DeviceEntry{
		"x IDNAME= b  IDTYPE=a":                {IDType: "a", IDName: "b"},
		"IDTYPE=. IDNAME=. PVID=.":             {},
		"IDTYPE=a IDNAME=bPART=7":              {IDType: "a", IDName: "bPART=7", Part: 7},
		"IDTYPE=a IDNAME=b PVID=" + pvID + "x": {IDType: "a", IDName: "b", PVID: pvID},
	} {
		if f := ParseDevices([]byte(line)); len(f.Entries) != 1 || f.Entries[0] != want {
			t.Errorf("%q: %+v", line, f.Entries)
		}
	}
	if f := ParseDevices([]byte("#" + strings.Repeat("x", 4094) + "IDTYPE=a IDNAME=b")); len(f.Entries) != 1 {
		t.Errorf("the rest of a line that is longer than LVM reads: %+v", f.Entries)
	}
	if f := ParseDevices(fmt.Appendf(nil, "# HASH=%d\nVERSION=1\x00 not read\n", checksum([]byte("VERSION=1")))); f.Hash != HashMatches {
		t.Errorf("a line with a NUL: %+v", f)
	}
	for _, line := range []string{"", "IDTYPE=a", "IDNAME=b", "# IDTYPE=a IDNAME=b", "VERSION IDTYPE=a IDNAME=b", "SYSTEMID=IDTYPE IDNAME"} {
		if f := ParseDevices([]byte(line)); len(f.Entries) > 0 {
			t.Errorf("%q: %+v", line, f.Entries)
		}
	}
}

// A PV that moves from a partition to an array has another line, and nothing else changes.
func TestSetDevice(t *testing.T) {
	old := id(t, "AbCdEf-0123-4567-89Ab-CdEf-0123-456789")
	e := DeviceEntry{IDType: "md_uuid", IDName: "3a2f5c11-8d4e-4b7a-9c1d-0e5f6a7b8c9d", DevName: "/dev/md127", PVID: pvID}
	line := "IDTYPE=md_uuid IDNAME=3a2f5c11-8d4e-4b7a-9c1d-0e5f6a7b8c9d DEVNAME=/dev/md127 PVID=" + pvID + "\n"
	lines := strings.SplitAfter(devicesFile, "\n")
	got, err := SetDevice([]byte(devicesFile), old, e)
	if want := strings.Replace(devicesFile, lines[3], line, 1); err != nil || string(got) != want {
		t.Errorf("%v\n%s", err, got)
	}
	// A file that ends without a newline still does so.
	got, err = SetDevice([]byte(strings.TrimSuffix(lines[3], "\n")), old, e)
	if err != nil || string(got) != strings.TrimSuffix(line, "\n") {
		t.Errorf("%v %q", err, got)
	}
	for want, c := range map[string]struct {
		file string
		e    DeviceEntry
	}{
		"no line for PV":                 {strings.Replace(devicesFile, "PVID=Ab", "PVID=xx", 1), e},
		"more than one line":             {devicesFile + lines[3], e},
		pvID + " already has a line":     {devicesFile + "IDTYPE=a IDNAME=b PVID=" + pvID + "\n", e},
		"sys_serial DATA7 already has a": {devicesFile, DeviceEntry{IDType: "sys_serial", IDName: "DATA7", PVID: pvID}},
		"would misread this":             {devicesFile, DeviceEntry{IDType: "sys_serial", IDName: "DATA 7", PVID: pvID}},
		"would misread":                  {devicesFile, DeviceEntry{IDType: "loop_file", IDName: "/PART=3/x", PVID: pvID}},
	} {
		if got, err := SetDevice([]byte(c.file), old, c.e); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q; %s", err, want, got)
		}
	}
}

// The hash of a file from LVM 2.03.40 is right, and is right after the edit. A wrong hash stays wrong, so that LVM
// still sees that someone edited the file.
func TestHash(t *testing.T) {
	file, err := os.ReadFile("testdata/system.devices")
	if err != nil {
		t.Fatal(err)
	}
	f := ParseDevices(file)
	if f.Hash != HashMatches || len(f.Entries) != 3 || f.Entries[1].IDType != "loop_file" {
		t.Fatalf("%+v", f)
	}
	old := id(t, f.Entries[1].PVID)
	e := DeviceEntry{IDType: "md_uuid", IDName: "x", DevName: "/dev/md0", PVID: old.Compact()}
	got, err := SetDevice(file, old, e)
	if err != nil || ParseDevices(got).Hash != HashMatches {
		t.Errorf("%v\n%s", err, got)
	}
	was, now := strings.Split(string(file), "\n"), strings.Split(string(got), "\n")
	for i := range was {
		if (was[i] == now[i]) == (strings.HasPrefix(was[i], "# HASH=") || strings.Contains(was[i], f.Entries[1].PVID)) {
			t.Errorf("line %d: %q, then %q", i+1, was[i], now[i])
		}
	}
	for from, to := range map[string]HashState{"# HASH=": HashDiffers, "# HASH=0": HashOff, "# HAS=": NoHash} {
		wrong := bytes.Replace(file, []byte("# HASH=3"), []byte(from+"4"), 1)
		got, err := SetDevice(wrong, old, e)
		if err != nil || ParseDevices(wrong).Hash != to || ParseDevices(got).Hash != to || bytes.Count(got, []byte(from+"4")) != 1 {
			t.Errorf("%s: %v, %d\n%s", from, err, ParseDevices(wrong).Hash, got)
		}
	}
}

// An entry that Line renders is read back unchanged.
func TestDeviceLine(t *testing.T) {
	word := rapid.StringMatching(`[!-~]{0,12}|(IDNAME|PVID|PART|DEVNAME)=?[a-z]?`)
	rendered := 0
	rapid.Check(t, func(t *rapid.T) {
		e := DeviceEntry{word.Draw(t, "type"), word.Draw(t, "name"), word.Draw(t, "dev"), word.Draw(t, "pvid"), rapid.IntRange(-1, 20).Draw(t, "part")}
		line, err := e.Line()
		if err != nil {
			return
		}
		rendered++
		if f := ParseDevices([]byte(line)); len(f.Entries) != 1 || f.Entries[0] != e {
			t.Fatalf("%q: %+v", line, f.Entries)
		}
	})
	if rendered == 0 {
		t.Error("nothing was rendered")
	}
}

// TestJudgeDevices: LVM reads an edited file as intended.
func TestJudgeDevices(t *testing.T) {
	l := newLab(t, 3, 64*mib)
	l.lvm("pvcreate", "@0", "@1", "@2")
	dir := filepath.Join(l.dir, "devices")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "system.devices")
	all := l.scan()
	on := []string{"--config", "devices { use_devicesfile=1 global_filter=[\"a|.*|\"] }"}
	l.lvm(append([]string{"lvmdevices", "--yes", "--adddev", "@0"}, on...)...)
	l.lvm(append([]string{"lvmdevices", "--adddev", "@1"}, on...)...)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	f := ParseDevices(b)
	if len(f.Entries) != 2 || f.Entries[0] != (DeviceEntry{"loop_file", l.files[0], l.loops[0], all[0].Label.PV.Compact(), 0}) {
		t.Fatalf("%+v\n%s", f.Entries, b)
	}
	b, err = SetDevice(b, all[0].Label.PV, DeviceEntry{"loop_file", l.files[2], l.loops[2], all[2].Label.PV.Compact(), 0})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	l.lvm(append([]string{"lvmdevices", "--check"}, on...)...)
	var got []string
	for _, r := range l.report(nil, "pvs", "pv_uuid", on...) {
		got = append(got, r["pv_uuid"])
	}
	want := []string{all[1].Label.PV.String(), all[2].Label.PV.String()}
	if fmt.Sprint(got) != fmt.Sprint(want) && fmt.Sprint(got) != fmt.Sprint([]string{want[1], want[0]}) {
		t.Errorf("LVM sees %v, want %v", got, want)
	}
}
