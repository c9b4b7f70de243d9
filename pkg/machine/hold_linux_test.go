package machine

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// udevMay reports whether udev could take its shared lock of a disk.
func udevMay(t *testing.T, dev string) bool {
	t.Helper()
	f, err := os.Open(dev)
	must(t, err)
	defer f.Close()
	err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if err != nil && !errors.Is(err, unix.EWOULDBLOCK) {
		t.Fatal(err)
	}
	return err == nil
}

// TestHoldDisk checks that the lock survives writes and new partitions, and that taking it waits for another holder.
func TestHoldDisk(t *testing.T) {
	dev, _ := loopDevice(t, 16*mib)
	r, ctx := new(Real), t.Context()
	act := func(e Effect) {
		t.Helper()
		if _, err := r.Do(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
	act(HoldDisk{dev, true})
	act(HoldDisk{dev, true}) // again, as when a stage of finish is run on its own
	act(WriteDevice{Dev: dev, Chunks: []Chunk{{Offset: 0, Zero: 512}}})
	act(Partitions{Dev: dev, Parts: []Extent{{1, mib, mib}}})
	act(WriteDevice{Dev: dev + "p1", Chunks: []Chunk{{Offset: 0, Zero: 512}}})
	if udevMay(t, dev) {
		t.Error("not locked")
	}
	act(HoldDisk{dev, false})
	act(HoldDisk{dev, false})
	if !udevMay(t, dev) {
		t.Error("still locked")
	}
	act(HoldDisk{dev, true})
	if f, err := holdDisk(ctx, dev, 50*time.Millisecond); err == nil {
		_ = f.Close()
		t.Error("locked twice")
	} else {
		wantError(t, err, dev, "another program has locked it")
	}
	freed := make(chan error, 1)
	go func() {
		time.Sleep(100 * time.Millisecond)
		_, err := r.Do(context.Background(), HoldDisk{dev, false})
		freed <- err
	}()
	f, err := holdDisk(ctx, dev, 5*time.Second)
	must(t, err)
	must(t, <-freed)
	must(t, f.Close())
}

// TestHoldReadOnlyDisk checks that a read-only disk can be locked: finish makes it writable while it holds the lock.
func TestHoldReadOnlyDisk(t *testing.T) {
	dev, _ := loopDevice(t, mib)
	must(t, do(t, SetReadOnly{dev, true}))
	r := new(Real)
	_, err := r.Do(t.Context(), HoldDisk{dev, true})
	must(t, err)
	if udevMay(t, dev) {
		t.Error("not locked")
	}
	_, err = r.Do(t.Context(), HoldDisk{dev, false})
	must(t, err)
	_, err = r.Do(t.Context(), HoldDisk{"/dev/nonexistent", true})
	wantError(t, err, "/dev/nonexistent")
}
