package stage

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Complaints are the lines of the kernel's log that tell of damage in the filesystem on a device, by the kernel's name
// of it. Some damage is told nowhere else: ext4 passes over a directory block whose checksum is wrong, and whoever lists the
// directory sees its other names, and no error. The words are those of fs/ext4/super.c, fs/ext2/super.c, fs/xfs/xfs_error.c and
// fs/xfs/xfs_message.c, fs/btrfs/messages.c, fs/f2fs/super.c.
func Complaints(lines []string, dev string) []string {
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

// listen keeps what the kernel complained of since it was asked last.
func (e *Env) listen() error {
	if e.KernelLog == nil {
		return nil
	}
	lines, err := e.KernelLog()
	for _, l := range lines {
		if _, ok := complaint(l); ok && len(e.heard) < mostHeard {
			e.heard = append(e.heard, l)
		}
	}
	return err
}

// complaints adds what the kernel said of the source while it was read to what is not in the copy, and refuses a target that it
// said such things of.
func (e *Env) complaints(c *Counts, j Job) error {
	if err := e.listen(); err != nil {
		return err
	}
	if bad := Complaints(e.heard, path.Base(j.ToDev)); len(bad) > 0 {
		return fmt.Errorf("target %s: the kernel found damage in what was just made there: %q; look at the disk", j.ToDev, bad[0])
	}
	c.Damaged(e.heard, j.FromDev)
	return nil
}

// Damaged adds what the kernel complained of about the filesystem on a device, by its path, to what a copy lacks.
func (c *Counts) Damaged(lines []string, dev string) {
	for _, l := range Complaints(lines, path.Base(dev)) {
		c.Unread++
		c.Skipped = append(c.Skipped, fmt.Sprintf("%s: the kernel found damage, and names may lack: %q; e2fsck -f, xfs_repair or btrfs check mends it, from a rescue system", dev, l))
	}
}
