package survey_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/diff"
	"pgregory.net/rapid"

	"migrate-init/pkg/plan"
	"migrate-init/pkg/sim"
	"migrate-init/pkg/survey"
)

var update = flag.Bool("update", false, "write the golden files again")

// TestDebian: everything that is seen of one machine, in a file that a reviewer can read.
func TestDebian(t *testing.T) {
	got, err := json.MarshalIndent(debian(t).look(t, survey.Whole), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := os.WriteFile("testdata/debian.json", got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/debian.json")
	if err != nil {
		t.Fatal(err)
	}
	if d := diff.Diff("testdata/debian.json", want, "got", got); d != nil {
		t.Errorf("%s", d)
	}
}

// TestShallowOpensNothing: before the sources are locked no device may be opened.
func TestShallowOpensNothing(t *testing.T) {
	m := debian(t)
	f, err := survey.Look(context.Background(), survey.World{Root: m.root, Open: func(p string) (survey.Device, error) { t.Errorf("%s was opened", p); return nil, fs.ErrInvalid }}, survey.Shallow)
	if err != nil || f.Dev("vda2") == nil || f.Dev("vda").Serial == "" || f.DiskOf("vda2").Name != "vda" {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestEnds(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	stop()
	m := debian(t)
	if _, err := survey.Look(ctx, survey.World{Root: m.root, Open: func(string) (survey.Device, error) { return &sim.Device{}, nil }}, survey.Deep); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestProblems: what cannot be read is said, and the rest is still seen.
func TestProblems(t *testing.T) {
	for name, c := range map[string]struct {
		noun, err string
		change    func(machine)
	}{
		"no fstab":      {"/etc/fstab", "not exist", func(m machine) { delete(m.root, "etc/fstab") }},
		"no device":     {"/dev/vdb", "not exist", func(m machine) { delete(m.disks, "vdb") }},
		"short device":  {"/dev/vdb", "", func(m machine) { m.disks["vdb"].Size = 100 }},
		"damaged table": {"partition table of /dev/vda", "gpt", func(m machine) { clean(m.disks["vda"], 512, 92); clean(m.disks["vda"], gib-512, 92) }},
		"endless file":  {"/etc/fstab", "longer than", func(m machine) { m.root["etc/fstab"] = &fstest.MapFile{Data: make([]byte, 64<<20+1)} }},
		"not a kernel":  {"/boot/vmlinuz-old", "HdrS", func(m machine) { m.file("boot/vmlinuz-old", "x") }},
		"two filesystems": {"fstab line UUID=" + sim.OldRoot, "refusing to choose", func(m machine) {
			m.disks["vdb"].Write(sim.Ext4Super(sim.OldRoot, "", 800*mib, 1), 1024)
		}},
		"broken boot loader": {"/boot/bootx.conf", "broken", func(m machine) { m.file("boot/bootx.conf", "not ok") }},
		"short fstab line":   {"/etc/fstab line 2", "2 fields", func(m machine) { m.file("etc/fstab", "UUID=%s / ext4 defaults 0 1\n/dev/vdz /srv\n", sim.OldRoot) }},
		"fstab comment":      {"/etc/fstab line 1", "a number expected", func(m machine) { m.file("etc/fstab", "UUID=%s / ext4 defaults # root\n", sim.OldRoot) }},
		"broken mountinfo":   {"/proc/self/mountinfo", "", func(m machine) { m.file("proc/self/mountinfo", "nonsense\n") }},
	} {
		t.Run(name, func(t *testing.T) {
			m := debian(t)
			c.change(m)
			f := m.look(t, survey.Whole)
			if !slices.ContainsFunc(f.Problems, func(p plan.Problem) bool { return p.Subject == c.noun }) {
				t.Errorf("no problem of %s: %v", c.noun, f.Problems)
			}
			for _, p := range f.Problems {
				if p.Subject == c.noun && !strings.Contains(p.Err, c.err) {
					t.Errorf("%s: %q, want %q in it", p.Subject, p.Err, c.err)
				}
			}
			if f.Dev("vda2") == nil || f.Kernel.Release != sim.Release {
				t.Error("the rest was not seen")
			}
		})
	}
}

// clean puts zeros there.
func clean(d *sim.Device, at int64, n int) { d.Write(make([]byte, n), at) }

// TestLabels: a raid label makes a device no filesystem, whatever lies behind it.
func TestLabels(t *testing.T) {
	m := debian(t)
	m.disks["vdc"].Write(sim.Ext4Super(sim.OldRoot, "", 800*mib, 1), 1024)
	f := m.look(t, survey.Whole)
	if d, err := f.FS(sim.OldRoot); err != nil || d == nil || d.Name != "vda2" {
		t.Errorf("root filesystem: %v, %v", d, err)
	}
	if a := f.Array("deadbeef:00000000:00000000:00000001"); a == nil || a.Node != "md127" || a.Degraded != 1 || a.SyncDone != 512000 || a.SyncRate != 2<<20 {
		t.Errorf("array %+v", a)
	}
}

// TestBoot: the first row that knows its own says what boots the machine; without one only the kernels are known.
func TestBoot(t *testing.T) {
	m := debian(t)
	m.file("proc/self/mountinfo", "22 1 9:127 / / rw - ext4 /dev/md127 rw\n23 22 254:2 / /boot rw - ext4 /dev/vda2 rw\n")
	if b := m.look(t, survey.Whole).Boot; b.Loader != "bootx" || b.Device != "vda2" || b.Dir != "/boot" || len(b.Kernels) != 2 {
		t.Errorf("%+v", b)
	}
	delete(m.root, "boot/bootx.conf")
	if b := m.look(t, survey.Whole).Boot; b.Loader != "" || b.Device != "" || b.Config != "" || len(b.Kernels) != 2 {
		t.Errorf("no boot loader: %+v", b)
	}
}

// TestUnused: what a mounted filesystem uses is what the kernel says, not what the superblock said when it was mounted.
func TestUnused(t *testing.T) {
	used := func(unused func(string) int64, change func(machine)) int64 {
		m := debian(t)
		change(m)
		w := m.world()
		w.Unused = unused
		f, err := survey.Look(context.Background(), w, survey.Deep)
		if err != nil {
			t.Fatal(err)
		}
		return f.Dev("vda2").Filesystem().Used
	}
	nothing := func(machine) {}
	old := used(nil, nothing)
	for n, want := range map[int64]int64{100 * mib: 700 * mib, 0: 800 * mib, -1: old, 900 * mib: old} {
		if got := used(func(string) int64 { return n }, nothing); got != want {
			t.Errorf("%d unused: %d used, want %d", n, got, want)
		}
	}
	over := func(m machine) {
		m.file("proc/self/mountinfo", "22 1 254:2 / /x rw - ext4 /dev/vda2 rw\n23 22 9:127 / /x rw - ext4 /dev/md127 rw\n")
	}
	if got := used(func(string) int64 { return 0 }, over); got != old {
		t.Errorf("something else is mounted over it: %d used", got)
	}
}

// onDemand mounts /boot when a file below it is looked for.
type onDemand struct{ fstest.MapFS }

func (d onDemand) Open(name string) (fs.File, error) {
	if strings.HasPrefix(name, "boot/") {
		d.MapFS["proc/self/mountinfo"] = &fstest.MapFile{Data: []byte("22 1 9:127 / / rw - ext4 /dev/md127 rw\n23 22 0:55 / /boot rw - autofs systemd-1 rw\n24 23 254:2 / /boot rw - ext4 /dev/vda2 rw\n")}
	}
	return d.MapFS.Open(name)
}

func (d onDemand) Stat(name string) (fs.FileInfo, error) {
	f, err := d.Open(name)
	if err != nil {
		return nil, err
	}
	return f.Stat()
}

// TestAutomountedBoot: what is mounted on demand is seen at the first look.
func TestAutomountedBoot(t *testing.T) {
	m := debian(t)
	m.file("proc/self/mountinfo", "22 1 9:127 / / rw - ext4 /dev/md127 rw\n23 22 0:55 / /boot rw - autofs systemd-1 rw\n")
	w := m.world()
	w.Root = onDemand{m.root}
	f, err := survey.Look(context.Background(), w, survey.Whole)
	if err != nil {
		t.Fatal(err)
	}
	if f.Boot.Device != "vda2" {
		t.Errorf("/boot on %q", f.Boot.Device)
	}
}

// TestErrorsNoted: what the kernel found wrong in a filesystem counts while it is mounted, too.
func TestErrorsNoted(t *testing.T) {
	m := debian(t)
	if c := m.look(t, survey.Deep).Dev("vda2").Filesystem(); c.Damage != "" {
		t.Errorf("a whole one: %q", c.Damage)
	}
	m.disks["vda2"].Write([]byte{3}, 1024+404)
	if c := m.look(t, survey.Deep).Dev("vda2").Filesystem(); !strings.Contains(c.Damage, "(3)") {
		t.Errorf("three errors: %q", c.Damage)
	}
}

// TestJournalElsewhere: a journal that is on another device is named.
func TestJournalElsewhere(t *testing.T) {
	m := debian(t)
	look := func() string { return m.look(t, survey.Deep).Dev("vda2").Filesystem().Journal }
	if j := look(); j != "" {
		t.Errorf("a journal of its own: %q", j)
	}
	root := m.disks["vda2"]
	clean(root, 1024+224, 4)
	if j := look(); j != "without a UUID" {
		t.Errorf("a journal of which nothing is known: %q", j)
	}
	root.Write([]byte("journal-uuid-16b"), 1024+208)
	if j := look(); j != "6a6f7572-6e61-6c2d-7575-69642d313662" {
		t.Errorf("an external journal: %q", j)
	}
	root.Write([]byte{0x38}, 1024+92) // without has_journal
	if j := look(); j != "" {
		t.Errorf("no journal: %q", j)
	}
}

// TestFstabOfOtherDevices: a line for a device that is not surveyed is no line into nowhere.
func TestFstabOfOtherDevices(t *testing.T) {
	m := debian(t)
	m.virtual("zram0", "252:0", 4096)
	m.link("dev/cdrom", "sr0")
	m.file("etc/fstab", "/dev/zram0 none swap defaults 0 0\n/dev/cdrom /media udf noauto 0 0\n/dev/nothing /y ext4 defaults 0 0\ntmpfs /tmp tmpfs defaults 0 0\n")
	var got []string
	for _, e := range m.look(t, survey.Whole).Fstab {
		got = append(got, e.Device)
	}
	if !slices.Equal(got, []string{"zram0", "sr0", "", ""}) {
		t.Errorf("devices %q", got)
	}
}

// TestOddKernel: whatever attributes and texts say, looking neither panics nor loses the other devices.
func TestOddKernel(t *testing.T) {
	whole := debian(t)
	var names []string
	for n, f := range whole.root {
		if top, _, _ := strings.Cut(n, "/"); f.Mode.IsRegular() && slices.Contains([]string{"proc", "sys", "etc", "boot"}, top) {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	rapid.Check(t, func(rt *rapid.T) {
		m := machine{root: maps.Clone(whole.root), disks: map[string]*sim.Device{}}
		for n, d := range whole.disks {
			short := *d
			short.Size = min(d.Size, 4*mib)
			m.disks[n] = &short
		}
		for range rapid.IntRange(1, 5).Draw(rt, "n") {
			n := rapid.SampledFrom(names).Draw(rt, "file")
			switch rapid.IntRange(0, 3).Draw(rt, "how") {
			case 0:
				delete(m.root, n)
			case 1:
				m.root[n] = &fstest.MapFile{Data: rapid.SliceOfN(rapid.Byte(), 0, 64).Draw(rt, "bytes")}
			case 2:
				m.root[n] = &fstest.MapFile{Data: []byte(rapid.SampledFrom([]string{"", "-1", "9223372036854775807", "18446744073709551615", "4294967296:99", "none", "x / y"}).Draw(rt, "text"))}
			case 3:
				m.root[n] = &fstest.MapFile{Data: []byte(n), Mode: fs.ModeSymlink}
			}
		}
		f := m.look(t, survey.Whole)
		if _, err := json.Marshal(f); err != nil {
			rt.Fatal(err)
		}
		for _, d := range f.Devices {
			_ = f.DiskOf(d.Name)
		}
	})
}

// TestKernelParams: what is quoted is one word, and what follows "--" is for init.
func TestKernelParams(t *testing.T) {
	m := debian(t)
	m.file("proc/cmdline", "root=/dev/vda2 dyndbg=\"file a.c nousb +p\" \"root=LABEL=the root\" -- nomodeset\n")
	want := []plan.Param{{Key: "root", Value: "/dev/vda2", Raw: "root=/dev/vda2"}, {Key: "dyndbg", Value: "file a.c nousb +p", Raw: `dyndbg="file a.c nousb +p"`},
		{Key: "root", Value: "LABEL=the root", Raw: `"root=LABEL=the root"`}}
	if got := m.look(t, survey.Whole).Kernel.Params; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
