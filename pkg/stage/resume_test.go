package stage

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"migrate-init/pkg/gpt"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/sim"
	"migrate-init/pkg/survey"
)

// after gives the state after the first verb whose line has the words.
func (ss states) after(t *testing.T, words string) *world {
	t.Helper()
	for _, s := range ss {
		if strings.Contains(s.what, words) && !strings.HasSuffix(s.what, sim.CacheLost) {
			return s.world.clone(t)
		}
	}
	t.Fatalf("no state after %q", words)
	return nil
}

type states []state

// course is an undisturbed migration: its start, its states, and what it ends in.
func course(t *testing.T, change func(*plan.Intent), before func(*world)) (p *plan.Plan, text []byte, start *world, ss states, want fstest.MapFS) {
	t.Helper()
	w := newWorld(t)
	if before != nil {
		before(w)
		w.BootOld()
	}
	p, text = planned(t, w, change)
	start = w.clone(t)
	w.Boot()
	var err error
	ss = record(w, func() { err = Run(context.Background(), w.env(p, text)) })
	if err != nil {
		t.Fatal(err)
	}
	return p, text, start, ss, end(w, p)
}

// TestPowerCutTwice: the second try is cut as well, with and without a run of the old system between. What the first left
// behind in the journal must not mislead the third.
func TestPowerCutTwice(t *testing.T) {
	for name, change := range engines() {
		t.Run(name, func(t *testing.T) {
			p, text, start, ss, _ := course(t, change, nil)
			rnd := rand.New(rand.NewPCG(1, 2))
			wants := map[bool]fstest.MapFS{} // what an undisturbed migration makes of the same old system
			uncommitted := slices.DeleteFunc(slices.Clone(ss), func(s state) bool { return s.world.committedFile(p) })
			for range 80 {
				first := uncommitted[rnd.IntN(len(uncommitted))]
				w, between := first.world.clone(t), rnd.IntN(2) == 0
				if between {
					w.BootOld()
					w.Trees[sim.OldRoot]["home/u/mail"] = &fstest.MapFile{Data: []byte("came in meanwhile"), Mode: 0o600}
				}
				source := w.Disks[0].Whole
				cut := sim.Fault{At: 1 + rnd.IntN(150), How: []string{"before", "torn", "after"}[rnd.IntN(3)]}
				err := w.migrate(p, text, cut)
				where := "the end"
				if err != nil {
					where = w.Log[len(w.Log)-1]
				} else if w.Entered == "" {
					t.Fatalf("cut after %q and at %v: neither failed nor entered", first.what, cut)
				}
				w.apart(t, p)
				if err := w.migrate(p, text, sim.Fault{}); err != nil {
					t.Fatalf("cut after %q, old system between %v, %s %q: %v\n%s", first.what, between, cut.How, where, err, strings.Join(w.Told, "\n"))
				}
				if w.Entered != TargetDir || !w.committedFile(p) || w.Disks[0].Whole != source {
					t.Errorf("cut after %q, %s %q: entered %q, committed %v", first.what, cut.How, where, w.Entered, w.committedFile(p))
				}
				if wants[between] == nil {
					fresh := start.clone(t)
					fresh.Trees[sim.OldRoot] = w.Trees[sim.OldRoot]
					if err := fresh.migrate(p, text, sim.Fault{}); err != nil {
						t.Fatal(err)
					}
					wants[between] = end(fresh, p)
				}
				if d := sim.Diff(wants[between], end(w, p)); d != "" {
					t.Errorf("cut after %q, old system between %v, %s %q: %s", first.what, between, cut.How, where, d)
				}
			}
		})
	}
}

