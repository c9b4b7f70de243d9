package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"migrate-init/pkg/copy"
	"migrate-init/pkg/extent"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/survey"
)

// devices is a machine whose only devices are the test's own loop devices.
type devices struct {
	t    *testing.T
	dir  string
	mine []string
	app  *app
}

func newDevices(t *testing.T, tools ...string) *devices {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: loop devices need root")
	}
	dir, err := os.MkdirTemp("/dev/shm", "copy-extent")
	if err != nil {
		dir = t.TempDir()
	}
	d := &devices{t: t, dir: dir, app: thisMachine()}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	for _, tool := range append(tools, "losetup", "blkid") {
		if _, err := new(machine.Real).Do(t.Context(), machine.Exec{Argv: []string{tool, "-V"}, OK: []int{0, 1}}); err != nil {
			t.Skipf("SKIPPED: %v", err)
		}
	}
	world := d.app.world
	d.app.world = func() survey.World {
		w := world()
		w.Open = func(p string) (survey.Device, error) {
			if !slices.Contains(d.mine, p) {
				return nil, errors.New("not of this test")
			}
			return machine.OpenDevice(p)
		}
		return w
	}
	return d
}

func (d *devices) do(e machine.Effect) string {
	d.t.Helper()
	// Not the test's context: cleaning up runs after its end.
	out, err := new(machine.Real).Do(context.Background(), e)
	if err != nil {
		d.t.Fatal(err)
	}
	return strings.TrimSpace(string(out.Stdout))
}

func (d *devices) run(argv ...string) string {
	d.t.Helper()
	// These three let mkfs.xfs make what it deems too small for real use.
	return d.do(machine.Exec{Argv: argv, Env: append(machine.DefaultEnv(), "TEST_DIR=x", "TEST_DEV=x", "QA_CHECK_FS=x")})
}

// loop makes a device of so many MiB, full of what looks like nothing but in its first MiB, which is empty.
func (d *devices) loop(mib int64, sector string) string {
	d.t.Helper()
	name := filepath.Join(d.dir, fmt.Sprintf("disk%d", len(d.mine)))
	if err := os.WriteFile(name, append(make([]byte, 1<<20), bytes.Repeat([]byte{0xa5}, int((mib-1)<<20))...), 0o600); err != nil {
		d.t.Fatal(err)
	}
	dev := d.run("losetup", "--find", "--show", "-b", sector, name)
	d.t.Cleanup(func() { d.run("losetup", "-d", dev) })
	d.mine = append(d.mine, dev)
	return dev
}

// mount mounts a device; the function returned unmounts it.
func (d *devices) mount(dev, typ string, flags machine.MountFlag) (dir string, unmount func()) {
	d.t.Helper()
	dir = filepath.Join(d.dir, "mnt"+filepath.Base(dev))
	d.do(machine.Mkdir{Path: dir, Mode: 0o755})
	d.do(machine.Mount{Source: dev, Target: dir, Type: typ, Flags: flags})
	on := true
	unmount = func() {
		if on {
			on = false
			d.do(machine.Unmount{Target: dir})
		}
	}
	d.t.Cleanup(unmount)
	return dir, unmount
}

// source is a device with a filesystem of some 30 MiB of files.
func (d *devices) source(typ string, mkfs ...string) string {
	d.t.Helper()
	dev := d.loop(64, "512")
	d.run(append(mkfs, dev)...)
	dir, unmount := d.mount(dev, typ, 0)
	for i := range 60 {
		name := filepath.Join(dir, fmt.Sprintf("d%d", i%5), fmt.Sprintf("f%d", i))
		data := bytes.Repeat(fmt.Appendf(nil, "line %d\n", i), 60_000)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, data, 0o640)); err != nil {
			d.t.Fatal(err)
		}
	}
	unmount()
	return dev
}

