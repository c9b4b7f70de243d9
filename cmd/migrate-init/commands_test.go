package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"migrate-init/boot"
	"migrate-init/pkg/gpt"
	"migrate-init/pkg/loader"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/md"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/sim"
	"migrate-init/pkg/stage"
)

// scriptCommands change the made-up machine:
//
//	world uid|free|unused NUMBER    who asks; bytes free, for everybody and at all
//	world disk NAME SERIAL          one more disk, as large as the others ("" for no serial)
//	world md NAME                   an md array of unknown members runs
//	world mount DEV DIR             it is mounted
//	world swapon DEV                it is in use as swap
//	world hold DEV HOLDER           a md, dm or LVM device holds it
//	world attr DEV NAME VALUE       an attribute in sysfs
//	world ext4|swap|hibernation DEV UUID   a signature
//	world mdmember DEV              it is one of the two members of an array
//	world table DEV                 a partition table without partitions
//	world twin PLAN DEV             the planned root filesystem's UUID is on it already
//	world member PLAN DEV           it is a member of the planned root array already
//	world array DEV NAME            it is a member of another array
//	world touched                   the old root was mounted once more
//	world booted                    GRUB has used up next_entry, and a new kernel runs
//	world journal PLAN [STAGE EVENT [TEXT]]   the target has its table and a journal; a record more
//	world stamped PLAN              the journal has the old root's state at its copy
//	world migrated PLAN             the new system runs, degraded
//
// `refused ARGS` runs the program and insists on exit code 1, which no other failure has. The rest looks at the machine:
// `snapshot NAME` and `same NAME` compare the whole of it, `json FILE [KEY VALUE]...` reads a JSON file
// (stdout is one).
func scriptCommands() map[string]func(ts *testscript.TestScript, neg bool, args []string) {
	return map[string]func(ts *testscript.TestScript, neg bool, args []string){
		"world": func(ts *testscript.TestScript, neg bool, args []string) {
			if neg || len(args) == 0 {
				ts.Fatalf("usage: world WHAT ...")
			}
			ts.Check(change(ts.Getenv(worldVar), args[0], args[1:], ts.MkAbs))
		},
		"refused": func(ts *testscript.TestScript, neg bool, args []string) {
			var exit *exec.ExitError
			if err := ts.Exec("migrate-init", args...); neg || !errors.As(err, &exit) || exit.ExitCode() != 1 {
				ts.Fatalf("migrate-init %v: %v, want exit code 1", args, err)
			}
		},
		"snapshot": func(ts *testscript.TestScript, neg bool, args []string) {
			s, err := fingerprint(ts.Getenv(worldVar))
			ts.Check(err)
			ts.Check(os.WriteFile(ts.MkAbs("snapshot."+args[0]), []byte(s), 0o644))
		},
		"same": func(ts *testscript.TestScript, neg bool, args []string) {
			now, err := fingerprint(ts.Getenv(worldVar))
			ts.Check(err)
			old := ts.ReadFile("snapshot." + args[0])
			if (old == now) == neg {
				ts.Fatalf("the machine is the same: %v; changes:\n%s", old == now, changes(old, now))
			}
		},
		"json": func(ts *testscript.TestScript, neg bool, args []string) {
			err := hasJSON([]byte(ts.ReadFile(args[0])), args[1:])
			if neg == (err == nil) {
				ts.Fatalf("json %v: %v", args, err)
			}
		},
		"perm": func(ts *testscript.TestScript, neg bool, args []string) {
			st, err := os.Lstat(ts.MkAbs(args[0]))
			ts.Check(err)
			if got := fmt.Sprintf("%04o", st.Mode().Perm()); got != args[1] {
				ts.Fatalf("%s: mode %s, want %s", args[0], got, args[1])
			}
		},
	}
}