// TestCutAgainWhereItHurts: a first cut in the commit, or while a copy by blocks got its identity, and a second one anywhere
// before the next copy. Both must be remembered, and neither forever.
func TestCutAgainWhereItHurts(t *testing.T) {
	for name, change := range engines() {
		t.Run(name, func(t *testing.T) {
			p, text, start, ss, _ := course(t, change, nil)
			firsts := map[string]*world{"commit": ss.after(t, "commit begin to")}
			firsts["commit"].BootOld()
			for _, s := range ss {
				if !strings.HasPrefix(s.what, "write superblock") {
					continue
				}
				half := start.clone(t) // e2fsck follows, and then tune2fs
				if err := half.migrate(p, text, sim.Fault{At: s.at + 2, How: "torn"}); err == nil || !strings.HasPrefix(half.Log[len(half.Log)-1], "run tune2fs -O") {
					t.Fatalf("%s is torn, %v", half.Log[len(half.Log)-1], err)
				}
				firsts["identity"] = half
				break
			}
			if len(firsts) != 1 && change == nil || len(firsts) != 2 && change != nil {
				t.Fatalf("%d first cuts", len(firsts))
			}
			for what, first := range firsts {
				for at := 6; at < 45; at++ {
					w := first.clone(t)
					if err := w.migrate(p, text, sim.Fault{At: at, How: "torn"}); err == nil {
						t.Fatalf("verb %d was not cut", at)
					}
					line := w.Log[len(w.Log)-1]
					if err := w.migrate(p, text, sim.Fault{}); err != nil || w.Entered != TargetDir {
						t.Fatalf("cut in the %s, then at %q: entered %q, %v", what, line, w.Entered, err)
					}
				}
			}
		})
	}
}

// scratch is the filesystem of a used target disk: until the disk is wiped, it is seen.
const scratch = "bbbbbbbb-0000-4000-8000-000000000002"

