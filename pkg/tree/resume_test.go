package tree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// goingDown shuts a filesystem down as in a power cut: nothing more reaches the disk. _IOR('X', 125, __u32) is XFS_IOC_GOINGDOWN
// and EXT4_IOC_SHUTDOWN; 2 is NOLOGFLUSH.
func goingDown(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.IoctlSetPointerInt(int(f.Fd()), 0x8004587d, 2)
}

// manifestBuf is a manifest that a crash truncates.
type manifestBuf struct{ b bytes.Buffer }

func (m *manifestBuf) Write(p []byte) (int, error) { return m.b.Write(p) }

func crashTree() []act {
	acts := everythingLinked()
	for i := range 40 {
		d := fmt.Sprintf("dir%d", i)
		acts = append(acts, mkdir(d, 0o750))
		for j := range 25 {
			acts = append(acts, file(fmt.Sprintf("%s/f%d", d, j), 0o640, noise(uint64(i*100+j), 1000+j*700)))
		}
		acts = append(acts, link(d+"/f3", fmt.Sprintf("dir%d/link%d", i/2, i)), setx(d+"/f5", "user.x", []byte(d)))
	}
	return append(acts, file("large1", 0o600, noise(1, 40<<20)), file("large2", 0o600, noise(2, 24<<20)), link("large1", "dir7/large"), link("large1", "large0"))
}

func everythingLinked() []act {
	return []act{mkdir("im", 0o755), file("im/a", 0o600, []byte("im")), link("im/a", "im/b"), link("im/a", "z-im"), chattr("+i", "im/a"), chattr("+i", "im"),
		mknod("p", unix.S_IFIFO|0o600, 0, 0), link("p", "p2"), symlink("x", "s"), link("s", "s2")}
}

func TestResumeAfterPowerCuts(t *testing.T) {
	for _, fs := range []string{"ext4", "xfs"} {
		t.Run(fs, func(t *testing.T) {
			src, dst := newDisk(t, fs, 384<<20), newDisk(t, fs, 384<<20)
			apply(t, src.dir, crashTree()...)
			src.remount(t, unix.MS_RDONLY)
			var man manifestBuf
			saved, cuts, skipped := Checkpoint{}, 0, int64(0)
			before := fdsLeft(t)
			rnd := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 2))
			for {
				if !once(t, src, dst, &man, &saved, rnd.IntN(3), cuts < 8 || skipped == 0 && cuts < 40, &skipped, nil) {
					break
				}
				cuts++
			}
			t.Logf("%d power cuts, %d names not copied again", cuts, skipped)
			if cuts > 0 && skipped == 0 {
				t.Error("nothing was ever resumed")
			}
			if after := fdsLeft(t); after != before {
				t.Errorf("%d files open before the copies, %d after", before, after)
			}
			dst.remount(t, unix.MS_RDONLY)
			rep, err := Verify(t.Context(), src.dir, dst.dir, Options{Hashes: openManifest(t, man.b.Bytes())})
			if err != nil || !rep.Equal() {
				t.Errorf("verify: %v, %d differences: %v", err, rep.Count, rep.Differences)
			}
			src.remount(t, unix.MS_RDONLY)
			sameTree(t, src.dir, dst.dir, " allocated ") // the extent tree may differ
		})
	}
}

// once copies, cuts the power after some checkpoints, and reports whether it did.
func once(t *testing.T, src, dst disk, man *manifestBuf, saved *Checkpoint, after int, cut bool, skipped *int64, pace *pacer) bool {
	o := Options{Workers: 2, Manifest: man, CheckpointEvery: 5 * time.Millisecond}
	if pace != nil {
		pace.begin()
		o.pace, o.CheckpointEvery = pace.wait, time.Millisecond
	}
	n, down := 0, false
	var cutter sync.WaitGroup
	o.Checkpoint = func(c Checkpoint) error {
		*saved = c
		pace.checkpoint()
		if n++; cut && n > after && !down {
			down = true
			defer pace.release()
			cutter.Go(func() { _ = goingDown(dst.dir) }) // while the workers go on
		}
		return nil
	}
	if saved.ManifestBytes > 0 {
		man.b.Truncate(int(saved.ManifestBytes))
		o.Resume = &Resume{Manifest: bytes.NewReader(bytes.Clone(man.b.Bytes())), ManifestBytes: saved.ManifestBytes}
	} else {
		man.b.Reset()
		o.Resume = &Resume{}
	}
	res, err := Copy(t.Context(), src.dir, dst.dir, o)
	cutter.Wait()
	*skipped += res.Skipped
	if err == nil && !down {
		return false
	}
	if err == nil { // the cut came after the last sync
		dst.remount(t, 0)
		return false
	}
	var e *Error
	if !cut || !errors.As(err, &e) || e.Side != Target {
		t.Fatalf("copy after %d bytes of manifest: %v", saved.ManifestBytes, err)
	}
	dst.remount(t, 0)
	return true
}