func change(dir, what string, args []string, abs func(string) string) error {
	root := filepath.Join(dir, "root")
	attr := func(dev, name, value string) error {
		return put(root, filepath.Join("sys/class/block", dev, name), value+"\n", 0o644)
	}
	switch what {
	case "uid", "free", "unused":
		return put(dir, what, args[0]+"\n", 0o644)
	case "disk":
		return addDisk(dir, args[0], args[1], diskSize, int(args[0][2]-'a'))
	case "md":
		if err := errors.Join(put(dir, "disks/"+args[0], "", 0o600), os.Truncate(filepath.Join(dir, "disks", args[0]), 1024*mib)); err != nil {
			return err
		}
		return addBlock(root, "sys/devices/virtual/block/"+args[0], args[0], map[string]string{"size": "2097152", "ro": "0", "dev": "9:" + strings.TrimPrefix(args[0], "md"), "md/array_state": "clean"})
	case "mount":
		dev, err := os.ReadFile(filepath.Join(root, "sys/class/block", args[0], "dev"))
		if err != nil {
			return err
		}
		return appendTo(root, "proc/self/mountinfo", mountLine(5, strings.TrimSpace(string(dev)), args[1], "ext4", "/dev/"+args[0]))
	case "swapon":
		return appendTo(root, "proc/swaps", "/dev/"+args[0]+" partition 1 0 -3\n")
	case "hold":
		return put(root, filepath.Join("sys/class/block", args[0], "holders", args[1]), "", 0o644)
	case "attr":
		return attr(args[0], args[1], args[2])
	case "ext4":
		return putAt(dir, args[0], 1024, sim.Ext4Super(args[1], "", 1024*mib, 1))
	case "touched":
		return putAt(dir, "vda2", 1024, sim.Ext4Super(rootUUID, "", rootSize, 3))
	case "swap":
		return putAt(dir, args[0], 0, sim.SwapHeader(args[1], 512*mib))
	case "mdmember":
		return mdMember(dir, args[0])
	case "table":
		return putTable(dir, args[0], diskSize, gpt.Table{Scheme: gpt.SchemeGPT, ID: "bbbbbbbb-0000-4000-8000-00000000000b", SectorSize: 512})
	case "hibernation":
		return putAt(dir, args[0], 4086, []byte("S1SUSPEND\x00"))
	case "booted":
		return booted(root)
	case "array":
		return addMember(dir, args[0], diskSize, &plan.Node{Ref: "md:deadbeef:00000000:00000000:00000001", Layer: plan.Layer{MD: &plan.MD{Name: args[1], Metadata: "1.2",
			Devices: []string{"deadbeef:00000000:00000000:00000002"}}}})
	}
	b, err := os.ReadFile(abs(args[0]))
	if err != nil {
		return err
	}
	p, err := plan.Read(bytes.NewReader(b))
	if err != nil {
		return err
	}
	switch what {
	case "twin":
		return putAt(dir, args[1], 1024, sim.Ext4Super(p.Boot.Root, "", 1024*mib, 1))
	case "member":
		return addMember(dir, args[1], diskSize, p.Target.Arrays()[0])
	case "journal":
		return journal(dir, p, args[1:])
	case "stamped":
		return record(dir, p, stage.Record{Stage: "check", Event: stage.Note, Facts: map[string]string{"stamp:" + rootUUID: "mounts 2, mounted 0, written 0, KiB 0"}})
	case "migrated":
		return migrated(dir, p, b)
	}
	return errors.New("no such change")
}

func mdMember(dir, dev string) error {
	images, err := md.New(md.Spec{Version: md.V12, UUID: md.UUID{1, 2, 3}, Level: 1, RaidDisks: 2, CTime: time.Unix(1e9, 0), Members: []md.MemberSpec{{DeviceUUID: md.UUID{4}, Size: diskSize}, {DeviceUUID: md.UUID{5}, Missing: true, Size: diskSize}}})
	if err != nil {
		return err
	}
	for _, w := range images[0].Writes {
		if err := putAt(dir, dev, w.Offset, w.Data); err != nil {
			return err
		}
	}
	return nil
}

func appendTo(root, name, text string) error {
	b, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		return err
	}
	return put(root, name, string(b)+text, 0o644)
}

// booted is what a boot leaves that ended in the old system again.
func booted(root string) error {
	b, err := os.ReadFile(filepath.Join(root, "boot/grub/grubenv"))
	if err != nil {
		return err
	}
	env, err := boot.ParseGrubenv(b)
	if err != nil {
		return err
	}
	if err := env.Set("next_entry", ""); err != nil {
		return err
	}
	if err := put(root, "boot/grub/grubenv", string(env.Bytes()), 0o644); err != nil {
		return err
	}
	return put(root, "proc/sys/kernel/random/boot_id", "b0000000-0000-4000-8000-000000000003\n", 0o644)
}