// used is a target disk with a table and a filesystem of its own, released by --wipe.
func used(t *testing.T) func(*world) {
	return func(w *world) {
		d := w.Disks[1]
		tab := gpt.Table{Scheme: gpt.SchemeGPT, ID: "bbbbbbbb-0000-4000-8000-000000000000", SectorSize: 512}
		typ, err := gpt.TypeOf(gpt.SchemeGPT, "linux")
		if err != nil {
			t.Fatal(err)
		}
		tab.Partitions = []gpt.Partition{{Number: 1, Type: typ, ID: "bbbbbbbb-0000-4000-8000-000000000001", Start: sim.MiB, Size: 900 * sim.MiB}}
		writes, err := gpt.Encode(tab, d.Size, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range writes {
			d.Write(x.Data, x.Offset)
		}
		d.Write(sim.Ext4Super(scratch, "scratch", 900*sim.MiB, 1), sim.MiB+1024)
		remnants(d, sim.MiB, 900*sim.MiB)
	}
}

// remnants writes at a place what an ISO image, a btrfs and a pool leave there.
func remnants(d *sim.Disk, at, size int64) {
	le := binary.LittleEndian
	btrfs := make([]byte, 4096)
	copy(btrfs[32:], "a btrfs's uuid 1")
	copy(btrfs[64:], "_BHRfS_M")
	le.PutUint64(btrfs[48:], 64<<10)
	d.Write(btrfs, at+64<<10)
	d.Write([]byte("CD001"), at+32769)
	for _, label := range []int64{0, size&^(256<<10-1) - 512<<10} {
		d.Write(le.AppendUint64(nil, 0x00bab10c), at+label+128<<10)
	}
}

// TestNothingReappears: what lay in an old partition, or unseen where a new one comes, is seen nowhere on the new disk. The
// boot loader's partition is the one in which nothing is ever made.
func TestNothingReappears(t *testing.T) {
	_, _, _, _, clean := course(t, nil, nil)
	for name, c := range map[string]struct {
		change func(*plan.Intent)
		before func(*world)
	}{
		"in an old partition": {wiping, used(t)},
		"behind no table":     {nil, func(w *world) { remnants(w.Disks[1], sim.MiB, sim.MiB) }},
		"in a partition that the kernel does not show": {wiping, func(w *world) {
			used(t)(w)
			w.Disks[1].Write(make([]byte, 512), 512)
		}},
	} {
		_, _, _, ss, got := course(t, c.change, c.before)
		for file := range got {
			if strings.HasSuffix(file, "/plan.toml") {
				delete(got, file) // one has wipe = true, and another seal
				delete(clean, file)
			}
		}
		if d := sim.Diff(clean, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if s := got["vdb1.seen"]; s == nil || string(s.Data) != "<nil>" {
			t.Errorf("%s: in the boot loader's partition: %s", name, s.Data)
		}
		// The pool's labels at the end of the old partition lie inside a new one.
		d := ss[len(ss)-1].world.Disks[1]
		b := make([]byte, 8)
		if _, err := d.ReadAt(b, sim.MiB+900*sim.MiB-512<<10+128<<10); err != nil || binary.LittleEndian.Uint64(b) == 0x00bab10c {
			t.Errorf("%s: a pool's label is left, %x, %v", name, b, err)
		}
	}
}

func wiping(in *plan.Intent) { in.Wipe = []string{"/dev/vdb"} }

// TestTableTorn cuts the power within each write of the new partition table, over an old one. The kernel reads the primary
// copy alone: what is committed in the end has one.
func TestTableTorn(t *testing.T) {
	p, text, start, ss, want := course(t, wiping, used(t))
	verb := slices.IndexFunc(ss, func(s state) bool { return strings.HasPrefix(s.what, "write partition table") })
	if verb < 0 {
		t.Fatal("no table was written")
	}
	for chunk := 1; chunk <= 5; chunk++ {
		w := start.clone(t)
		w.Tear = chunk
		if err := w.migrate(p, text, sim.Fault{At: ss[verb].at, How: "torn"}); err == nil {
			t.Fatal("it was not torn")
		}
		if last := w.Log[len(w.Log)-1]; !strings.HasPrefix(last, "write partition table") {
			t.Fatalf("torn: %s", last)
		}
		if err := w.migrate(p, text, sim.Fault{}); err != nil {
			t.Errorf("chunk %d: %v", chunk, err)
			continue
		}
		if d := sim.Diff(want, end(w, p)); d != "" {
			t.Errorf("chunk %d: %s", chunk, d)
		}
		if tab, err := gpt.Read(w.Disks[1], w.Disks[1].Size, 512); err != nil || tab.Damage != nil {
			t.Errorf("chunk %d: %v %v", chunk, tab.Damage, err)
		}
	}
}

// TestTableBackupLost: the planned table without its backup, as a disk leaves it that lost a write. It is written again.
func TestTableBackupLost(t *testing.T) {
	p, text, _, ss, want := course(t, nil, nil)
	w := ss.after(t, "copy done to")
	w.Disks[1].Write(make([]byte, 512), w.Disks[1].Size-512)
	if err := w.migrate(p, text, sim.Fault{}); err != nil {
		t.Fatal(err)
	}
	if tab, err := gpt.Read(w.Disks[1], w.Disks[1].Size, 512); err != nil || tab.Damage != nil {
		t.Errorf("damage %q, %v", tab.Damage, err)
	}
	if d := sim.Diff(want, end(w, p)); d != "" {
		t.Error(d)
	}
}

// TestTableEdited: the planned table with other partitions is someone's work.
func TestTableEdited(t *testing.T) {
	for _, change := range []func(*plan.Intent){nil, wiping} {
		p, text, _, ss, _ := course(t, change, nil)
		w := ss.after(t, "check done to")
		d := w.Disks[1]
		tab, err := gpt.Read(d, d.Size, 512)
		if err != nil {
			t.Fatal(err)
		}
		tab.Partitions = tab.Partitions[:2]
		writes, err := gpt.Encode(tab, d.Size, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range writes {
			d.Write(x.Data, x.Offset)
		}
		before := d.Sum
		if err := w.migrate(p, text, sim.Fault{}); err == nil || !strings.Contains(err.Error(), "they were changed") || d.Sum != before {
			t.Errorf("%v, target changed %v", err, d.Sum != before)
		}
	}
}

// wipeTable is what `wipefs -a` and `sgdisk -Z` leave.
func (w *world) wipeTable() {
	d := w.Disks[1]
	d.Write(make([]byte, 34*512), 0)
	d.Write(make([]byte, 33*512), d.Size-33*512)
}

// TestTableLost: someone wiped the target's table after a try, and nothing behind it. The journal that comes to light with
// the new table tells of a copy that is not trusted any more, and none of its records may come back later; once it tells of
// a commit, nothing is touched.
func TestTableLost(t *testing.T) {
	p, text, _, ss, want := course(t, nil, nil)
	for _, words := range []string{"prepare done to", "copy:" + p.Target.Filesystems()[0].Ref.ID() + " done to", "verify done to", "rebuild done to", "prove done to"} {
		for at := 6; at < 60; at += 5 {
			w := ss.after(t, words)
			w.wipeTable()
			if err := w.migrate(p, text, sim.Fault{At: at, How: "after"}); err == nil {
				t.Fatalf("verb %d was not cut", at)
			}
			line := w.Log[len(w.Log)-1]
			if err := w.migrate(p, text, sim.Fault{}); err != nil {
				t.Fatalf("after %s, cut after %q: %v", words, line, err)
			}
			if d := sim.Diff(want, end(w, p)); d != "" {
				t.Errorf("after %s, cut after %q: %s", words, line, d)
			}
		}
	}
	w := ss[len(ss)-1].world.clone(t)
	w.wipeTable()
	if err := w.migrate(p, text, sim.Fault{}); err == nil || w.Entered != "" || !strings.Contains(err.Error(), "records a commit") {
		t.Errorf("a migrated system behind a wiped table: entered %q, %v", w.Entered, err)
	}
	handsOnly(t, w, "write partition table", "write journal record", blockWiped(p))
}

// blockWiped is how a run clears the place of the boot block before it writes a new table: nothing there is anyone's data.
func blockWiped(p *plan.Plan) string {
	const superblock = 1024
	return fmt.Sprintf("write wipe old signatures to /dev/vdb: 1024 zero bytes at %d", p.Target.Node(p.Boot.Block).Part.Start+superblock)
}

// handsOnly fails when a run wrote anything to a device or a file but what is named.
func handsOnly(t *testing.T, w *world, may ...string) {
	t.Helper()
	for _, line := range w.Log {
		for _, bad := range []string{"run ", "copy ", "write ", "rewrite ", "rename ", "remove "} {
			if strings.HasPrefix(line, bad) && !slices.ContainsFunc(may, func(s string) bool { return strings.HasPrefix(line, s) }) {
				t.Errorf("touched: %s", line)
			}
		}
	}
}

// TestJournalGone: a target with filesystems of the plan and without its journal may be a migrated system.
func TestJournalGone(t *testing.T) {
	p, text, _, ss, _ := course(t, nil, nil)
	for _, tableToo := range []bool{false, true} {
		w := ss[len(ss)-1].world.clone(t)
		w.Boot()
		w.Parts(w.Disks[1])[2].Write(make([]byte, 4*sim.MiB), 0)
		if tableToo {
			w.wipeTable()
		}
		if err := w.migrate(p, text, sim.Fault{}); err == nil || !strings.Contains(err.Error(), "it is missing, but filesystem") {
			t.Errorf("table too %v: %v", tableToo, err)
		}
		handsOnly(t, w, "write partition table", blockWiped(p))
	}
}

// TestPartitionsComeLate: the kernel shows a disk before it has read its table. A journal that is not seen yet tells of the
// commit all the same.
func TestPartitionsComeLate(t *testing.T) {
	p, text, _, ss, _ := course(t, nil, nil)
	for _, disk := range []int{0, 1} {
		for _, ever := range []bool{true, false} {
			w := ss[len(ss)-1].world.clone(t)
			w.Boot()
			hidden := w.Parts(w.Disks[disk])
			w.Devices = slices.DeleteFunc(w.Devices, func(b *sim.Device) bool { return slices.Contains(hidden, b) })
			w.Changed()
			e := w.env(p, text)
			asked := 0
			e.Wait = func(_ context.Context, _ string, cond func() (bool, error)) error {
				for range 5 {
					if ok, err := cond(); ok || err != nil {
						return err
					}
					if asked++; ever && asked == 3 {
						w.Devices = append(w.Devices, hidden...)
						w.Changed()
					}
				}
				return sim.ErrInjected
			}
			err := Run(t.Context(), e)
			if ever && (err != nil || w.Entered != TargetDir) {
				t.Errorf("disk %d: entered %q, %v", disk, w.Entered, err)
			}
			if !ever && disk == 1 && (err == nil || !strings.Contains(err.Error(), "the kernel does not show it")) {
				t.Errorf("disk %d: entered %q, %v", disk, w.Entered, err)
			}
			handsOver(t, w)
			for _, b := range w.Parts(w.Disks[0]) {
				if !b.ReadOnly {
					t.Errorf("source partition %s came late and can be written", b.Name)
				}
			}
		}
	}
}

// TestFilesystemGone: what the journal calls copied and verified is not there any more. It is made again, and copied again.
func TestFilesystemGone(t *testing.T) {
	p, text, _, ss, want := course(t, nil, nil)
	for i, n := range p.Target.Filesystems() {
		for _, words := range []string{"copy done to", "verify done to", "rebuild done to"} {
			w := ss.after(t, words)
			w.Boot()
			part := w.Parts(w.Disks[1])[3+i]
			s, ok := sim.SuperOf(part)
			if !ok {
				t.Fatalf("%s is no member", part.Name)
			}
			part.Write(make([]byte, 4096), s.DataOffset)
			if err := w.migrate(p, text, sim.Fault{}); err != nil {
				t.Errorf("%s gone after %s: %v", n.FS.Mount, words, err)
				continue
			}
			if d := sim.Diff(want, end(w, p)); d != "" {
				t.Errorf("%s gone after %s: %s", n.FS.Mount, words, d)
			}
		}
	}
}

// TestJournalNearlyFull: tries end before the last slots, which are for the commit and finish; a commit that has begun is
// always noted.
func TestJournalNearlyFull(t *testing.T) {
	p, text, start, _, want := course(t, nil, nil)
	w := start.clone(t)
	if err := w.migrate(p, text, sim.Fault{At: 40, How: "error"}); err == nil {
		t.Fatal("it did not fail")
	}
	slots := int64(4*sim.MiB) / slotSize
	for spare := int64(1); spare < 110; spare += 4 {
		w := w.clone(t)
		w.Boot()
		e := w.env(p, text)
		if err := errors.Join(runReveal(t.Context(), e), runCheck(t.Context(), e)); err != nil {
			t.Fatal(err)
		}
		for int64(len(e.records)) < slots-1-checkpointSlots-spare {
			eff, rec, err := e.records.appendTo(e.journal, p.ID, e.size, Record{Stage: "copy:x", Event: Note})
			if err != nil {
				t.Fatal(err)
			}
			if err := e.do(t.Context(), eff); err != nil {
				t.Fatal(err)
			}
			e.records = append(e.records, rec)
		}
		err := w.migrate(p, text, sim.Fault{})
		if committed := w.committedFile(p); committed != (err == nil) || committed != (w.Entered != "") {
			t.Errorf("%d slots: committed %v, entered %q, %v", spare, committed, w.Entered, err)
		}
		if err != nil {
			continue
		}
		if d := sim.Diff(want, end(w, p)); d != "" {
			t.Errorf("%d slots: %s", spare, d)
		}
		if err := w.finishRun(p, text, sim.Fault{}, false); err != nil {
			t.Errorf("%d slots: finish: %v", spare, err)
		}
	}
}

// TestDiskComesBack: between two stages every disk is reset, and comes back under another name, the sources writable. No
// record goes to a node that is another disk's now, and the sources are locked again.
func TestDiskComesBack(t *testing.T) {
	p, text, _, _, want := course(t, nil, nil)
	w := newWorld(t)
	source := w.Disks[0].Whole
	w.Boot()
	e := w.env(p, text)
	swapped := false
	look := e.Look
	e.Look = func(ctx context.Context, depth survey.Depth) (*plan.Facts, error) {
		if e.records.Done("prepare") && !swapped {
			swapped = true
			if len(w.Mounts) > 1 {
				t.Fatal("too late: something is mounted")
			}
			rename := strings.NewReplacer("vda", "vdb", "vdb", "vda")
			for _, b := range w.Devices {
				if b.Disk != nil {
					b.Name, b.ReadOnly = rename.Replace(b.Name), false
				}
			}
			w.Changed()
		}
		return look(ctx, depth)
	}
	if err := Run(t.Context(), e); err != nil || !swapped {
		t.Fatalf("swapped %v, %v\n%s", swapped, err, strings.Join(w.Told, "\n"))
	}
	if w.Disks[0].Whole != source {
		t.Error("source disk changed")
	}
	for _, b := range w.Devices {
		if b.Disk == w.Disks[0] && !b.ReadOnly {
			t.Errorf("source device %s can be written", b.Name)
		}
	}
	if d := sim.Diff(want, end(w, p)); d != "" {
		t.Error(d)
	}
}

// TestImageAfterFinish: once finish has begun, the image assembles nothing: alone, its member would be a stale half.
func TestImageAfterFinish(t *testing.T) {
	w, p, text := migrated(t)
	if err := w.finishRun(p, text, sim.Fault{}, false); err != nil {
		t.Fatal(err)
	}
	w.Boot()
	w.Joining = true
	err := Run(t.Context(), w.env(p, text))
	if err == nil || !strings.Contains(err.Error(), "finish has begun") || len(w.Arrays) > 0 || w.Entered != "" {
		t.Errorf("entered %q, arrays %v, %v", w.Entered, w.Arrays, err)
	}
}

// TestCommitInTheJournalOnly: the power went between the rename and the flush after it, so the boot loader saw no commit and
// the old system ran. The rename must never be replayed into its sight: the copy is made again, and committed.
func TestCommitInTheJournalOnly(t *testing.T) {
	p, text, _, ss, _ := course(t, nil, nil)
	w := ss.after(t, "rename ")
	at := w.clone(t)
	w.BootOld()
	if err := w.migrate(p, text, sim.Fault{}); err != nil || w.Entered == "" {
		t.Fatalf("entered %q, %v", w.Entered, err)
	}
	copied := 0
	for _, line := range w.Log {
		if strings.HasPrefix(line, "copy /mnt/source/") {
			copied++
		}
	}
	if copied != len(p.Copies()) {
		t.Errorf("%d filesystems are copied again, want %d", copied, len(p.Copies()))
	}
	// Started again at once, with no old system in between, the copy is as good as it was.
	if err := at.migrate(p, text, sim.Fault{}); err != nil || at.Entered == "" {
		t.Errorf("at once: entered %q, %v", at.Entered, err)
	}
}

// TestCommitInTheJournalOfAnIdleSource: the old system ran, and did not mount the filesystem whose copy has the rename in its
// journal. That copy is made again as well: mounting it to rewrite the other one would replay the commit before it is proved.
func TestCommitInTheJournalOfAnIdleSource(t *testing.T) {
	p, text, _, ss, _ := course(t, nil, nil)
	w := ss.after(t, "rename ")
	w.Boot()
	srv := w.Dev("vda3")
	if id := w.FilesystemOn(srv); id != sim.OldSrv {
		t.Fatalf("vda3 has %s", id)
	}
	mounts := make([]byte, 2)
	srv.ReadAt(mounts, 1024+52)
	mounts[0]++
	w.Disks[0].Write(mounts, srv.Offset+1024+52)
	if err := w.migrate(p, text, sim.Fault{}); err != nil || w.Entered == "" {
		t.Fatalf("entered %q, %v", w.Entered, err)
	}
	if n := count(w.Log, "copy /mnt/source/"); n != len(p.Copies()) {
		t.Errorf("%d filesystems are copied again, want %d", n, len(p.Copies()))
	}
}

// TestCommitNotNoted: the commit was made and flushed, the record of it is missing, and someone chose the old system from
// the menu. Neither is the old copy entered unasked, nor is a system that may have been in use made again.
func TestCommitNotNoted(t *testing.T) {
	p, text, _, ss, _ := course(t, nil, nil)
	w := ss.after(t, "rename ")
	w.Replay()
	w.BootOld()
	if err := w.migrate(p, text, sim.Fault{}); err == nil || w.Entered != "" || !strings.Contains(err.Error(), "has been in use since") {
		t.Errorf("entered %q, %v", w.Entered, err)
	}
	handsOnly(t, w, "write journal record")
}
