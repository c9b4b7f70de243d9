package plan

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files again") //nolint:gochecknoglobals // a test's flag

func golden(t *testing.T, name, got string) {
	t.Helper()
	for i, line := range strings.Split(got, "\n") {
		if strings.TrimRight(line, " ") != line {
			t.Errorf("line %d ends in spaces: %q", i+1, line)
		}
		// Two words longer than a line stay whole: kernel names and bus addresses.
		if len(line) > 100 {
			t.Errorf("line %d has %d columns: %s", i+1, len(line), line)
		}
		for _, r := range line {
			if r < ' ' || r > '~' {
				t.Errorf("line %d has %q: not for a serial console", i+1, r)
			}
		}
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; go test -update writes it", err)
	}
	if d := cmp.Diff(string(have), got); d != "" {
		t.Errorf("%s (go test -update writes it again):\n%s", path, d)
	}
}

// busy is a machine with something of everything, and names that a terminal would obey.
func busy() *Facts {
	f := good()
	withMount(f, 1, "11111111-0000-0000-0000-000000000004", "/boot", gib/4).Contents[0].Label = "boot\x1b[2J\xff"
	withMount(f, 30, "11111111-0000-0000-0000-000000000005", "/var", 9*gib)
	f.Boot.Device, f.Boot.NextEntry, f.Boot.Own = "vda4", "memtest", bootxFacts{Locked: true}.own()
	withPart(f, 1, RoleESP, fsOf("vfat", "44-44", 3*mib))
	f.Machine.UID = 1000
	f.Devices = append(f.Devices,
		Device{Name: "vdc", Path: "/dev/vdc", Kind: KindDisk, Size: 4 * gib, Sector: 4096, Bus: "pci0000:00/0000:00:05.0/virtio3", ReadOnly: true, Removable: true, Table: &Table{Scheme: "dos", ID: "1234abcd"}, BootSector: "unknown"},
		Device{Name: "vdc1", Path: "/dev/vdc1", Kind: KindPart, Parent: "vdc", Number: 1, Size: 3 * gib, Holders: []string{"md127"}, Contents: []Content{{Kind: ContentRaid, Type: "linux_raid_member", UUID: "u"}}},
		Device{Name: "vdc2", Path: "/dev/vdc2", Kind: KindPart, Parent: "vdc", Number: 2, Size: gib, Contents: []Content{{Kind: ContentFS, Type: "ext4", UUID: "u2", Dirty: "it was not unmounted cleanly"}, {Kind: ContentZFS, Type: "zfs_member", Ghost: true}}},
		Device{Name: "dm-0", Path: "/dev/dm-0", Kind: KindDM, Size: gib},
		Device{Name: "md127", Path: "/dev/md127", Kind: KindArray, Size: 3 * gib, MountedAt: []string{"/data"}, Contents: []Content{fsOf("xfs", "u3", gib)}})
	f.Arrays = []Array{
		{UUID: "aaaaaaaa:aaaaaaaa:aaaaaaaa:aaaaaaaa", Name: "host1:data", Level: "1", Metadata: "1.2", Devices: 2, Degraded: 1, Node: "md127", Members: []Member{{Device: "vdc1"}}, Sync: "recover", SyncDone: gib, SyncAll: 3 * gib},
		{UUID: "bbbbbbbb:bbbbbbbb:bbbbbbbb:bbbbbbbb", Level: "5", Metadata: "0.90", Devices: 3, Members: []Member{{Device: "vdd", Stale: "events 7, others 9"}}},
	}
	f.Boot.Kernels = append(f.Boot.Kernels, Image{Release: "5.10.0-9-amd64", Path: "/boot/vmlinuz-5.10.0-9-amd64"})
	f.Distro.Packages[0].Installed = false
	f.Problems = []Problem{{Subject: "/dev/sr0", Err: "no medium found"}}
	return f
}

func TestDescribe(t *testing.T) {
	golden(t, "describe-good.txt", good().Describe())
	golden(t, "describe-busy.txt", busy().Describe())
	f := good()
	f.Boot.Own = bootxFacts{NoOneShot: "/boot/bootx lies on /dev/md0 (md): bootx cannot write there, so the entry would be permanent"}.own()
	f.Firmware = "efi"
	golden(t, "describe-refused.txt", f.Describe())
	if s := (&Facts{}).Describe(); !strings.Contains(s, "none") {
		t.Errorf("a machine of nothing:\n%s", s)
	}
}

func TestExplain(t *testing.T) {
	f := good()
	golden(t, "explain-good.txt", planned(t, f, wish()).Explain(f, stageText))

	f, in := everything()
	golden(t, "explain-busy.txt", planned(t, f, in).Explain(f, stageText))
}

// TestExplainSources: arrays below the system, and a directory of it on another disk.
func TestExplainSources(t *testing.T) {
	f, in := onMD()
	addDisk(f, "vdd", fsOf("ext4", "77", 0))
	mount(f, "vdd", "/var")
	golden(t, "explain-md.txt", planned(t, f, in).Explain(f, stageText))
}

// everything is the busy machine with something that each part of a plan's description tells of.
func everything() (*Facts, Intent) {
	f, in := busy(), wish()
	f.Dev("vda4").Contents[0].Label = "boot"
	f.Fstab[2].Spec, f.Fstab[2].Name = "LABEL=boot", Name{TagLabel, "boot"}
	f.Fstab = append(f.Fstab, Fstab{Spec: "/swapfile", Target: "none", Type: "swap", Options: "sw"})
	f.Distro.Packages[0].Installed = true
	f.Dev("vda").Rotational = true
	withPart(f, 1, RoleLinux, fsOf("f2fs", "left", 0))
	in.Leave, in.Wipe = []string{"/dev/vda7"}, []string{"/dev/vdb"}
	f.Dev("vdb").Contents = []Content{fsOf("ext4", "old", 0)}
	return f, in
}

// One screen holds a plan in the common case, whose stages have one line each.
func TestScreen(t *testing.T) {
	f := good()
	got := planned(t, f, wish()).Screen(f, brief)
	golden(t, "screen-good.txt", got)
	if n := strings.Count(got, "\n"); n > 31 {
		t.Errorf("%d lines on one screen", n)
	}
	f, in := everything()
	golden(t, "screen-busy.txt", planned(t, f, in).Screen(f, brief))
}

// Layouts of several disks: one that is degraded until finish, and one that leaves the old disk alone.
func TestScreenOfLayouts(t *testing.T) {
	f, in := withDisks("raid6", 3)
	p := planned(t, f, in)
	golden(t, "screen-raid6.txt", p.Screen(f, brief)+"\n"+p.Explain(f, stageText))
	f, in = withDisks("raid1", 2)
	p = planned(t, f, in)
	golden(t, "screen-allnew.txt", p.Screen(f, brief)+"\n"+p.Explain(f, stageText))
}

// brief stands in for the short texts of the stages.
func brief(stage string, p *Plan, f *Facts) string {
	if stage == "copy" {
		return p.CopyBrief(f)
	}
	return stageText(stage, p, f)
}

// A plan can be explained where its disks are not: in the init's report, or elsewhere.
func TestExplainElsewhere(t *testing.T) {
	p := planned(t, good(), wish())
	if s := p.Explain(&Facts{}, stageText); !strings.Contains(s, "/dev/vdb") || !strings.Contains(s, "[U_]") {
		t.Errorf("explained without a machine:\n%s", s)
	}
}