func TestCancelIsResumable(t *testing.T) {
	src, dst := newDisk(t, "ext4", 384<<20), newDisk(t, "ext4", 384<<20)
	apply(t, src.dir, crashTree()...)
	ctx, cancel := context.WithCancel(t.Context())
	var man bytes.Buffer
	var saved Checkpoint
	o := Options{Manifest: &man, ProgressEvery: time.Millisecond}
	o.Checkpoint = func(c Checkpoint) error { saved = c; return nil }
	o.Progress = func(e Event) {
		if e.Files > 30 {
			cancel()
		}
	}
	if _, err := Copy(ctx, src.dir, dst.dir, o); !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled, and the error is %v", err)
	}
	o.Progress = nil
	if saved.ManifestBytes != int64(man.Len()) {
		t.Errorf("the last checkpoint has %d of %d bytes", saved.ManifestBytes, man.Len())
	}
	o.Resume = &Resume{Manifest: bytes.NewReader(bytes.Clone(man.Bytes())), ManifestBytes: saved.ManifestBytes}
	o.Checkpoint = func(Checkpoint) error { return nil }
	if _, err := Copy(t.Context(), src.dir, dst.dir, o); err != nil {
		t.Fatal(err)
	}
	rep, err := Verify(t.Context(), src.dir, dst.dir, Options{Hashes: openManifest(t, man.Bytes())})
	if err != nil || !rep.Equal() {
		t.Errorf("verify: %v %v", err, rep.Differences)
	}
}

// heirs makes directories whose new entries inherit attributes that older entries do not have.
func heirs(on disk) []act {
	acts := []act{mkdir("acl", 0o755), mkdir("flags", 0o755), mkdir("gid", 0o755), mkdir("early", 0o755), file("plain", 0o600, nil)}
	dirs := []string{"acl", "flags", "gid", "early"}
	if on.project {
		acts, dirs = append(acts, mkdir("project", 0o755)), append(dirs, "project")
	}
	for _, d := range dirs {
		acts = append(acts, file(d+"/old", 0o640, []byte(d)), mkdir(d+"/sub", 0o755), file(d+"/sub/old", 0o604, nil), mknod(d+"/fifo", unix.S_IFIFO|0o640, 0, 0))
	}
	acts = append(acts, setx("acl", "system.posix_acl_default", someACL()), chattr("+dA", "flags"), chown("gid", 7, 8), chmod("gid", 0o2775))
	if on.project {
		acts = append(acts, chattr("-p", "77", "+P", "project"))
	}
	switch on.fs {
	case "ext4":
		acts = append(acts, chattr("+SD", "flags"))
	case "btrfs":
		acts = append(acts, chattr("+C", "early"))
	case "xfs":
		acts = append(acts, func(r string) error { return tool(r, "xfs_io", "-c", "cowextsize 64k", "early") },
			func(r string) error { return tool(r, "xfs_io", "-c", "extsize 64k", "flags") })
	}
	for _, d := range dirs {
		acts = append(acts, times(d, 5, 5, 6, 6))
	}
	return acts
}

