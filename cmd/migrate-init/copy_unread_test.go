package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"migrate-init/pkg/copy"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// spoiled is a btrfs with the files good and bad; in bad one byte is not what its checksum says.
func (d *devices) spoiled() (dir string) {
	d.t.Helper()
	dev := d.loop(128, "512")
	d.run("mkfs.btrfs", "-q", "-f", dev)
	dir, unmount := d.mount(dev, "btrfs", 0)
	bad := bytes.Repeat([]byte("a page of words that nothing else holds. "), 5000)
	err := errors.Join(os.WriteFile(filepath.Join(dir, "bad"), bad, 0o600), os.WriteFile(filepath.Join(dir, "good"), []byte("good"), 0o600))
	if err != nil {
		d.t.Fatal(err)
	}
	unmount()
	d.spoil(dev, bad[:4096], 0)
	dir, _ = d.mount(dev, "btrfs", machine.ReadOnly)
	return dir
}

// TestCopyUnreadable: the command stops at what it cannot read, and says what goes on; then it goes on, is verified, lists
// what is missing, and its exit code is not that of a whole copy.
func TestCopyUnreadable(t *testing.T) {
	d := newDevices(t, "mkfs.btrfs", "mke2fs")
	src := d.spoiled()
	dev := d.loop(64, "512")
	d.run("mke2fs", "-q", "-F", "-t", "ext4", dev)
	dst, _ := d.mount(dev, "ext4", 0)
	run := func(want int, args ...string) (out, errs string) {
		t.Helper()
		var o, e bytes.Buffer
		if code := d.app.run(t.Context(), append([]string{"copy"}, args...), &o, &e); code != want {
			t.Fatalf("copy %v: code %d, want %d\n%s%s", args, code, want, &o, &e)
		}
		return o.String(), e.String()
	}
	_, errs := run(1, src, dst)
	d.says(errs, `source "bad": read of bytes 0 to 4095: input/output error`)
	d.says(errs, "--read-error skip-and-list copies the rest")
	run(2, "--read-error", "go-on", src, dst)

	out, errs := run(3, "--read-error", "skip-and-list", src, dst)
	d.says(errs, "resuming an interrupted copy")
	d.says(errs, "restore the missing items from a backup")
	d.says(out, "copied, read back and equal, except for what could not be read")
	d.says(out, `unread: "bad": data in bytes 0 to 4095: input/output error`)
	d.says(out, `unread: "bad": could not be read completely; the copy has the rest`)
	if b, err := os.ReadFile(filepath.Join(dst, "good")); string(b) != "good" {
		t.Errorf("good holds %q, %v", b, err)
	}
	if b, err := os.ReadFile(filepath.Join(dst, "bad")); len(b) != 41*5000 || !bytes.Equal(b[:4096], make([]byte, 4096)) || b[4096] == 0 {
		t.Errorf("bad has %d bytes, %v", len(b), err)
	}
	if unfinished(dst) {
		t.Error("the state of the copy is still there")
	}

	sub := filepath.Join(dst, "sub")
	if err := os.Mkdir(sub, 0o755); err != nil {
		t.Fatal(err)
	}
	out, _ = run(3, "--read-error", "skip-and-list", "--json", src, sub)
	var said copied
	if err := json.Unmarshal([]byte(out), &said); err != nil || said.Copied.Unread != 1 || said.Verified.Unread != 1 || len(said.Copied.Skipped) != 1 {
		t.Errorf("%v in %s", err, out)
	}
}

