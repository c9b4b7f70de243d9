package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	blkpg          = 0x1269 // BLKPG, include/uapi/linux/blkpg.h
	partitionGrace = 5 * time.Second
	nodeGrace      = 10 * time.Second
)

// setPartitions compares and changes the partitions until nothing differs. It may take several rounds: on a live system udev
// re-reads the table as soon as a writer closes the disk, and may add or remove the same partitions at the same time, or have
// one open to probe it.
func setPartitions(ctx context.Context, e Partitions) error {
	// Open it read-only: closing a writable descriptor would trigger udev.
	f, err := os.Open(e.Dev)
	if err != nil {
		return err
	}
	defer f.Close()
	disk, err := blockOf(e.Dev)
	if err != nil {
		return err
	}
	size, err := deviceSize(f)
	if err != nil {
		return err
	}
	if err := checkParts(e.Dev, size, e.Parts); err != nil {
		return err
	}
	if err := lockDisk(ctx, f); err != nil {
		return err
	}
	var race error
	done := false
	err = poll(ctx, partitionGrace, func() (bool, error) {
		race = nil
		done, race, err = stepPartitions(f, disk, e)
		return done, err
	})
	if err != nil {
		return err
	}
	if !done {
		return fmt.Errorf("device %s: partitions still differ after %s: %w", e.Dev, partitionGrace, race)
	}
	return waitNodes(ctx, disk, e)
}

// lockDisk keeps udev from re-reading the table while f is open, which would remove every partition for a moment (systemd's
// "Locking Block Device Access"). It waits at most busyGrace for a lock that another process holds, and then continues without:
// the lock only avoids races, which setPartitions can handle.
func lockDisk(ctx context.Context, f *os.File) error {
	return poll(ctx, busyGrace, func() (bool, error) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.EINTR) {
			return false, nil
		}
		if err != nil {
			return false, pathError("lock", f.Name(), err)
		}
		return true, nil
	})
}

// stepPartitions makes one attempt. race is a failure that may not occur again in the next attempt.
func stepPartitions(f *os.File, disk block, e Partitions) (done bool, race, err error) {
	have, err := disk.partitions()
	if err != nil {
		return false, nil, err
	}
	extents := make([]Extent, len(have))
	byNumber := map[int]block{}
	for i, p := range have {
		extents[i], byNumber[p.Number] = p.Extent, p.block
	}
	del, add := diffParts(extents, e.Parts)
	if len(del)+len(add) == 0 {
		return true, nil, nil
	}
	// all or nothing: check every partition before the first one is removed
	for _, p := range del {
		if users := byNumber[p.Number].users(); len(users) > 0 {
			return false, nil, fmt.Errorf("device %s: partition %d would change and is in use: %s", e.Dev, p.Number, strings.Join(users, ", "))
		}
	}
	for _, p := range del {
		if err := partitionCall(f, unix.BLKPG_DEL_PARTITION, Extent{Number: p.Number}); err != nil {
			who := strings.Join(byNumber[p.Number].openers(), ", ")
			err = fmt.Errorf("device %s: remove partition %d: %s: %w", e.Dev, p.Number, orElse(who, "no process was found that has it open"), err)
			return retryable(err)
		}
	}
	for _, p := range add {
		if err := partitionCall(f, unix.BLKPG_ADD_PARTITION, p); err != nil {
			return retryable(fmt.Errorf("device %s: add partition %d (%d bytes at %d): %w", e.Dev, p.Number, p.Size, p.Start, err))
		}
	}
	// look again: what the kernel shows counts, not the return codes
	return false, errors.New("the kernel does not show the change yet"), nil
}

// retryable returns err as a race if another attempt may succeed, and as a failure otherwise.
func retryable(err error) (bool, error, error) {
	for _, passing := range []error{unix.EBUSY, unix.EEXIST, unix.ENXIO} {
		if errors.Is(err, passing) {
			return false, err, nil
		}
	}
	return false, nil, err
}

func partitionCall(f *os.File, op int32, p Extent) error {
	part := unix.BlkpgPartition{Start: p.Start, Length: p.Size, Pno: int32(p.Number)}
	arg := unix.BlkpgIoctlArg{Op: op, Datalen: int32(unsafe.Sizeof(part)), Data: (*byte)(unsafe.Pointer(&part))}
	return ioctl(f, blkpg, unsafe.Pointer(&arg))
}

// waitNodes waits until every partition has its node in devtmpfs, with the right device number.
func waitNodes(ctx context.Context, disk block, e Partitions) error {
	missing := ""
	done := false
	err := poll(ctx, nodeGrace, func() (bool, error) {
		have, err := disk.partitions()
		if err != nil {
			return false, err
		}
		missing = ""
		if len(have) < len(e.Parts) {
			missing = "a partition that was just made"
		}
		for _, p := range have {
			if !p.block.is(p.block.node()) {
				missing = p.block.node()
			}
		}
		done = missing == ""
		return done, nil
	})
	if err == nil && !done {
		err = fmt.Errorf("device %s: no node %s after %s", e.Dev, missing, nodeGrace)
	}
	return err
}