// TestNothingIsInherited checks that the copies of older entries do not inherit attributes of their directory: neither in the
// first run, nor when a copy is resumed in a directory that was complete but not yet recorded.
func TestNothingIsInherited(t *testing.T) {
	for _, fs := range []string{"ext4", "xfs", "btrfs"} {
		t.Run(fs, func(t *testing.T) {
			src, dst := newDisk(t, fs, 320<<20), newDisk(t, fs, 320<<20)
			apply(t, src.dir, heirs(src)...)
			src.remount(t, unix.MS_RDONLY)
			for _, resume := range []*Resume{nil, {}} {
				if _, err := Copy(t.Context(), src.dir, dst.dir, Options{Resume: resume}); err != nil {
					t.Fatal(err)
				}
				dst.remount(t, unix.MS_NOATIME)
				sameTree(t, src.dir, dst.dir)
				rep, err := Verify(t.Context(), src.dir, dst.dir, Options{})
				if err != nil || !rep.Equal() {
					t.Errorf("resumed %v: verify: %v %v", resume != nil, err, rep.Differences)
				}
			}
		})
	}
}

// TestLargeFileStartsOverTwice: a large file that cannot be continued is copied from the start. If the power fails meanwhile, the
// new file, which already has the full size, must not be taken for the first one.
func TestLargeFileStartsOverTwice(t *testing.T) {
	src, dst := newDisk(t, "ext4", 256<<20), newDisk(t, "ext4", 256<<20)
	const size = 90 << 20
	apply(t, src.dir, file("large", 0o600, bytes.Repeat(noise(1, 1<<20), size>>20)), chattr("+i", "large"))
	src.remount(t, unix.MS_RDONLY)
	target := filepath.Join(dst.dir, "large")
	born := func() int64 { // inode numbers are used again
		var x unix.Statx_t
		_ = unix.Statx(unix.AT_FDCWD, target, 0, unix.STATX_BTIME, &x)
		return x.Btime.Sec*1e9 + int64(x.Btime.Nsec)
	}
	var man manifestBuf
	var saved Checkpoint
	first := int64(0)
	run := func(stop int64) error {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		o := Options{Manifest: &man, ProgressEvery: time.Millisecond, Workers: 2, CheckpointEvery: time.Hour}
		o.Checkpoint = func(c Checkpoint) error {
			if first == 0 || born() == first { // otherwise the power failed before
				saved = c
			}
			return nil
		}
		before := int64(-1)
		o.Progress = func(e Event) {
			if before < 0 {
				before = e.Bytes
			}
			if stop > 0 && e.Bytes-before > stop {
				cancel()
			}
		}
		if saved.ManifestBytes > 0 {
			man.b.Truncate(int(saved.ManifestBytes))
			o.Resume = &Resume{Manifest: bytes.NewReader(bytes.Clone(man.b.Bytes())), ManifestBytes: saved.ManifestBytes}
		}
		_, err := Copy(ctx, src.dir, dst.dir, o)
		return err
	}
	if err := run(30 << 20); !errors.Is(err, context.Canceled) || saved.ManifestBytes == 0 {
		t.Fatalf("first: %v, %+v", err, saved)
	}
	first = born()
	apply(t, dst.dir, chattr("+i", "large")) // it was complete, but not recorded
	if err := run(1 << 20); !errors.Is(err, context.Canceled) {
		t.Fatalf("second: %v", err)
	}
	if born() == first {
		t.Fatal("the second try did not start over")
	}
	if err := errors.Join(os.Truncate(target, 0), os.Truncate(target, size)); err != nil { // none of its data reached the disk
		t.Fatal(err)
	}
	first = 0
	if err := run(0); err != nil {
		t.Fatal(err)
	}
	rep, err := Verify(t.Context(), src.dir, dst.dir, Options{Hashes: openManifest(t, man.b.Bytes())})
	if err != nil || !rep.Equal() {
		t.Errorf("verify: %v, %v", err, rep.Differences)
	}
}

func TestNotEmptyIsRefused(t *testing.T) {
	src, dst := newDisk(t, "ext4", 32<<20), newDisk(t, "ext4", 32<<20)
	apply(t, dst.dir, file("mine", 0o600, nil))
	if _, err := Copy(t.Context(), src.dir, dst.dir, Options{}); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("error %v, want %v", err, ErrNotEmpty)
	}
	if _, err := Copy(t.Context(), src.dir, dst.dir, Options{TargetOnly: []string{"mine"}}); err != nil {
		t.Error(err)
	}
	rep, err := Verify(t.Context(), src.dir, dst.dir, Options{TargetOnly: []string{"mine"}})
	if err != nil || !rep.Equal() {
		t.Errorf("verify: %v %v", err, rep.Differences)
	}
}