// targetTable writes the planned table to the target, once.
func targetTable(dir string, p *plan.Plan) error {
	if _, err := os.Lstat(filepath.Join(dir, "root/sys/class/block/vdb2")); err == nil {
		return nil
	}
	d := p.NewDisks()[0]
	t := gpt.Table{Scheme: gpt.SchemeGPT, ID: d.Disk.Table, SectorSize: 512}
	for _, x := range p.Target.Parts(d.Ref) {
		typ, err := gpt.TypeOf(gpt.SchemeGPT, x.Part.Role)
		if err != nil {
			typ = "6d696772-6174-4e69-9469-6a6f75726e61"
		}
		t.Partitions = append(t.Partitions, gpt.Partition{Number: x.Part.Number, Type: typ, ID: x.Ref.ID(), Name: x.Part.Name, Start: x.Part.Start, Size: x.Size})
	}
	return addTable(dir, "vdb", diskSize, 1, t)
}

// journalPart is the partition of a plan's journal.
func journalPart(p *plan.Plan) string {
	return fmt.Sprintf("vdb%d", p.Target.Node(p.Journal).Part.Number)
}

// journal appends a record of a stage, if one is given.
func journal(dir string, p *plan.Plan, args []string) error {
	rec := stage.Record{}
	if len(args) > 1 {
		rec.Stage, rec.Event = args[0], args[1]
	}
	if len(args) > 2 {
		rec.Text = args[2]
	}
	return record(dir, p, rec)
}

// record appends to the plan's journal on the target, in a boot of its own.
func record(dir string, p *plan.Plan, rec stage.Record) error {
	if err := targetTable(dir, p); err != nil {
		return err
	}
	r, err := openPart(dir, "/dev/"+journalPart(p))
	if err != nil {
		return err
	}
	defer r.Close()
	rs, err := stage.ReadJournal(r, p.ID, 4*mib)
	if errors.Is(err, stage.ErrNoJournal) {
		err = putAt(dir, journalPart(p), 0, stage.JournalHead(p.ID))
	}
	if err != nil || rec.Stage == "" {
		return err
	}
	seq := len(rs) + 1
	rec.Time, rec.Boot, rec.Up = "2026-11-21T10:00:00Z", "b0000000-0000-4000-8000-000000000002", float64(10*seq)
	b, err := rec.Slot(seq, p.ID)
	if err != nil {
		return err
	}
	return putAt(dir, journalPart(p), int64(seq)*4096, b)
}

// migrated makes the machine the new system, right after the migration.
func migrated(dir string, p *plan.Plan, text []byte) error {
	root := filepath.Join(dir, "root")
	for _, s := range [][]string{{"copy", stage.Begin}, {"copy", stage.Done}, {"commit", stage.Begin}, {"commit", stage.Done}} {
		if err := journal(dir, p, s); err != nil {
			return err
		}
	}
	for _, n := range p.Target.Arrays() {
		if err := runArray(dir, p, n); err != nil {
			return err
		}
	}
	for _, n := range p.Target.Filesystems() {
		a := slices.IndexFunc(p.Target.Arrays(), func(a *plan.Node) bool { return n.Lower() == a.Ref })
		node := p.Target.Arrays()[a].MD.Node
		if err := putAt(dir, node, 1024, sim.Ext4Super(n.Ref.ID(), "", n.FS.Inodes*mib/1024, 1)); err != nil {
			return err
		}
		if n.FS.Mount == "/" {
			line := mountLine(1, fmt.Sprintf("9:%d", a), "/", "ext4", "/dev/"+node)
			if err := put(root, "proc/self/mountinfo", line, 0o644); err != nil {
				return err
			}
		}
	}
	for _, f := range []struct{ name, text string }{
		{"proc/swaps", "Filename Type Size Used Priority\n"},
		{stage.StateDir + "/plan.toml", string(text)},
		{stage.StateDir + "/report.txt", "the report\n"},
		{boot.CommittedFile(p.ID), "plan " + p.ID + "\n"},
		{"proc/sys/kernel/random/boot_id", "b0000000-0000-4000-8000-000000000002\n"},
	} {
		if err := put(root, f.name, f.text, 0o600); err != nil {
			return err
		}
	}
	return rewriteCustom(root, p)
}

