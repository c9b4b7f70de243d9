package stage

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
)

// about are the lines of the kernel's log that tell of damage in the filesystem on a device, by the kernel's name
// of it. Some damage is told nowhere else: ext4 passes over a directory block whose checksum is wrong, and whoever lists the
// directory sees its other names, and no error. The words are those of fs/ext4/super.c, fs/ext2/super.c, fs/xfs/xfs_error.c and
// fs/xfs/xfs_message.c, fs/btrfs/messages.c, fs/f2fs/super.c.
func about(lines []string, dev string) []string {
	var out []string
	for _, l := range lines {
		if of, ok := complaint(l); ok && of == dev {
			out = append(out, l)
		}
	}
	return out
}

func complaint(line string) (dev string, ok bool) {
	for _, c := range []struct {
		head  string
		words []string
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
		if c.words == nil || slices.ContainsFunc(c.words, func(w string) bool { return strings.Contains(rest, w) }) {
			return dev, true
		}
	}
	return "", false
}

// mostHeard bounds the complaints that are kept.
const mostHeard = 100

// Ear keeps what the kernel complains of. A nil Ear hears nothing. Safe for concurrent use.
type Ear struct {
	// Read gives the lines that the kernel logged since it was asked last and that keep wants; lost says that there were others.
	Read func(keep func(string) bool) (lines []string, lost bool, err error)

	mu    sync.Mutex
	heard []string
	lost  bool
	err   error
}

// Listen reads the log. It wants to be called every few seconds: the kernel keeps so much of it and no more.
func (e *Ear) Listen() {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err != nil {
		return
	}
	lines, lost, err := e.Read(func(l string) bool { _, ok := complaint(l); return ok })
	e.heard = append(e.heard, lines[:min(len(lines), mostHeard-len(e.heard))]...)
	e.lost, e.err = e.lost || lost, err
}

// Listening is next, and listens.
func (e *Ear) Listening(next func(Progress)) func(Progress) {
	return func(p Progress) {
		e.Listen()
		if next != nil {
			next(p)
		}
	}
}

// Complaints are those about two devices, by their paths. An error says that some may be unheard.
func (e *Ear) Complaints(from, to string) (ofFrom, ofTo []string, err error) {
	if e == nil {
		return nil, nil, nil
	}
	e.Listen()
	e.mu.Lock()
	defer e.mu.Unlock()
	err = e.err
	if e.lost {
		err = errors.Join(err, errors.New("kernel log: some of it was overwritten before it was read"))
	}
	return about(e.heard, path.Base(from)), about(e.heard, path.Base(to)), err
}

// complaints is Heard for a pair of the plan.
func (e *Env) complaints(stage string, c *Counts, j Job) error {
	unsure, err := c.Heard(e.Ear, j.FromDev, j.ToDev)
	if unsure != nil {
		e.tell(stage, "warning: %v; damage that only it tells of may be unnoticed", unsure)
	}
	return err
}

// Heard adds what the kernel said of the source's device, by its path, while it was read to what a copy lacks, and refuses a target of
// which it said such things. A path is "" where there is no device. unsure says that some may be unheard.
func (c *Counts) Heard(e *Ear, from, to string) (unsure, err error) {
	ofFrom, ofTo, unsure := e.Complaints(from, to)
	if len(ofTo) > 0 {
		return unsure, fmt.Errorf("target %s: the kernel found damage in what was just made there: %q; look at the disk", to, ofTo[0])
	}
	for _, l := range ofFrom {
		c.Unread++
		c.Skipped = append(c.Skipped, fmt.Sprintf("%s: the kernel found damage, and names may lack: %q; e2fsck -f, xfs_repair or btrfs check mends it, from a rescue system", from, l))
	}
	return unsure, nil
}