func TestFullTarget(t *testing.T) {
	src, dst := newDisk(t, "ext4", 64<<20), newDisk(t, "ext4", 16<<20)
	apply(t, src.dir, file("f", 0o600, noise(1, 40<<20)))
	_, err := Copy(t.Context(), src.dir, dst.dir, Options{})
	var e *Error
	if !errors.As(err, &e) || e.Side != Target || e.Path != "f" || !errors.Is(err, unix.ENOSPC) {
		t.Errorf("error %v, want ENOSPC of the target's f", err)
	}
}

// TestFullTargetIsResumable checks that a full target ends the copy cleanly, and that it resumes once there is space.
func TestFullTargetIsResumable(t *testing.T) {
	for _, fs := range []string{"ext4", "xfs"} {
		t.Run(fs, func(t *testing.T) {
			src, dst := newDisk(t, fs, 400<<20), newDisk(t, fs, 400<<20)
			acts := []act{file("large", 0o600, noise(99, 60<<20))}
			for i := range 12 {
				d := fmt.Sprintf("d%d", i)
				acts = append(acts, mkdir(d, 0o750), setx(d, "user.d", []byte(d)))
				for j := range 8 {
					acts = append(acts, file(fmt.Sprintf("%s/f%d", d, j), 0o640, noise(uint64(i*8+j), 1<<20)))
				}
				acts = append(acts, link(d+"/f1", d+"/link"))
			}
			apply(t, src.dir, acts...)
			src.remount(t, unix.MS_RDONLY)
			var st unix.Statfs_t
			if err := unix.Statfs(dst.dir, &st); err != nil {
				t.Fatal(err)
			}
			// There is space for less than half.
			apply(t, dst.dir, fallocate("ballast", 0, 0, int64(st.Bfree)*st.Bsize-(70<<20)))
			syncDir(t, dst.dir)
			var man manifestBuf
			saved := Checkpoint{}
			o := Options{Manifest: &man, TargetOnly: []string{"ballast"}, CheckpointEvery: 5 * time.Millisecond}
			o.Checkpoint = func(c Checkpoint) error { saved = c; return nil }
			if _, err := Copy(t.Context(), src.dir, dst.dir, o); !errors.Is(err, unix.ENOSPC) {
				t.Fatalf("error %v, want ENOSPC", err)
			}
			if saved.ManifestBytes == 0 {
				t.Fatal("nothing of it is saved")
			}
			if err := os.Remove(filepath.Join(dst.dir, "ballast")); err != nil {
				t.Fatal(err)
			}
			man.b.Truncate(int(saved.ManifestBytes))
			o.Resume = &Resume{Manifest: bytes.NewReader(bytes.Clone(man.b.Bytes())), ManifestBytes: saved.ManifestBytes}
			res, err := Copy(t.Context(), src.dir, dst.dir, o)
			if err != nil || res.Skipped == 0 {
				t.Fatalf("resumed: %v, %d names were there", err, res.Skipped)
			}
			dst.remount(t, unix.MS_NOATIME)
			rep, err := Verify(t.Context(), src.dir, dst.dir, Options{Hashes: openManifest(t, man.b.Bytes())})
			if err != nil || !rep.Equal() {
				t.Errorf("verify: %v, %d differences: %v", err, rep.Count, rep.Differences)
			}
			sameTree(t, src.dir, dst.dir, " allocated ")
		})
	}
}

