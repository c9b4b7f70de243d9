package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// block is a block device as sysfs shows it.
type block struct {
	name string // "sda1"
	dir  string // its directory in sysfs
	rdev uint64
}

type partition struct {
	Extent
	block block
}

func blockOf(dev string) (block, error) {
	var st unix.Stat_t
	if err := unix.Stat(dev, &st); err != nil {
		return block{}, pathError("stat", dev, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return block{}, pathError("open", dev, errors.New("is not a block device"))
	}
	rdev := uint64(st.Rdev)
	dir, err := filepath.EvalSymlinks(fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(rdev), unix.Minor(rdev)))
	if err != nil {
		return block{}, fmt.Errorf("device %s: not in sysfs: %w", dev, err)
	}
	return block{name: filepath.Base(dir), dir: dir, rdev: rdev}, nil
}

func blockAt(dir string) (block, error) {
	text, err := os.ReadFile(filepath.Join(dir, "dev"))
	if err != nil {
		return block{}, err
	}
	major, minor, _ := strings.Cut(strings.TrimSpace(string(text)), ":")
	a, errA := strconv.ParseUint(major, 10, 32)
	b, errB := strconv.ParseUint(minor, 10, 32)
	if err := errors.Join(errA, errB); err != nil {
		return block{}, fmt.Errorf("sysfs %s/dev: %w", dir, err)
	}
	return block{name: filepath.Base(dir), dir: dir, rdev: unix.Mkdev(uint32(a), uint32(b))}, nil
}

// node returns the path of its node in devtmpfs.
func (b block) node() string { return "/dev/" + strings.ReplaceAll(b.name, "!", "/") }

// partitions reads the kernel's view of the partitions. sysfs counts in units of 512 bytes, whatever the sector size. A
// partition that vanishes meanwhile is left out.
func (b block) partitions() ([]partition, error) {
	files, err := filepath.Glob(filepath.Join(b.dir, "*", "partition"))
	if err != nil {
		return nil, err
	}
	var parts []partition
	for _, file := range files {
		dir := filepath.Dir(file)
		child, err := blockAt(dir)
		number, errN := sysInt(file)
		start, errS := sysInt(filepath.Join(dir, "start"))
		size, errZ := sysInt(filepath.Join(dir, "size"))
		err = errors.Join(err, errN, errS, errZ)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENODEV) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("device %s: %w", b.name, err)
		}
		parts = append(parts, partition{Extent{int(number), start << 9, size << 9}, child})
	}
	return parts, nil
}

func sysInt(path string) (int64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 54)
	if err != nil {
		return 0, fmt.Errorf("sysfs %s: %w", path, err)
	}
	return n, nil
}

// users describes what keeps the device itself (not its partitions) busy: devices on top of it, mounts and swap.
func (b block) users() []string {
	var out []string
	holders, _ := os.ReadDir(filepath.Join(b.dir, "holders"))
	for _, h := range holders {
		out = append(out, b.name+" is held by "+h.Name())
	}
	mounts, _ := mountinfo.GetMounts(nil)
	for _, m := range mounts {
		// btrfs mounts have an anonymous device number, so compare the source as well
		if unix.Mkdev(uint32(m.Major), uint32(m.Minor)) == b.rdev || strings.HasPrefix(m.Source, "/") && b.is(m.Source) {
			out = append(out, b.name+" is mounted on "+m.Mountpoint)
		}
	}
	swaps, _ := os.ReadFile("/proc/swaps")
	for line := range strings.Lines(string(swaps)) {
		if f := strings.Fields(line); len(f) > 0 && strings.HasPrefix(f[0], "/") && b.is(f[0]) {
			out = append(out, b.name+" is used as swap")
		}
	}
	return out
}

func (b block) is(path string) bool {
	var st unix.Stat_t
	return unix.Stat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFBLK && uint64(st.Rdev) == b.rdev
}

// openers describes the processes that have the device's node open. It helps to explain a device that is busy without users.
func (b block) openers() []string {
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	seen := map[string]bool{}
	var out []string
	for _, link := range links {
		pid := strings.Split(link, "/")[2]
		if target, err := os.Readlink(link); err != nil || target != b.node() || seen[pid] {
			continue
		}
		seen[pid] = true
		comm, _ := os.ReadFile("/proc/" + pid + "/comm")
		out = append(out, fmt.Sprintf("%s is open in process %s (%s)", b.name, pid, strings.TrimSpace(string(comm))))
	}
	return out
}

// poll calls ask until it returns true or an error, or ctx ends, or limit has passed. Reaching limit is not an error.
func poll(ctx context.Context, limit time.Duration, ask func() (bool, error)) error {
	err := waitUntil(ctx, limit, pollEvery, nil, ask)
	var late *TimeoutError
	if errors.As(err, &late) {
		return nil
	}
	return err
}
