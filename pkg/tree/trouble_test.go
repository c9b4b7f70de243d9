package tree

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// spoil changes the bytes of mark on the device, below btrfs's checksums, so
// that reading them is EIO.
func spoil(t *testing.T, d disk, mark []byte) {
	t.Helper()
	if err := unix.Unmount(d.dir, 0); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(d.dev, os.O_RDWR|unix.O_DIRECT|unix.O_SYNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	buf, hits := newWorker().data[:blockSize], 0
	for off := int64(0); ; off += blockSize {
		n, err := f.ReadAt(buf, off)
		if n == 0 {
			break
		}
		if i := bytes.Index(buf[:n], mark); i >= 0 && err == nil {
			i = i / 4096 * 4096
			buf[i+1] ^= 0xff
			if _, err := f.WriteAt(buf[i:i+4096], off+int64(i)); err != nil {
				t.Fatal(err)
			}
			hits++
		}
	}
	if hits != 1 {
		t.Fatalf("the mark was found %d times", hits)
	}
	if err := unix.Mount(d.dev, d.dir, d.fs, unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
}

func TestReadError(t *testing.T) {
	src, dst := newDisk(t, "btrfs", 256<<20), newDisk(t, "ext4", 256<<20)
	data := noise(55, 3<<20)
	apply(t, src.dir, mkdir("d", 0o755), file("d/bad", 0o600, data), file("good", 0o600, noise(2, 9000)), link("d/bad", "bad2"))
	spoil(t, src, data[1<<20+8192:1<<20+8192+64])
	dst.remount(t, unix.MS_NOATIME)
	_, err := Copy(t.Context(), src.dir, dst.dir, Options{})
	var e *Error
	if !errors.As(err, &e) || e.Side != Source || e.Path != "d/bad" && e.Path != "bad2" || e.Offset != 1<<20+8192 || e.Length != 4096 || !errors.Is(err, unix.EIO) {
		t.Errorf("error %v", err)
	}
	wipe(t, dst.dir)
	var man bytes.Buffer
	res, err := Copy(t.Context(), src.dir, dst.dir, Options{OnReadError: List, Manifest: &man})
	if err != nil || len(res.Problems) != 1 {
		t.Fatalf("%v, problems %v", err, res.Problems)
	}
	if p := res.Problems[0]; p.What != "data" || p.Offset != 1<<20+8192 || p.Length != 4096 {
		t.Errorf("problem %+v", p)
	}
	got, err := os.ReadFile(filepath.Join(dst.dir, "d/bad"))
	clear(data[1<<20+8192 : 1<<20+12288])
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("the rest of the file is not as it was: %v", err)
	}
	for _, h := range []*Manifest{openManifest(t, man.Bytes()), nil} {
		rep, err := Verify(t.Context(), src.dir, dst.dir, Options{Hashes: h})
		if err != nil || rep.Equal() || !slices.ContainsFunc(rep.Differences, func(d Difference) bool { return d.What == "data" || d.What == "unreadable" }) {
			t.Errorf("verify: %v %v", err, rep.Differences)
		}
	}
	// With the policy that lists it, the damage is known, and Verify compares what was copied.
	o := Options{OnReadError: List, Hashes: openManifest(t, man.Bytes())}
	for _, o.Reread = range []bool{false, true} {
		rep, err := Verify(t.Context(), src.dir, dst.dir, o)
		if err != nil || !rep.Equal() || rep.DamagedCount != 1 || len(rep.Damaged) != 1 || !strings.Contains(rep.Damaged[0], "bad") || (rep.Reread > 0) != o.Reread {
			t.Errorf("list, read again %v: verify: %v %v, damaged %q, %d bytes read again", o.Reread, err, rep.Differences, rep.Damaged, rep.Reread)
		}
	}
	if rep, err := Verify(t.Context(), src.dir, dst.dir, Options{OnReadError: List}); err != nil || rep.Equal() {
		t.Errorf("list, without a manifest: verify: %v %v", err, rep.Differences)
	}
	for what, off := range map[string]int64{"in what was read": 5, "in what was not": 1<<20 + 8192 + 7} {
		flip := func() {
			f, err := os.OpenFile(filepath.Join(dst.dir, "d/bad"), os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			b := make([]byte, 1)
			if _, err := f.ReadAt(b, off); err != nil {
				t.Fatal(err)
			}
			b[0] ^= 1
			if _, err := f.WriteAt(b, off); err != nil {
				t.Fatal(err)
			}
		}
		flip()
		rep, err := Verify(t.Context(), src.dir, dst.dir, o)
		if err != nil || !slices.ContainsFunc(rep.Differences, func(d Difference) bool { return d.What == "data" }) {
			t.Errorf("a byte changed %s: %v %v", what, err, rep.Differences)
		}
		flip()
	}
}

// TestLargeDirectory copies a directory that is read in chunks and has more subdirectories than there are descriptors.
func TestLargeDirectory(t *testing.T) {
	src, dst := newDisk(t, "ext4", 64<<20), newDisk(t, "ext4", 64<<20)
	acts := []act{mkdir("many", 0o755)}
	for i := range 2500 {
		switch {
		case i%10 == 0:
			acts = append(acts, mkdir(fmt.Sprintf("many/%d", i), 0o711))
		case i%7 == 0:
			acts = append(acts, link(fmt.Sprintf("many/%d", (i-1)/10*10+1), fmt.Sprintf("many/l%d", i)))
		default:
			acts = append(acts, mknod(fmt.Sprintf("many/%d", i), unix.S_IFREG|0o640, 0, 0))
		}
		if i%10 == 1 && i%7 == 0 {
			acts = append(acts[:len(acts)-1], mknod(fmt.Sprintf("many/%d", i), unix.S_IFREG|0o600, 0, 0))
		}
	}
	apply(t, src.dir, acts...)
	var man bytes.Buffer
	o := Options{Manifest: &man, Workers: 4, chunk: 100}
	if _, err := Copy(t.Context(), src.dir, dst.dir, o); err != nil {
		t.Fatal(err)
	}
	o.Hashes = openManifest(t, man.Bytes())
	rep, err := Verify(t.Context(), src.dir, dst.dir, o)
	if err != nil || !rep.Equal() || rep.Dirs != 252+1 { // lost+found too
		t.Errorf("verify: %v, %d directories, %v", err, rep.Dirs, rep.Differences)
	}
	sameTree(t, src.dir, dst.dir)
}

func TestExclude(t *testing.T) {
	src, dst := newDisk(t, "ext4", 64<<20), newDisk(t, "ext4", 64<<20)
	apply(t, src.dir, mkdir("d", 0o755), file("d/swap", 0o600, nil), mkdir("d/tree", 0o755), file("d/tree/in", 0o600, nil), file("d/stays", 0o600, nil))
	o := Options{Exclude: []string{"d/swap", "d/tree", "not/there"}}
	if _, err := Copy(t.Context(), src.dir, dst.dir, o); err != nil {
		t.Fatal(err)
	}
	if rep, err := Verify(t.Context(), src.dir, dst.dir, o); err != nil || !rep.Equal() {
		t.Errorf("verify: %v %+v", err, rep)
	}
	if rep, err := Verify(t.Context(), src.dir, dst.dir, Options{}); err != nil || rep.Count != 2 {
		t.Errorf("verify of all: %v %v", err, rep.Differences)
	}
	apply(t, dst.dir, file("d/swap", 0o600, nil))
	if rep, err := Verify(t.Context(), src.dir, dst.dir, o); err != nil || rep.Count == 0 {
		t.Errorf("an excluded file on the target is not named: %v %v", err, rep.Differences)
	}
}

// TestSubvolume: a subvolume has another device number, which changes at every boot. It is copied, and a resumed copy recognizes
// it after a reboot.
func TestSubvolume(t *testing.T) {
	src, dst := newDisk(t, "btrfs", 256<<20), newDisk(t, "ext4", 256<<20)
	if err := tool(src.dir, "btrfs", "subvolume", "create", "vol"); err != nil {
		t.Skipf("SKIPPED, NOTHING TESTED: %v", err)
	}
	apply(t, src.dir, file("a", 0o600, noise(1, 10000)), file("vol/a", 0o600, noise(2, 10000)), link("vol/a", "vol/b"), mkdir("vol/d", 0o700), file("vol/d/f", 0o600, noise(3, 5000)))
	var man bytes.Buffer
	if _, err := Copy(t.Context(), src.dir, dst.dir, Options{Manifest: &man}); err != nil {
		t.Fatal(err)
	}
	src.remount(t, unix.MS_RDONLY)
	rep, err := Verify(t.Context(), src.dir, dst.dir, Options{Hashes: openManifest(t, man.Bytes())})
	if err != nil || !rep.Equal() || rep.Reread != 0 {
		t.Errorf("verify: %v, %d read again, %v", err, rep.Reread, rep.Differences)
	}
	caps, err := ProbeCaps(dst.dir)
	if err != nil {
		t.Fatal(err)
	}
	scan, err := Precheck(t.Context(), src.dir, caps, Options{})
	if err != nil || !slices.ContainsFunc(scan.Findings, func(f Finding) bool { return f.ID == "tree.subvolume" && slices.Equal(f.Paths, []string{"vol"}) }) {
		t.Errorf("precheck: %v %+v", err, scan.Findings)
	}
	n := man.Len()
	o := Options{Resume: &Resume{Manifest: bytes.NewReader(bytes.Clone(man.Bytes())), ManifestBytes: int64(n)}, Manifest: &man}
	res, err := Copy(t.Context(), src.dir, dst.dir, o)
	if err != nil || res.Files+res.Links > 0 || res.Skipped == 0 {
		t.Errorf("resume of a finished copy: %v %+v", err, res)
	}
}

// TestReadOnlyTargetIsExplained: after an error of the disk, every call fails with "read-only file system". The message must
// explain that.
func TestReadOnlyTargetIsExplained(t *testing.T) {
	err := &Error{Side: Target, Op: "create", Path: "x", Err: unix.EROFS}
	if s := err.Error(); !strings.Contains(s, "after an I/O error") {
		t.Error(s)
	}
	err.Side = Source
	if s := err.Error(); strings.Contains(s, "I/O error") {
		t.Error(s)
	}
}