// TestNoCheckpointAfterALostFlush: the kernel reports a lost write only once, so after a failed sync there is no checkpoint.
func TestNoCheckpointAfterALostFlush(t *testing.T) {
	src, dst := newDisk(t, "ext4", 64<<20), newDisk(t, "ext4", 64<<20)
	apply(t, src.dir, mkdir("d", 0o755), file("d/a", 0o600, noise(1, 5000)), file("b", 0o600, noise(2, 5000)))
	for _, at := range []int{1, 3} {
		wipe(t, dst.dir)
		var told []Checkpoint
		syncs, failed := 0, make(chan struct{})
		o := Options{Workers: 1, Manifest: &manifestBuf{}, CheckpointEvery: time.Millisecond}
		o.Checkpoint = func(c Checkpoint) error { told = append(told, c); return nil }
		o.sync = func(int) error {
			if syncs++; syncs == at {
				close(failed)
				return unix.EIO
			}
			return nil
		}
		o.pace = func() { <-failed } // so that it is not the last one
		_, err := Copy(t.Context(), src.dir, dst.dir, o)
		var e *Error
		if !errors.Is(err, unix.EIO) || !errors.As(err, &e) || e.Op != "syncfs" || len(told) != at-1 || syncs != at {
			t.Errorf("sync %d of %d fails: error %v, %d checkpoints", at, syncs, err, len(told))
		}
	}
	lost := true
	c := &copier{diskMode: &diskMode{}, dst: &root{}, o: Options{Checkpoint: func(Checkpoint) error { t.Error("a checkpoint"); return nil }}}
	c.o.sync = func(int) error {
		if lost {
			lost = false
			return unix.EIO
		}
		return nil
	}
	if err := c.checkpoint(); !errors.Is(err, unix.EIO) {
		t.Error(err)
	}
	if err := c.revoke(&dir{}, "f", 1); !errors.Is(err, unix.EIO) {
		t.Errorf("what cannot be made durable is taken back all the same: %v", err)
	}
}

// written returns how many bytes this process has passed to write calls so far.
func written(t *testing.T) (n int64) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Skipf("SKIPPED, NOTHING TESTED: %v", err)
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "wchar: "); ok {
			if n, err = strconv.ParseInt(strings.TrimSpace(v), 10, 64); err != nil {
				t.Fatal(err)
			}
		}
	}
	return n
}

// pacer limits the number of batches between two checkpoints, so that the cost of a power cut does not depend on how busy the
// machine is. A nil pacer does nothing.
type pacer struct {
	mu      sync.Mutex
	cond    sync.Cond
	since   int
	most    int
	unpaced bool
}

func (p *pacer) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.since, p.unpaced = 0, false
}

func (p *pacer) wait() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.since >= p.most && !p.unpaced {
		p.cond.Wait()
	}
	p.since++
}

func (p *pacer) checkpoint() {
	if p == nil {
		return
	}
	p.mu.Lock()
	p.since = 0
	p.mu.Unlock()
	p.cond.Broadcast()
}

// release lets the workers continue into the power cut.
func (p *pacer) release() {
	if p == nil {
		return
	}
	p.mu.Lock()
	p.unpaced = true
	p.mu.Unlock()
	p.cond.Broadcast()
}

// TestResumeCopiesLittleAgain checks that a restart copies less than a tenth of the tree again, on average. It counts the bytes
// written in excess of a copy without power cuts. Each cut comes between two checkpoints.
func TestResumeCopiesLittleAgain(t *testing.T) {
	src, dst := newDisk(t, "ext4", 384<<20), newDisk(t, "ext4", 384<<20)
	total := int64(0)
	var acts []act
	for i := range 40 {
		d := fmt.Sprintf("d%d", i)
		acts = append(acts, mkdir(d, 0o755))
		for j := range 40 {
			b := noise(uint64(i*40+j), 200+(j*j*7919)%60_000)
			total += int64(len(b))
			acts = append(acts, file(fmt.Sprintf("%s/f%d", d, j), 0o644, b))
		}
	}
	for i := range 2 {
		acts = append(acts, file(fmt.Sprintf("large%d", i), 0o600, bytes.Repeat(noise(1, 1<<20), 20)))
		total += 20 << 20
	}
	apply(t, src.dir, acts...)
	src.remount(t, unix.MS_RDONLY)
	var man manifestBuf
	saved := Checkpoint{}
	rnd := rand.New(rand.NewPCG(7, 7))
	pace := &pacer{most: 5}
	pace.cond.L = &pace.mu
	begin, cuts, skipped := written(t), 0, int64(0)
	for once(t, src, dst, &man, &saved, 3+rnd.IntN(5), cuts < 10, &skipped, pace) {
		cuts++
	}
	again := written(t) - begin - total
	if cuts == 0 {
		t.Fatal("the copy was never cut")
	}
	share := float64(again) / float64(cuts) / float64(total)
	t.Logf("%d power cuts in a copy of %d bytes: %d bytes written again, %.1f %% a restart", cuts, total, again, share*100)
	if share >= 0.10 {
		t.Errorf("%.1f %% copied again a restart, want less than 10", share*100)
	}
}