func (d *devices) hash(dev string) string {
	d.t.Helper()
	f, err := os.Open(dev)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		d.t.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// tree is every file of a device and what it holds.
func (d *devices) tree(dev, typ string) map[string]string {
	d.t.Helper()
	dir, unmount := d.mount(dev, typ, machine.ReadOnly)
	defer unmount()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(p)
		out[strings.TrimPrefix(p, dir)] = string(b)
		return err
	})
	if err != nil || len(out) < 60 {
		d.t.Fatalf("%d files: %v", len(out), err)
	}
	return out
}

// copy runs the command.
func (d *devices) copy(ctx context.Context, want int, args ...string) (out, errs string) {
	d.t.Helper()
	var o, e bytes.Buffer
	if code := d.app.run(ctx, append([]string{"copy", "--engine", "extent"}, args...), &o, &e); code != want {
		d.t.Fatalf("copy %v: code %d, want %d\n%s%s", args, code, want, &o, &e)
	}
	return o.String(), e.String()
}

func (d *devices) says(text, part string) {
	d.t.Helper()
	if !strings.Contains(text, part) {
		d.t.Errorf("not said: %q; said:\n%s", part, text)
	}
}

func blocksCases() map[string][]string {
	return map[string][]string{
		"ext4": {"mke2fs", "-q", "-F", "-t", "ext4", "-L", "old", "-O", "metadata_csum,^metadata_csum_seed"},
		"ext2": {"mke2fs", "-q", "-F", "-t", "ext2", "-b", "1024"},
		"xfs":  {"mkfs.xfs", "-q", "-f", "-L", "old"},
	}
}

// TestCopyBlocks cuts a copy short, goes on, and gets a filesystem of its own: new UUID, the device's size, the same
// files; the source is not changed by a byte. A repeated command leaves the copy alone.
func TestCopyBlocks(t *testing.T) {
	for typ, mkfs := range blocksCases() {
		t.Run(typ, func(t *testing.T) {
			d := newDevices(t, mkfs[0], "resize2fs", "tune2fs", "e2fsck", "xfs_growfs", "xfs_repair")
			src, dst := d.source(typ, mkfs...), d.loop(96, "512")
			before, junk := d.hash(src), d.hash(dst)
			out, _ := d.copy(t.Context(), 0, "--dry-run", src, dst)
			d.says(out, "bytes of used blocks of "+typ)
			d.says(out, "superblock with uuid ")
			if d.hash(dst) != junk {
				t.Fatal("a dry run wrote to the target")
			}

			ctx, stop := context.WithCancel(t.Context())
			var errs bytes.Buffer
			code := d.app.run(ctx, []string{"copy", "--engine", "extent", src, dst}, io.Discard, hook{&errs, "copy: ", stop})
			if code != 1 {
				t.Fatalf("code %d: %s", code, &errs)
			}
			d.says(errs.String(), "copy: interrupted after ")
			if uuid := d.uuid(dst); uuid != "" {
				t.Fatalf("a copy that was cut short is seen as %s", uuid)
			}
			f, err := os.Open(dst)
			if err != nil {
				t.Fatal(err)
			}
			last, err := copy.DeviceState(f)
			var at extent.Checkpoint
			if last != nil {
				err = errors.Join(err, json.Unmarshal(last.Data, &at))
			}
			if err := errors.Join(err, f.Close()); err != nil || at.Windows == 0 {
				t.Fatalf("state %+v, %v", last, err)
			}

			out, said := d.copy(t.Context(), 0, "--json", "--label", "fresh", src, dst)
			d.says(said, "resuming an interrupted copy")
			var res copied
			if err := json.Unmarshal([]byte(out), &res); err != nil {
				t.Fatal(err)
			}
			if !res.Resumed || res.Copied.Resumed != at.Bytes || res.Verified.Bytes != res.Copied.Bytes+res.Copied.Resumed || res.Target.Label != "fresh" || res.Target.Size < 95<<20 {
				t.Errorf("%s", out)
			}
			if uuid := d.uuid(dst); uuid != res.Target.UUID || uuid == d.uuid(src) {
				t.Errorf("uuid %s", uuid)
			}
			if d.hash(src) != before {
				t.Error("the source was written to")
			}
			d.check(typ, dst)
			want, got := d.tree(src, typ), d.tree(dst, typ)
			if fmt.Sprint(len(want)) != fmt.Sprint(len(got)) {
				t.Errorf("%d files, want %d", len(got), len(want))
			}
			for name, data := range want {
				if got[name] != data {
					t.Errorf("%s: differs", name)
				}
			}
			_, said = d.copy(t.Context(), 1, src, dst)
			d.says(said, "it is not empty: "+typ+" fresh "+res.Target.UUID+"; if nothing on it is wanted, add --wipe "+dst)
			_, err = os.Stat(filepath.Join("/run/migrate-init", res.Target.UUID))
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("where it was mounted to grow: %v", err)
			}
		})
	}
}

