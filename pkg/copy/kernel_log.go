package copy

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
)

// maxKept bounds the lines that a KernelLog keeps.
const maxKept = 100

// KernelLog collects the kernel's messages about damaged filesystems. Some damage is reported nowhere else: ext4 skips a
// directory block whose checksum is wrong, and a program that lists the directory gets the other names and no error.
// A nil KernelLog collects nothing. Safe for concurrent use.
type KernelLog struct {
	// Read returns those lines logged since the last call that keep accepts. lost reports that some were overwritten unread.
	Read func(keep func(string) bool) (lines []string, lost bool, err error)

	mu    sync.Mutex
	lines []string
	lost  bool
	err   error
}

// Poll reads the new lines. It must be called every few seconds, because the kernel's buffer is limited.
func (k *KernelLog) Poll() {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err != nil {
		return
	}
	lines, lost, err := k.Read(func(l string) bool { _, ok := damagedDevice(l); return ok })
	k.lines = append(k.lines, lines[:min(len(lines), maxKept-len(k.lines))]...)
	k.lost, k.err = k.lost || lost, err
}

// Watch returns a progress function that polls and then calls next, which may be nil.
func (k *KernelLog) Watch(next func(Progress)) func(Progress) {
	return func(p Progress) {
		k.Poll()
		if next != nil {
			next(p)
		}
	}
}

// FilesystemErrors returns the lines about two devices, which are given by their paths. An error means that some may be missing.
func (k *KernelLog) FilesystemErrors(from, to string) (ofFrom, ofTo []string, err error) {
	if k == nil {
		return nil, nil, nil
	}
	k.Poll()
	k.mu.Lock()
	defer k.mu.Unlock()
	err = k.err
	if k.lost {
		err = errors.Join(err, errors.New("kernel log: some lines were overwritten before they were read"))
	}
	return errorsOf(k.lines, path.Base(from)), errorsOf(k.lines, path.Base(to)), err
}

// AddKernelErrors counts the errors that the kernel logged about the source device as unread, and returns an error if it logged
// any about the target. A path is "" if there is no device. unsure is not nil if some lines may be missing.
func (c *Counts) AddKernelErrors(k *KernelLog, from, to string) (unsure, err error) {
	ofFrom, ofTo, unsure := k.FilesystemErrors(from, to)
	if len(ofTo) > 0 {
		return unsure, fmt.Errorf("target %s: the kernel logged errors of the filesystem that was just written: %q; check the disk", to, ofTo[0])
	}
	for _, l := range ofFrom {
		c.Unread++
		c.Skipped = append(c.Skipped, fmt.Sprintf("%s: the kernel logged filesystem errors; directory entries may be missing: %q; repair it from a rescue system with e2fsck -f, xfs_repair or btrfs check", from, l))
	}
	return unsure, nil
}

// errorsOf selects the lines about a device, which is given by its kernel name.
func errorsOf(lines []string, dev string) []string {
	var out []string
	for _, l := range lines {
		if of, ok := damagedDevice(l); ok && of == dev {
			out = append(out, l)
		}
	}
	return out
}

// damagedDevice returns the device that a line reports as damaged. The messages are from the kernel's fs/ext4/super.c,
// fs/ext2/super.c, fs/xfs/xfs_error.c and fs/xfs/xfs_message.c, fs/btrfs/messages.c, fs/f2fs/super.c.
func damagedDevice(line string) (dev string, ok bool) {
	for _, c := range []struct {
		head string
		any  []string // one of these must follow; nil: the head is enough
	}{
		{"EXT4-fs error (device ", nil},
		{"EXT3-fs error (device ", nil},
		{"EXT2-fs (", []string{": error: "}},
		{"XFS (", []string{"orruption", "CRC error", "Internal error", "etadata I/O error"}},
		{"BTRFS error (device ", nil},
		{"BTRFS critical (device ", nil},
		{"BTRFS warning (device ", []string{"csum failed", "checksum"}},
		{"F2FS-fs (", []string{"nconsistent", "orrupt", "invalid"}},
	} {
		rest, is := strings.CutPrefix(line, c.head)
		end := strings.IndexAny(rest, ":)") // "(device vda2: state E)" since Linux 5.19
		if !is || end < 0 {
			continue
		}
		rest, dev = rest[end:], rest[:end]
		if c.any == nil || slices.ContainsFunc(c.any, func(w string) bool { return strings.Contains(rest, w) }) {
			return dev, true
		}
	}
	return "", false
}