// A directory of ext4 whose checksum is wrong is listed without its names and without an error: only the kernel's log tells.
func TestCopyOfDamagedDirectory(t *testing.T) {
	d := newDevices(t, "mke2fs")
	from, to := d.loop(64, "512"), d.loop(64, "512")
	d.run("mke2fs", "-q", "-F", "-t", "ext4", "-b", "1024", "-O", "metadata_csum,^dir_index", from)
	d.run("mke2fs", "-q", "-F", "-t", "ext4", to)
	dir, unmount := d.mount(from, "ext4", 0)
	if err := os.Mkdir(filepath.Join(dir, "many"), 0o755); err != nil {
		t.Fatal(err)
	}
	const names = 200
	for i := range names {
		if err := os.WriteFile(filepath.Join(dir, "many", fmt.Sprintf("a-name-of-some-length-%03d", i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	unmount()
	f, err := os.OpenFile(from, os.O_RDWR|os.O_SYNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	last := []byte("a-name-of-some-length-199") // in the last block: whoever looks for another name does not meet it
	at := bytes.Index(b, last)
	if at < 0 {
		t.Fatal("the directory is not on the device")
	}
	for ; at >= 0; at = bytes.Index(b, last) { // the journal has it too
		if _, err := f.WriteAt([]byte("A"), int64(at)); err != nil {
			t.Fatal(err)
		}
		b[at] = 'A'
	}
	src, _ := d.mount(from, "ext4", machine.ReadOnly)
	dst, _ := d.mount(to, "ext4", 0)
	var o, e bytes.Buffer
	if code := d.app.run(t.Context(), []string{"copy", "--read-error", "skip-and-list", src, dst}, &o, &e); code != 3 {
		t.Fatalf("code %d\n%s%s", code, &o, &e)
	}
	d.says(o.String(), "unread: "+from+": the kernel logged filesystem errors; directory entries may be missing")
	es, err := os.ReadDir(filepath.Join(dst, "many"))
	if err != nil || len(es) == 0 || len(es) >= names {
		t.Errorf("%d of %d names are copied, %v", len(es), names, err)
	}
}

// By the policy what only the kernel's log tells ends the copy, or is listed.
func TestDamage(t *testing.T) {
	f := &plan.Facts{Devices: []plan.Device{{Name: "vda2", Path: "/dev/vda2"}, {Name: "vdb1", Path: "/dev/vdb1"}},
		Mounts: []plan.Mount{{Target: "/srv", Device: "vda2"}, {Target: "/mnt", Device: "vdb1"}}}
	says := func() *copy.KernelLog {
		return &copy.KernelLog{Read: func(func(string) bool) ([]string, bool, error) {
			return []string{"EXT4-fs error (device vda2): bad"}, false, nil
		}}
	}
	for _, tt := range []struct {
		policy, src string
		fails       bool
		missing     int64
	}{{policyStop, "/srv", true, 1}, {policySkip, "/srv", false, 1}, {policyStop, "/mnt/x", false, 0}} {
		c, n := &call{opt: options{readError: tt.policy}}, copy.Counts{}
		if err := c.damage(f, tt.src, "/nowhere", says(), &n); (err != nil) != tt.fails || n.Unread != tt.missing || int(n.Unread) != len(n.Skipped) {
			t.Errorf("%+v: %v, %+v", tt, err, n)
		}
		if err := c.damage(f, tt.src, "/nowhere", nil, &n); err != nil {
			t.Errorf("without a log: %v", err)
		}
	}
	if err := (&call{opt: options{readError: policySkip}}).damage(f, "/mnt", "/srv", says(), &copy.Counts{}); err == nil {
		t.Error("a damaged target passes")
	}
}

func TestIncompleteCopy(t *testing.T) {
	if err := incompleteCopy("src", copy.Counts{}, copy.Counts{}); err != nil {
		t.Errorf("nothing is missing: %v", err)
	}
	for _, missing := range [][2]copy.Counts{{{Unread: 2}, {}}, {{}, {Unread: 2}}} {
		var errs bytes.Buffer
		if code := report(&errs, errors.Join(nil, incompleteCopy("src", missing[0], missing[1]))); code != 3 || !strings.Contains(errs.String(), "source src: 2 place(s) could not be read") {
			t.Errorf("code %d: %s", code, &errs)
		}
	}
}

// spoil changes a byte of a device, below what lies on it: off after the place where what is found.
func (d *devices) spoil(dev string, what []byte, off int64) {
	d.t.Helper()
	f, err := os.OpenFile(dev, os.O_RDWR|os.O_SYNC, 0)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		d.t.Fatal(err)
	}
	at := int64(bytes.Index(b, what))
	if at < 0 || at%4096 != 0 {
		d.t.Fatalf("the data is at %d of the device", at)
	}
	if _, err := f.WriteAt([]byte{b[at+off] ^ 1}, at+off); err != nil {
		d.t.Fatal(err)
	}
}

// erring is a device with the bytes of an image, of which 4096 cannot be read: those off after the place where what is.
// The image lies on a btrfs, which knows what its bytes should be.
func (d *devices) erring(image, what []byte, off int64) string {
	d.t.Helper()
	host := d.loop(192, "512")
	d.run("mkfs.btrfs", "-q", "-f", host)
	dir, unmount := d.mount(host, "btrfs", 0)
	if err := os.WriteFile(filepath.Join(dir, "image"), image, 0o600); err != nil {
		d.t.Fatal(err)
	}
	unmount()
	d.spoil(host, what, off)
	dir, _ = d.mount(host, "btrfs", machine.ReadOnly)
	dev := d.run("losetup", "--find", "--show", "--read-only", filepath.Join(dir, "image"))
	d.t.Cleanup(func() { d.run("losetup", "-d", dev) })
	d.mine = append(d.mine, dev)
	return dev
}

// TestCopyBlocksUnreadable is the same of a copy by blocks.
func TestCopyBlocksUnreadable(t *testing.T) {
	d := newDevices(t, "mke2fs", "resize2fs", "tune2fs", "e2fsck", "mkfs.btrfs")
	under := d.source("ext4", append(blocksCases()["ext4"], "-b", "4096")...)
	b, err := os.ReadFile(filepath.Join(d.dir, "disk0"))
	if err != nil {
		t.Fatal(err)
	}
	file := bytes.Repeat([]byte("line 7\n"), 1000)
	at := int64(bytes.Index(b, file))
	src, dst := d.erring(b, file, 8192), d.loop(96, "512")
	at += 8192
	_, errs := d.copy(t.Context(), 1, src, dst)
	d.says(errs, "input/output error")
	d.says(errs, "--read-error skip-and-list copies the rest")
	out, errs := d.copy(t.Context(), 3, "--read-error", "skip-and-list", src, dst)
	d.says(out, fmt.Sprintf("unread: %s: bytes %d-%d: could not be read; the copy has zeros instead", src, at, at+4095))
	d.says(errs, "1 place(s) could not be read")
	is, was := d.tree(dst, "ext4"), d.tree(under, "ext4")
	for name, data := range was {
		if got := is[name]; (got == data) != (name != "/d2/f7") {
			t.Errorf("%s: equal %v", name, got == data)
		}
	}
	if got := is["/d2/f7"]; len(got) != len(was["/d2/f7"]) || strings.Count(got, "\x00") != 4096 {
		t.Errorf("the file has %d bytes, %d of them 0", len(got), strings.Count(got, "\x00"))
	}
}