// hook calls f when something that begins so is written.
type hook struct {
	io.Writer
	head string
	f    func()
}

func (h hook) Write(b []byte) (int, error) {
	if strings.HasPrefix(string(b), h.head) {
		h.f()
	}
	return h.Writer.Write(b)
}

func (d *devices) uuid(dev string) string {
	d.t.Helper()
	out, err := new(machine.Real).Do(context.Background(), machine.Exec{Argv: []string{"blkid", "-p", "-o", "value", "-s", "UUID", dev}, OK: []int{0, 2}})
	if err != nil {
		d.t.Fatal(err)
	}
	return strings.TrimSpace(string(out.Stdout))
}

func (d *devices) check(typ, dev string) {
	d.t.Helper()
	if typ == "xfs" {
		d.run("xfs_repair", "-n", dev)
		return
	}
	d.run("e2fsck", "-fn", dev)
}

// TestCopyBlocksAsItIs: --keep-uuid leaves what the source is, over a filesystem that --wipe gives up.
func TestCopyBlocksAsItIs(t *testing.T) {
	for typ, mkfs := range blocksCases() {
		t.Run(typ, func(t *testing.T) {
			d := newDevices(t, mkfs[0], "e2fsck", "xfs_repair")
			src, dst := d.source(typ, mkfs...), d.loop(64, "512")
			d.run("mke2fs", "-q", "-F", "-t", "ext4", "-U", "77777777-7777-4777-8777-777777777777", dst)
			_, said := d.copy(t.Context(), 1, "--keep-uuid", src, dst)
			d.says(said, "it is not empty: ext4 77777777-7777-4777-8777-777777777777; if nothing on it is wanted, add --wipe "+dst)
			out, _ := d.copy(t.Context(), 0, "--keep-uuid", "--wipe", dst, src, dst)
			d.says(out, "copied, read back and equal; "+dst+" is "+typ+" "+d.uuid(src))
			d.check(typ, dst)
			if d.uuid(dst) != d.uuid(src) {
				t.Errorf("uuid %s, want %s", d.uuid(dst), d.uuid(src))
			}
		})
	}
}

// TestCopyBlocksOfAnotherState: a source that was mounted in between is not mixed with what was copied before.
func TestCopyBlocksOfAnotherState(t *testing.T) {
	d := newDevices(t, "mke2fs", "resize2fs", "tune2fs", "e2fsck")
	src, dst := d.source("ext4", blocksCases()["ext4"]...), d.loop(64, "512")
	other := d.source("ext2", blocksCases()["ext2"]...)
	ctx, stop := context.WithCancel(t.Context())
	d.app.run(ctx, []string{"copy", "--engine", "extent", src, dst}, io.Discard, hook{io.Discard, "copy: ", stop})
	_, said := d.copy(t.Context(), 1, other, dst)
	d.says(said, "target "+dst+": a copy of "+d.uuid(src)+" on "+src+" was interrupted there; name that source to resume it; to start again, add --wipe "+dst)
	_, unmount := d.mount(src, "ext4", 0)
	_, said = d.copy(t.Context(), 1, src, dst)
	d.says(said, "source "+src+": it is mounted at ")
	unmount()
	_, said = d.copy(t.Context(), 1, src, dst)
	d.says(said, "the source has been in use since: resuming would mix two states; to start again, add --wipe "+dst)
	_, said = d.copy(t.Context(), 0, "--wipe", dst, src, dst)
	if strings.Contains(said, "resuming") {
		t.Errorf("said %s", said)
	}
	d.check("ext4", dst)
}