// rewriteCustom writes what the migration writes into the file that the boot loader's people may write, too.
func rewriteCustom(root string, p *plan.Plan) error {
	effs, err := stage.Rewrites(append(loader.Table{bootx()}, loader.Known()...), p, os.DirFS(root), "/")
	if err != nil {
		return err
	}
	for _, eff := range effs {
		if w, ok := eff.(machine.WriteFile); ok && w.Path == p.Boot.Own["custom"] {
			if err := put(root, w.Path, string(w.Data), 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

// runArray makes a planned array with its one member, as mdadm and the kernel would show it.
func runArray(dir string, p *plan.Plan, n *plan.Node) error {
	root := filepath.Join(dir, "root")
	part := p.Target.Node(n.On[0])
	member := "vdb" + strconv.Itoa(part.Part.Number)
	size, err := writeMember(dir, member, part.Size, n)
	if err != nil {
		return err
	}
	if err := put(dir, "disks/"+n.MD.Node, "", 0o600); err != nil {
		return err
	}
	if err := os.Truncate(filepath.Join(dir, "disks", n.MD.Node), size); err != nil {
		return err
	}
	at := "sys/devices/virtual/block/" + n.MD.Node
	attrs := map[string]string{"size": strconv.FormatInt(size/512, 10), "ro": "0", "dev": "9:" + strings.TrimPrefix(n.MD.Node, "md"), "queue/logical_block_size": "512",
		"md/array_state": "clean", "md/level": "raid1", "md/metadata_version": "1.2", "md/raid_disks": "2", "md/degraded": "1", "md/sync_action": "idle",
		"md/component_size": strconv.FormatInt(size/1024, 10), "md/dev-" + member + "/state": "in_sync", "md/dev-" + member + "/slot": "0"}
	if err := addBlock(root, at, n.MD.Node, attrs); err != nil {
		return err
	}
	if err := link(root, "sys/block/"+n.MD.Node, at); err != nil {
		return err
	}
	return put(root, "sys/class/block/"+member+"/holders/"+n.MD.Node, "", 0o644)
}

// addMember makes a device the first member of an array that does not run.
func addMember(dir, dev string, size int64, n *plan.Node) error {
	_, err := writeMember(dir, dev, size, n)
	return err
}

// writeMember writes the superblock of an array's first member, and tells the array's size.
func writeMember(dir, dev string, size int64, n *plan.Node) (int64, error) {
	id, err := md.ParseUUID(n.Ref.ID())
	if err != nil {
		return 0, err
	}
	member, err := md.ParseUUID(n.MD.Devices[0])
	if err != nil {
		return 0, err
	}
	images, err := md.New(md.Spec{Version: md.Version(n.MD.Metadata), UUID: id, Name: n.MD.Name, Level: 1, RaidDisks: 2, Bitmap: n.MD.Bitmap, CTime: time.Unix(1700000000, 0),
		Members: []md.MemberSpec{{Size: size, DeviceUUID: member}, {Size: size, Missing: true}}})
	if err != nil {
		return 0, err
	}
	for _, w := range images[0].Writes {
		if err := putAt(dir, dev, w.Offset, w.Data); err != nil {
			return 0, err
		}
	}
	return images[0].Super.Size, nil
}

// fingerprint is every file of the machine by mode and content, and the ends of its disks.
func fingerprint(dir string) (string, error) {
	var b strings.Builder
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := e.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		sum := ""
		switch {
		case strings.HasPrefix(rel, "disks/"):
			sum, err = ends(name, st.Size())
		case st.Mode().IsRegular():
			var data []byte
			data, err = os.ReadFile(name)
			sum = fmt.Sprintf("%x", sha256.Sum256(data))
		case st.Mode()&fs.ModeSymlink != 0:
			sum, err = os.Readlink(name)
		}
		fmt.Fprintf(&b, "%v %s %s\n", st.Mode(), rel, sum)
		return err
	})
	return b.String(), err
}

// ends hashes the first and last 8 MiB of a file: a table and a journal lie there.
func ends(name string, size int64) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	for _, at := range []int64{0, max(0, size-8*mib)} {
		if _, err := io.Copy(h, io.NewSectionReader(f, at, 8*mib)); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%d %x", size, h.Sum(nil)), nil
}

func changes(a, b string) string {
	var out []string
	was, is := strings.Split(a, "\n"), strings.Split(b, "\n")
	for _, l := range was {
		if !slices.Contains(is, l) {
			out = append(out, "- "+l)
		}
	}
	for _, l := range is {
		if !slices.Contains(was, l) {
			out = append(out, "+ "+l)
		}
	}
	return strings.Join(out, "\n")
}

// hasJSON reports whether text is one JSON value, and whether its keys have the values: KEY is a path as a.b.
func hasJSON(text []byte, want []string) error {
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return err
	}
	for i := 0; i+1 < len(want); i += 2 {
		at := v
		for k := range strings.SplitSeq(want[i], ".") {
			m, ok := at.(map[string]any)
			if !ok || m[k] == nil {
				return fmt.Errorf("no %s", want[i])
			}
			at = m[k]
		}
		if got := fmt.Sprint(at); got != want[i+1] {
			return fmt.Errorf("%s is %s", want[i], got)
		}
	}
	return nil
}
