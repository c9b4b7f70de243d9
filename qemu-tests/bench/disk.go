package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// lab owns the images and loop devices.
type lab struct {
	o     options
	disks []*disk
}

// disk is a filesystem on a loop device with direct I/O.
type disk struct {
	image, dev, dir, fs string
	readOnly, mounted   bool
	size                int64
}

func tool(name string, args ...string) (string, error) {
	c := exec.Command(name, args...)
	var words strings.Builder
	c.Stderr = &words
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, words.String())
	}
	return strings.TrimSpace(string(out)), nil
}

func (l *lab) disk(name, fs string, size int64) (*disk, error) {
	d := &disk{image: filepath.Join(l.o.dir, name+".img"), dir: filepath.Join(l.o.dir, name+".mnt"), fs: fs, size: size}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(d.image, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && st.Size() != size {
		err = f.Truncate(size)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	l.disks = append(l.disks, d)
	return d, d.attach()
}

func (d *disk) attach() (err error) {
	d.dev, err = tool("losetup", "--find", "--show", "--direct-io=on", d.image)
	return err
}

func (d *disk) detach() error {
	if d.dev == "" {
		return nil
	}
	if err := d.umount(); err != nil {
		return err
	}
	_, err := tool("losetup", "-d", d.dev)
	if err == nil {
		d.dev = ""
	}
	return err
}

// mkfs without discard: the image keeps its blocks, as a disk does.
func (d *disk) mkfs() error {
	if err := d.umount(); err != nil {
		return err
	}
	args := []string{"-q", "-F", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0"}
	if d.fs == "xfs" {
		args = []string{"-q", "-f", "-K"}
	}
	_, err := tool("mkfs."+d.fs, append(args, d.dev)...)
	return err
}

func (d *disk) mount() error {
	// Whoever looks at the target between its copy and the verification must not change its access times.
	flags := uintptr(unix.MS_NOATIME)
	if d.readOnly {
		flags |= unix.MS_RDONLY
	}
	if err := unix.Mount(d.dev, d.dir, d.fs, flags, ""); err != nil {
		return fmt.Errorf("mount %s: %w", d.fs, err)
	}
	d.mounted = true
	return nil
}

func (d *disk) umount() error {
	if !d.mounted {
		return nil
	}
	if err := unix.Unmount(d.dir, 0); err != nil {
		return fmt.Errorf("umount %s: %w", d.dir, err)
	}
	d.mounted = false
	return d.released()
}

// released waits for the kernel to let go of the filesystem: until then a mount
// finds everything in its cache, and mkfs the device in use.
func (d *disk) released() error {
	for end := time.Now().Add(10 * time.Second); ; {
		f, err := os.OpenFile(d.dev, os.O_RDONLY|unix.O_EXCL, 0)
		if err == nil {
			return f.Close()
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s: still in use after it was unmounted: %w", d.dev, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// cold drops all that the kernel knows of d, by unmounting it and flushing the device's buffers.
func (d *disk) cold(mount bool) error {
	if err := d.umount(); err != nil {
		return err
	}
	if _, err := tool("blockdev", "--flushbufs", d.dev); err != nil {
		return err
	}
	if !mount {
		return nil
	}
	return d.mount()
}

// target is written once in full, so that no run has to allocate in the image.
func (l *lab) target(fs string) (*disk, error) {
	d, err := l.disk("target", fs, l.size())
	if err != nil {
		return nil, err
	}
	return d, d.written(d.size)
}

// written writes the first n bytes of an image, unless it has as many: what was never written is read from nowhere, faster
// than any disk.
func (d *disk) written(n int64) error {
	var st unix.Stat_t
	if err := unix.Stat(d.image, &st); err != nil || st.Blocks*512 >= n {
		return err
	}
	f, err := os.OpenFile(d.dev, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	b := make([]byte, 4<<20)
	for at := int64(0); at < n && err == nil; at += int64(len(b)) {
		_, err = f.WriteAt(b[:min(int64(len(b)), n-at)], at)
	}
	return errors.Join(err, f.Sync(), f.Close())
}

// size of every disk: room for the largest source at this scale.
func (l *lab) size() int64 { return max(512<<20, int64(11*l.o.scale*1024)<<20) }

// occupied is a little more than the percentage of its disk that a source takes. raw reads as much from the start, free
// blocks too.
func occupied(name string) int64 {
	switch name {
	case "real", "root":
		return 50
	case "tiny":
		return 25
	}
	return 100
}

// source is made once for a seed and scale, and kept if asked.
func (l *lab) source(fs, name string) (*disk, error) {
	id := fmt.Sprintf("%s-%s-%d-%g", name, fs, l.o.seed, l.o.scale)
	made := filepath.Join(l.o.dir, id+".made")
	d, err := l.disk(id, fs, l.size())
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(made); err != nil {
		fmt.Fprintf(os.Stderr, "bench: making source %s on %s\n", name, fs)
		if err := errors.Join(d.written(d.size*occupied(name)/100), d.mkfs(), d.mount()); err != nil {
			return nil, err
		}
		if err := fill(name, d.dir, l.o.seed, l.o.scale); err != nil {
			return nil, err
		}
		if err := errors.Join(d.umount(), os.WriteFile(made, nil, 0o600)); err != nil {
			return nil, err
		}
	}
	d.readOnly = true
	return d, nil
}

// close releases everything, and removes the images unless they are kept.
func (l *lab) close() error {
	var errs []error
	for _, d := range l.disks {
		errs = append(errs, d.detach())
	}
	if !l.o.keep {
		for _, d := range l.disks {
			_ = os.Remove(d.image)
			_ = os.Remove(d.dir)
			_ = os.Remove(strings.TrimSuffix(d.image, ".img") + ".made")
		}
	}
	return errors.Join(errs...)
}