// TestCopyBlocksCutWhileFinalizing: when the power goes among the writes that give the copy its identity, the next run
// starts again.
func TestCopyBlocksCutWhileFinalizing(t *testing.T) {
	d := newDevices(t, "mkfs.xfs", "xfs_repair", "xfs_growfs")
	src, dst := d.source("xfs", blocksCases()["xfs"]...), d.loop(64, "512")
	real := d.app.machine
	d.app.machine = func() machine.Machine {
		return machine.Hooked{M: real(), Before: func(ctx context.Context, e machine.Effect) error {
			w, ok := e.(machine.WriteDevice)
			if !ok || !strings.HasPrefix(w.Why, "superblock") {
				return nil
			}
			w.Chunks = w.Chunks[:len(w.Chunks)-1]
			_, err := real().Do(ctx, w)
			return errors.Join(err, errors.New("power cut"))
		}}
	}
	_, said := d.copy(t.Context(), 1, src, dst)
	d.says(said, "the copy is verified, but setting its identity and size failed: power cut")
	if uuid := d.uuid(dst); uuid != "" {
		t.Errorf("seen as %s", uuid)
	}
	d.app.machine = real
	if _, said = d.copy(t.Context(), 0, src, dst); strings.Contains(said, "resuming") {
		t.Errorf("said %s", said)
	}
	d.check("xfs", dst)
}

// TestCopyBlocksRefuses what cannot be told from sysfs.
func TestCopyBlocksRefuses(t *testing.T) {
	d := newDevices(t, "mke2fs", "tune2fs", "debugfs")
	small := d.source("ext2", blocksCases()["ext2"]...)
	_, said := d.copy(t.Context(), 1, small, d.loop(32, "512"))
	d.says(said, "it has 33554432 bytes, but the filesystem on "+small+" has 67108864 and cannot be shrunk; use a larger device, or --engine tree")
	_, said = d.copy(t.Context(), 1, small, d.loop(64, "4096"))
	d.says(said, "its sectors have 4096 bytes, but the filesystem on "+small+" is written in units of 1024 and could not be mounted there")
	dst := d.loop(64, "512")
	held, err := os.OpenFile(small, os.O_RDONLY|os.O_EXCL, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, said = d.copy(t.Context(), 1, small, dst)
	d.says(said, "source "+small+": it must not be in use during the copy: ")
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	if held, err = os.OpenFile(dst, os.O_RDONLY|os.O_EXCL, 0); err != nil {
		t.Fatal(err)
	}
	_, said = d.copy(t.Context(), 1, small, dst)
	d.says(said, dst+": device or resource busy")
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	unknown := d.loop(64, "512")
	d.do(machine.WriteDevice{Dev: unknown, Why: "what nothing knows", Chunks: []machine.Chunk{{Offset: 4096, Data: []byte{1}}}})
	_, said = d.copy(t.Context(), 1, small, unknown)
	d.says(said, "target "+unknown+": it is not empty: unknown data (a remnant); if nothing on it is wanted, add --wipe "+unknown)
	gdt := d.loop(64, "512")
	d.run("mke2fs", "-q", "-F", "-t", "ext4", "-O", "uninit_bg,^metadata_csum", gdt)
	_, said = d.copy(t.Context(), 1, gdt, dst)
	d.says(said, "feature uninit_bg ties the group descriptors' checksums to the uuid")
	d.says(said, "--keep-uuid also its identity")
	if d.hash(dst) != d.hash(d.loop(64, "512")) {
		t.Error("a refused copy wrote to the target")
	}
	d.copy(t.Context(), 0, "--keep-uuid", gdt, dst)
	d.run("debugfs", "-w", "-R", "ssv state 0", small)
	_, said = d.copy(t.Context(), 1, "--wipe", dst, small, dst)
	d.says(said, "want 0x1 (clean): mounted, or not unmounted")
}
