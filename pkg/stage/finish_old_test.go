package stage

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"migrate-init/boot"
	"migrate-init/pkg/gpt"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/sim"
)

// reuse makes another filesystem in the place of what the old disk had at an offset, as an administrator might who takes the
// disk for free.
func (w *world) reuse(at, size int64) {
	w.Disks[0].Write(make([]byte, 8192), at)
	w.Disks[0].Write(sim.Ext4Super("99999999-9999-4999-8999-999999999999", "", size, 1), at+1024)
}

// noter is a machine that only notes what it is asked for.
type noter struct{ lines *[]string }

func (n noter) Do(_ context.Context, e machine.Effect) (machine.Output, error) {
	*n.lines = append(*n.lines, e.String())
	return machine.Output{}, nil
}

// previewed boots the new system and gives the effects that a dry run of finish shows.
func previewed(w *world, p *plan.Plan, text []byte) ([]string, error) {
	if err := w.bootNew(p); err != nil {
		return nil, err
	}
	var lines []string
	e := w.env(p, text)
	e.Machine = noter{&lines}
	e.DryRun = true
	return lines, Finish(context.Background(), e)
}

// TestFinishPreview: what a dry run shows is what is done, but for what only the steps before can tell.
func TestFinishPreview(t *testing.T) {
	w, p, text := migrated(t)
	start := w.clone(t)
	var got []string
	if err := start.bootNew(p); err != nil {
		t.Fatal(err)
	}
	e := start.env(p, text)
	e.Machine = noter{&got}
	e.DryRun = true
	if err := Finish(context.Background(), e); err != nil {
		t.Fatal(err)
	}
	if err := w.finishRun(p, text, sim.Fault{}, false); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, line := range w.Log {
		line, _, _ = strings.Cut(line, "  => ")
		if !strings.HasPrefix(line, "write md superblock") && !strings.HasPrefix(line, "ioctl ADD_NEW_DISK") {
			want = append(want, line)
		}
	}
	// The writes of a member depend on the array's state at that moment: a line in words stands for them.
	joins := 0
	got = slices.DeleteFunc(got, func(line string) bool {
		join := strings.HasPrefix(line, "add the new member part:")
		if join {
			joins++
		}
		return join
	})
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("shown:\n%s\n\ndone:\n%s", g, w)
	}
	if len(start.Log) > 0 {
		t.Errorf("a dry run did %v", start.Log)
	}
	if joins != len(p.Target.Arrays()) {
		t.Errorf("%d new members are shown, want %d", joins, len(p.Target.Arrays()))
	}
}

