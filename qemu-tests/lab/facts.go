package lab

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"migrate-init/qemu-tests/lab/manifest"
)

// Mount is one row of findmnt.
type Mount struct {
	Target  string `json:"target"`
	Source  string `json:"source"`
	FSType  string `json:"fstype"`
	Options string `json:"options"`
	UUID    string `json:"uuid"`
}

// FindMount asks the guest's findmnt what is mounted at target.
func (vm *VM) FindMount(ctx context.Context, target string) (Mount, error) {
	out, err := vm.MustRun(ctx, "findmnt --json --output TARGET,SOURCE,FSTYPE,OPTIONS,UUID --mountpoint "+Quote(target))
	if err != nil {
		return Mount{}, err
	}
	var r struct{ Filesystems []Mount }
	if err := json.Unmarshal([]byte(out), &r); err != nil || len(r.Filesystems) != 1 {
		return Mount{}, fmt.Errorf("lab: findmnt %s: %d rows: %w", target, len(r.Filesystems), err)
	}
	return r.Filesystems[0], nil
}

// Quote makes one shell word of s.
func Quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// Array is one array of /proc/mdstat.
type Array struct {
	Name    string   // md0
	State   string   // "active", "active (read-only)", "inactive"
	Level   string   // raid1; empty when inactive
	Members []string // vda2, vdb2(F), in the kernel's order
	Legs    string   // UU, U_; empty when inactive or without redundancy
	Action  string   // recovery, resync, reshape, check; empty when idle
	Text    string   // its lines
}

// Arrays reads the guest's /proc/mdstat; without the md driver there are none.
func (vm *VM) Arrays(ctx context.Context) ([]Array, error) {
	out, err := vm.MustRun(ctx, "if [ -e /proc/mdstat ]; then cat /proc/mdstat; fi")
	if err != nil {
		return nil, err
	}
	return parseMdstat(out), nil
}

func parseMdstat(text string) []Array {
	head := regexp.MustCompile(`^(md\S+) : (\S+(?: \([a-z-]+\))*)(?: (linear|multipath|faulty|raid\d+))?((?: \S+\[\d+\](?:\([A-Z]\))*)*)\s*$`)
	legs := regexp.MustCompile(`\[\d+/\d+\] \[([U_]+)\]`)
	action := regexp.MustCompile(`(recovery|resync|reshape|check)\s*=`)
	slot := regexp.MustCompile(`\[\d+\]`)
	var all []Array
	for _, line := range strings.Split(text, "\n") {
		if m := head.FindStringSubmatch(line); m != nil {
			a := Array{Name: m[1], State: m[2], Level: m[3], Text: line}
			for _, w := range strings.Fields(m[4]) {
				a.Members = append(a.Members, slot.ReplaceAllString(w, ""))
			}
			all = append(all, a)
			continue
		}
		if len(all) == 0 || !strings.HasPrefix(line, " ") || strings.TrimSpace(line) == "" {
			continue
		}
		a := &all[len(all)-1]
		a.Text += "\n" + line
		if m := legs.FindStringSubmatch(line); m != nil {
			a.Legs = m[1]
		}
		if m := action.FindStringSubmatch(line); m != nil {
			a.Action = m[1]
		}
	}
	return all
}

// Partition is a row of a GPT, in bytes.
type Partition struct {
	Number      int
	Start, Size int64
	Name        string
}

// Partitions reads the primary GPT of a disk image with 512-byte sectors. It checks nothing: the lab's own reader, so that
// a test need not trust pkg/gpt.
func Partitions(image string) ([]Partition, error) {
	f, err := os.Open(image)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	head := make([]byte, 92)
	if _, err := f.ReadAt(head, 512); err != nil || string(head[:8]) != "EFI PART" {
		return nil, fmt.Errorf("lab: %s: no GPT: %w", image, err)
	}
	le := binary.LittleEndian
	table := make([]byte, 128*min(le.Uint32(head[80:]), 128))
	if _, err := f.ReadAt(table, int64(le.Uint64(head[72:]))*512); err != nil {
		return nil, fmt.Errorf("lab: %s: partition entries: %w", image, err)
	}
	var all []Partition
	for i := 0; i+128 <= len(table); i += 128 {
		e := table[i : i+128]
		if le.Uint64(e) == 0 && le.Uint64(e[8:]) == 0 {
			continue
		}
		p := Partition{Number: i/128 + 1, Start: int64(le.Uint64(e[32:])) * 512}
		p.Size = (int64(le.Uint64(e[40:]))+1)*512 - p.Start
		for j := 56; j < 128 && e[j] != 0; j += 2 {
			p.Name += string(rune(le.Uint16(e[j:])))
		}
		all = append(all, p)
	}
	return all, nil
}

// WithMounted mounts a partition of a disk image read-only on the host, calls f with the directory and unmounts. A
// partition that is a member of a RAID1 with 1.2 metadata is looked into. The guest must be off. The journal is not
// replayed and not a byte of the image changes.
func WithMounted(ctx context.Context, image string, partition int, f func(dir string) error) error {
	return withMounted(ctx, image, partition, "ro,noload", f)
}

// WithWritable is WithMounted for who changes files: the journal is replayed, and what was written is on the image after it.
func WithWritable(ctx context.Context, image string, partition int, f func(dir string) error) error {
	return withMounted(ctx, image, partition, "rw", f)
}

func withMounted(ctx context.Context, image string, partition int, options string, f func(dir string) error) (err error) {
	all, err := Partitions(image)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(p Partition) bool { return p.Number == partition })
	if i < 0 {
		return fmt.Errorf("lab: %s has no partition %d", image, partition)
	}
	start, size, err := inside(image, all[i].Start, all[i].Size)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "lab-mount-")
	if err != nil {
		return err
	}
	defer os.Remove(dir)
	if err := command(ctx, nil, "mount", "-t", "ext4", "-o", fmt.Sprintf("%s,loop,offset=%d,sizelimit=%d", options, start, size), image, dir); err != nil {
		return err
	}
	defer func() {
		if e := unix.Unmount(dir, 0); e != nil && err == nil {
			err = fmt.Errorf("lab: unmount %s: %w", dir, e)
		}
		if err != nil {
			_ = unix.Unmount(dir, unix.MNT_DETACH)
		}
	}()
	return f(dir)
}

// inside moves past an md 1.2 superblock (4 KiB into the member; data_offset and data_size in sectors at 128 and 136:
// linux/raid/md_p.h).
func inside(image string, start, size int64) (int64, int64, error) {
	f, err := os.Open(image)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	sb := make([]byte, 256)
	if _, err := f.ReadAt(sb, start+4096); err != nil {
		return 0, 0, err
	}
	le := binary.LittleEndian
	if le.Uint32(sb) != 0xa92b4efc || le.Uint32(sb[4:]) != 1 {
		return start, size, nil
	}
	return start + int64(le.Uint64(sb[128:]))*512, int64(le.Uint64(sb[136:])) * 512, nil
}

// ImageManifest is the manifest of a partition's filesystem, read on the host; see WithMounted.
func ImageManifest(ctx context.Context, image string, partition int, skip ...string) (all []manifest.Entry, err error) {
	err = WithMounted(ctx, image, partition, func(dir string) error {
		all, err = manifest.Read(dir, skip)
		return err
	})
	return all, err
}
