package machine

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func kernelParts(t *testing.T, dev string) []Extent {
	t.Helper()
	b, err := blockOf(dev)
	must(t, err)
	parts, err := b.partitions()
	must(t, err)
	var out []Extent
	for _, p := range parts {
		out = append(out, p.Extent)
		var st unix.Stat_t
		if err := unix.Stat(p.block.node(), &st); err != nil || st.Rdev != p.block.rdev {
			t.Errorf("node %s: %v", p.block.node(), err)
		}
	}
	slices.SortFunc(out, func(a, b Extent) int { return a.Number - b.Number })
	return out
}

func TestPartitionsFollowTheTable(t *testing.T) {
	dev, _ := loopDevice(t, 32*mib)
	for _, want := range [][]Extent{
		{{1, mib, mib}, {2, 2 * mib, 4 * mib}, {128, 16 * mib, 16 * mib}},
		{{1, mib, mib}, {2, 2 * mib, 4 * mib}, {128, 16 * mib, 16 * mib}},
		{{1, mib, mib}, {2, 2 * mib, 8 * mib}, {3, 16 * mib, 4096}},
		{{2, mib, mib}, {1, 2 * mib, 8 * mib}},
		nil,
	} {
		must(t, do(t, Partitions{dev, want}))
		sorted := slices.SortedFunc(slices.Values(want), func(a, b Extent) int { return a.Number - b.Number })
		if got := kernelParts(t, dev); !slices.Equal(got, sorted) {
			t.Errorf("kernel has %v, want %v", got, want)
		}
	}
	wantError(t, do(t, Partitions{dev, []Extent{{1, mib, 32 * mib}}}), dev, "partition 1", "lie outside")
	wantError(t, do(t, Partitions{"/dev/null", nil}), "/dev/null", "not a block device")
}

func TestPartitionsInUseStay(t *testing.T) {
	dev, _ := loopDevice(t, 32*mib)
	have := []Extent{{1, mib, mib}, {2, 2 * mib, 16 * mib}}
	must(t, do(t, Partitions{dev, have}))
	dir := mounted(t, dev+"p2")
	wantError(t, do(t, Partitions{dev, nil}), dev, "partition 2", "mounted on "+dir)
	if got := kernelParts(t, dev); !slices.Equal(got, have) {
		t.Errorf("kernel has %v: partition 1 should have stayed too", got)
	}
	// a partition that does not change may be in use
	must(t, do(t, Partitions{dev, have[1:]}))
	must(t, do(t, Unmount{dir}))
}

func TestPartitionsWaitForAProber(t *testing.T) {
	dev, _ := loopDevice(t, 8*mib)
	must(t, do(t, Partitions{dev, []Extent{{1, mib, mib}}}))
	f, err := os.Open(dev + "p1")
	must(t, err)
	time.AfterFunc(4*pollEvery, func() { _ = f.Close() })
	must(t, do(t, Partitions{dev, nil}))
	if got := kernelParts(t, dev); got != nil {
		t.Errorf("kernel has %v", got)
	}
}

// TestPartitionsWaitForALock: udev locks a disk while it works on it, and leaves a disk alone that another process has locked.
func TestPartitionsWaitForALock(t *testing.T) {
	dev, _ := loopDevice(t, 8*mib)
	f, err := os.Open(dev)
	must(t, err)
	defer f.Close()
	must(t, unix.Flock(int(f.Fd()), unix.LOCK_SH))
	ctx, cancel := context.WithTimeout(t.Context(), 4*pollEvery)
	defer cancel()
	want := []Extent{{1, mib, mib}}
	if _, err := new(Real).Do(ctx, Partitions{dev, want}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v while another process has the lock", err)
	}
	time.AfterFunc(4*pollEvery, func() { _ = unix.Flock(int(f.Fd()), unix.LOCK_UN) })
	must(t, do(t, Partitions{dev, want}))
	must(t, unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)) // it has released its own lock
	if got := kernelParts(t, dev); !slices.Equal(got, want) {
		t.Errorf("kernel has %v", got)
	}
	must(t, unix.Flock(int(f.Fd()), unix.LOCK_UN))
}

func TestPartitionsNameWhoeverHasOneOpen(t *testing.T) {
	t.Parallel() // waits
	dev, _ := loopDevice(t, 8*mib)
	must(t, do(t, Partitions{dev, []Extent{{1, mib, mib}}}))
	f, err := os.Open(dev + "p1")
	must(t, err)
	defer f.Close()
	wantError(t, do(t, Partitions{dev, nil}), "remove partition 1", "machine.test", "busy")
}

func TestUeventsTellOfPartitions(t *testing.T) {
	dev, _ := loopDevice(t, 8*mib)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events, err := Uevents(ctx)
	must(t, err)
	must(t, do(t, Partitions{dev, []Extent{{1, mib, mib}}}))
	name := strings.TrimPrefix(dev, "/dev/") + "p1"
	late := time.After(busyGrace)
	for seen := false; !seen; {
		select {
		case u := <-events:
			seen = u.Action == "add" && u.Subsystem == "block" && u.Devname == name && strings.HasSuffix(u.Devpath, "/"+name)
		case <-late:
			t.Fatalf("no event for %s", name)
		}
	}
	cancel()
	for range events { // ends when the channel is closed
	}
}

func TestMountAndUnmount(t *testing.T) {
	needRoot(t)
	dir, other := t.TempDir(), t.TempDir()
	unmount := func() {
		for _, d := range []string{other, dir} {
			_ = unix.Unmount(d, unix.MNT_DETACH)
		}
	}
	t.Cleanup(unmount)
	must(t, do(t, Mount{"tmpfs", dir, "tmpfs", NoSuid | NoDev | NoExec, "size=1m", false}))
	flags := func(path string) int64 {
		var st unix.Statfs_t
		must(t, unix.Statfs(path, &st))
		return int64(st.Flags)
	}
	if want := int64(unix.ST_NOSUID | unix.ST_NODEV | unix.ST_NOEXEC); flags(dir)&want != want {
		t.Errorf("flags %#x, want %#x", flags(dir), want)
	}
	must(t, do(t, Mount{dir, other, "", Bind | ReadOnly, "", false}))
	if flags(other)&unix.ST_RDONLY == 0 || flags(dir)&unix.ST_RDONLY != 0 {
		t.Errorf("flags: bind %#x, original %#x", flags(other), flags(dir))
	}
	if !isMountPoint(dir) {
		t.Error("no mount point")
	}
	f, err := os.Create(dir + "/open")
	must(t, err)
	must(t, do(t, Unmount{other}))
	wantError(t, do(t, Unmount{dir}), dir, "busy")
	must(t, f.Close())
	must(t, do(t, Unmount{dir}))
	wantError(t, do(t, Unmount{dir}), dir, "invalid argument")
	wantError(t, do(t, Mount{"/dev/nonexistent", dir, "ext4", ReadOnly, "noload", false}), dir, "no such file")
	wantError(t, do(t, Mount{"none", dir, "nosuchfs", 0, "", false}), "no such device")
}