// TestFinishOtherTable: finish had begun, and then another disk of the same address and size stands in the old one's place,
// or someone repartitioned that.
func TestFinishOtherTable(t *testing.T) {
	w, p, text := migrated(t)
	probe := w.clone(t)
	if err := probe.finishRun(p, text, sim.Fault{}, false); err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(probe.Log, func(s string) bool { return strings.HasPrefix(s, "write partition table") }) + 1
	if err := w.finishRun(p, text, sim.Fault{At: at, How: "before"}, false); err == nil {
		t.Fatal("not cut")
	}
	typ, err := gpt.TypeOf(gpt.SchemeGPT, "linux")
	if err != nil {
		t.Fatal(err)
	}
	d := w.Disks[0]
	writes, err := gpt.Encode(gpt.Table{Scheme: gpt.SchemeGPT, ID: "99999999-0000-4000-8000-000000000000", SectorSize: 512, Partitions: []gpt.Partition{
		{Number: 1, Type: typ, ID: "99999999-0000-4000-8000-000000000001", Name: "other", Start: sim.MiB, Size: 900 * sim.MiB}}}, d.Size, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range writes {
		d.Write(x.Data, x.Offset)
	}
	if err := w.finishRun(p, text, sim.Fault{}, false); err == nil || !strings.Contains(err.Error(), "its partition table is no longer "+sim.OldTable) {
		t.Errorf("%v", err)
	}
	if len(w.Log) > 0 {
		t.Errorf("refused, and yet: %v", w.Log)
	}
}

// TestFinishRefusedIsNoPointOfNoReturn: a finish that ended before its first write to the old disk leaves the way back.
func TestFinishRefusedIsNoPointOfNoReturn(t *testing.T) {
	w, p, text := migrated(t)
	done := w.clone(t)
	const own = 2046 // where the copied core image would have to go
	w.Disks[0].Write(sim.GRUBCore(own, "(,gpt2)/boot/grub", "part_gpt", "ext2"), own*512)
	w.Disks[0].Write(sim.GRUBBootSector(own)[:440], 0)
	if err := w.bootNew(p); err != nil {
		t.Fatal(err)
	}
	old := w.Disks[0].Whole
	e := w.env(p, text)
	if err := Finish(context.Background(), e); err == nil || !strings.Contains(err.Error(), "its own core image") {
		t.Fatalf("%v", err)
	}
	if w.Disks[0].Whole != old {
		t.Error("the old disk changed")
	}
	if err := Rollbackable(p, e.Records()); err != nil || !Finishing(p, e.Records()) {
		t.Errorf("after a refusal: %v", err)
	}
	if err := done.bootNew(p); err != nil {
		t.Fatal(err)
	}
	e = done.env(p, text)
	changed := 0
	done.Watch = func(int) {
		if done.Disks[0].Whole != old && Rollbackable(p, e.Records()) == nil && changed == 0 {
			changed = done.Verbs
		}
	}
	old = done.Disks[0].Whole
	if err := Finish(context.Background(), e); err != nil {
		t.Fatal(err)
	}
	if changed > 0 {
		t.Errorf("rollback was allowed after verb %d, when the old disk had changed", changed)
	}
	if Rollbackable(p, e.Records()) == nil {
		t.Error("rollback is allowed after finish")
	}
}

// TestFinishForgets: lines of fstab and crypttab that mean what finish destroys become comments, and no others.
func TestFinishForgets(t *testing.T) {
	w, p, text := migrated(t)
	tree := w.Trees[p.Boot.Root]
	before := string(tree["etc/fstab"].Data)
	added := []struct {
		line string
		goes bool
	}{
		{"UUID=" + strings.ToUpper(sim.OldRoot) + " /old ext4 ro,noauto 0 0", true},
		{"/dev/vda3 /old/srv ext4 nofail 0 0", true},
		{"PARTUUID=aaaaaaaa-0000-4000-8000-000000000003 /x ext4 noauto 0 0", true},
		{"/dev/disk/by-uuid/" + sim.OldSrv + " /y ext4 nofail 0 0", true},
		{"/dev/disk/by-id/old-part3 /z ext4 nofail 0 0", true},
		{"/dev/mapper/c1 none swap sw 0 0", true},
		{"LABEL=rootfs /both ext4 nofail 0 0", false}, // the new root has it too
		{"PARTLABEL=p /many ext4 nofail 0 0", true},   // several, all of them there
		{"UUID=99999999-9999-4999-8999-999999999999 /backup ext4 nofail 0 2", false},
		{"/dev/vda33 /w ext4 nofail 0 0", false},
		{"/dev/mapper/other /v ext4 nofail 0 0", false},
		{"tmpfs /tmp tmpfs nosuid 0 0", false},
	}
	const why = "# migrate-init finish: its partition was on the old disk, which is in the new arrays now\n"
	fstab, want := before, before
	for _, a := range added {
		fstab += a.line + "\n"
		if a.goes {
			want += why + "#"
		}
		want += a.line + "\n"
	}
	tree["etc/fstab"] = &fstest.MapFile{Data: []byte(fstab), Mode: 0o644}
	tree["etc/crypttab"] = &fstest.MapFile{Data: []byte("c1 /dev/vda4 /dev/urandom swap\nc2 /dev/vdz1 none luks\n"), Mode: 0o644}
	tree["dev/disk/by-id/old-part3"] = &fstest.MapFile{Data: []byte("../../vda3"), Mode: fs.ModeSymlink | 0o777}
	if err := w.finishRun(p, text, sim.Fault{}, false); err != nil {
		t.Fatal(err)
	}
	if got := string(tree["etc/fstab"].Data); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := string(tree["etc/crypttab"].Data); got != why+"#c1 /dev/vda4 /dev/urandom swap\nc2 /dev/vdz1 none luks\n" {
		t.Errorf("crypttab: %s", got)
	}
	commented := slices.IndexFunc(w.Log, func(s string) bool { return strings.HasPrefix(s, "rewrite file /etc/fstab") })
	wiped := slices.IndexFunc(w.Log, func(s string) bool { return strings.HasPrefix(s, "write wipe old signatures") })
	if commented < 0 || wiped < commented {
		t.Errorf("fstab at %d, the first wipe at %d", commented, wiped)
	}
}

// TestFinishKeepsOthersMarks: another migration's file beside ours is no reason to fail, and stays.
func TestFinishKeepsOthersMarks(t *testing.T) {
	w, p, text := migrated(t)
	other := strings.TrimPrefix(boot.CommittedFile("ffffffff-0000-4000-8000-000000000000"), "/")
	w.Trees[p.Boot.Root][other] = &fstest.MapFile{Data: []byte("x")}
	if err := w.finishRun(p, text, sim.Fault{}, false); err != nil {
		t.Fatal(err)
	}
	if w.Trees[p.Boot.Root][other] == nil || w.committedFile(p) {
		t.Errorf("the other's is there: %v, ours: %v", w.Trees[p.Boot.Root][other] != nil, w.committedFile(p))
	}
}

// TestFinishHoldsTheOldDisk: from the first write to the old disk to the last, udev keeps off it; while the arrays are
// resynced, and when finish ends, it may look.
func TestFinishHoldsTheOldDisk(t *testing.T) {
	w, p, text := migrated(t)
	if err := w.finishRun(p, text, sim.Fault{}, false); err != nil {
		t.Fatal(err)
	}
	on, took, writes := false, 0, 0
	for _, line := range w.Log {
		line, altered, _ := strings.Cut(line, "  => ")
		switch {
		case line == "lock disk /dev/vda against udev":
			if on {
				t.Error("locked twice")
			}
			on, took = true, took+1
		case line == "unlock disk /dev/vda for udev":
			on = false
		case strings.Contains(altered, "/dev/vda") || strings.HasPrefix(line, "tell the kernel the partitions of /dev/vda"):
			writes++
			if !on {
				t.Errorf("not locked: %s", line)
			}
		case strings.Contains(line, ": resync begin") && on:
			// The record of a stage comes after its locks are as they should be.
			t.Error("locked while the arrays are resynced")
		}
	}
	if on || took != 3 || writes < 5 {
		t.Errorf("at the end locked %v; locked %d times, %d writes", on, took, writes)
	}
	// A failure lets go too.
	w, p, text = migrated(t)
	if err := w.bootNew(p); err != nil {
		t.Fatal(err)
	}
	var lines []string
	e := w.env(p, text)
	e.Machine = failingAt{w, &lines, "write partition table"}
	if err := Finish(t.Context(), e); err == nil || lines[len(lines)-1] != "unlock disk /dev/vda for udev" {
		t.Errorf("%v, and the last effect is %q", err, lines[len(lines)-1])
	}
}

// TestFinishLetsUdevSettle: the events of partitions that are gone wait for the lock. They are handled before a member joins, or
// none joins: udev's rules would fail the new member, which has the old partition's name.
func TestFinishLetsUdevSettle(t *testing.T) {
	w, p, text := migrated(t)
	if err := w.bootNew(p); err != nil {
		t.Fatal(err)
	}
	pauses := 0
	e := w.env(p, text)
	e.Pause = func(ctx context.Context) error { pauses++; return w.Pause(ctx) }
	w.Trees[p.Boot.Root][udevQueue] = &fstest.MapFile{}
	if err := Finish(t.Context(), e); err == nil || !strings.Contains(err.Error(), "udev: it is still handling events") || pauses != udevPatience {
		t.Errorf("%v, after %d looks", err, pauses)
	}
	log := strings.Join(w.Log, "\n")
	if !strings.Contains(log, "write partition table") || strings.Contains(log, ": join done") || strings.Contains(log, "add member") {
		t.Errorf("the member joined, or there was nothing to join:\n%s", log)
	}
	delete(w.Trees[p.Boot.Root], udevQueue)
	if err := w.finishRun(p, text, sim.Fault{}, false); err != nil {
		t.Fatal(err)
	}
	if log = strings.Join(w.Log, "\n"); !strings.Contains(log, ": join done") {
		t.Errorf("finish did not go on:\n%s", log)
	}
}

// failingAt is a machine on which one effect fails.
type failingAt struct {
	*world
	lines *[]string
	at    string
}

func (f failingAt) Do(ctx context.Context, e machine.Effect) (machine.Output, error) {
	*f.lines = append(*f.lines, e.String())
	if strings.HasPrefix(e.String(), f.at) {
		return machine.Output{}, errors.New("broken")
	}
	return f.world.Do(ctx, e)
}
