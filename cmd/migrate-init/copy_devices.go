package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"migrate-init/pkg/copy"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/probe"
)

// device finds a word of the command line among the block devices of this machine. Images are refused: what is not a
// device can be in use without anybody knowing.
func (c *call) device(f *plan.Facts, side, word string) (*plan.Device, error) {
	node := c.node(word)
	if i := slices.IndexFunc(f.Devices, func(d plan.Device) bool { return d.Path == node }); i >= 0 {
		return &f.Devices[i], nil
	}
	st, err := os.Stat(word)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s %s: there is no such block device on this machine; lsblk lists them", side, word)
	case err != nil:
		return nil, fmt.Errorf("%s %s: %w", side, word, err)
	case st.IsDir():
		return nil, fmt.Errorf("%s %s: it is a directory; --engine extent copies devices, --engine tree directories", side, word)
	case st.Mode().IsRegular():
		return nil, fmt.Errorf("%s %s: it is a file; make a device of it: losetup --find --show %s", side, word, word)
	}
	return nil, fmt.Errorf("%s %s: it is not a block device that can hold a filesystem; lsblk lists them", side, word)
}

// used says what keeps a device busy, and what would end that; "" when nothing does.
func (c *call) used(f *plan.Facts, d *plan.Device) string {
	for _, l := range f.Devices {
		// The kernel lists no loop device among the holders of what it lies on.
		if b, err := c.read(path.Join("/sys/class/block", l.Name, "loop/backing_file")); err == nil && c.node(strings.TrimSpace(string(b))) == d.Path {
			return fmt.Sprintf("%s is backed by it; losetup -d %s", l.Path, l.Path)
		}
	}
	switch {
	case len(d.MountedAt) > 0:
		return fmt.Sprintf("it is mounted at %s; umount %s", strings.Join(d.MountedAt, ", "), d.MountedAt[0])
	case d.Swapping:
		return "it is in use as swap; swapoff " + d.Path
	case len(d.Holders) > 0:
		return fmt.Sprintf("it is held by /dev/%s; lsblk shows what that is: mdadm --stop, vgchange -an or cryptsetup close releases it, or name that device", strings.Join(d.Holders, ", /dev/"))
	}
	parts := f.Parts(d.Name)
	if len(parts) > 0 {
		return fmt.Sprintf("it has %d partitions, %s the first; name a partition", len(parts), parts[0].Path)
	}
	if d.Table != nil && len(d.Table.Partitions) > 0 {
		return fmt.Sprintf("it has a partition table (%s %s) with %d partitions; partprobe %s shows them: name one", d.Table.Scheme, d.Table.ID, len(d.Table.Partitions), d.Path)
	}
	return ""
}

// contents lists the signatures on a device that agrees takes.
func contents(d *plan.Device, agrees func(plan.Content) bool) string {
	var out []string
	for _, s := range d.Contents {
		if agrees(s) {
			words := []string{s.Type, s.Label, s.UUID}
			if s.Ghost {
				words = append(words, "(a remnant)")
			}
			out = append(out, strings.Join(strings.Fields(strings.Join(words, " ")), " "))
		}
	}
	return strings.Join(out, "; ")
}

// member: what is on the device belongs to something larger, which one of its devices alone may not decide about.
func member(s plan.Content) bool {
	return !s.Ghost && slices.Contains([]string{plan.ContentRaid, plan.ContentLVM, plan.ContentLUKS, plan.ContentZFS}, s.Kind)
}

func readable(f *plan.Facts, d *plan.Device, noun string) error {
	for _, p := range f.Problems {
		if p.Device == d.Path {
			return fmt.Errorf("%s %s: it could not be read: %s", noun, d.Path, p.Err)
		}
	}
	return nil
}

// blockSource refuses what is no filesystem by itself, and one that is in use.
func (c *call) blockSource(f *plan.Facts, word string) (*plan.Device, error) {
	d, err := c.device(f, "source", word)
	if err != nil {
		return nil, err
	}
	if why := c.used(f, d); why != "" {
		return nil, fmt.Errorf("source %s: %s", d.Path, why)
	}
	if err := readable(f, d, "source"); err != nil {
		return nil, err
	}
	if what := contents(d, member); what != "" {
		return nil, fmt.Errorf("source %s: it carries %s; start that, and name the device that appears", d.Path, what)
	}
	if d.Filesystem() == nil {
		what := contents(d, func(plan.Content) bool { return true })
		if what == "" {
			what = "nothing known"
		}
		return nil, fmt.Errorf("source %s: it is not a single filesystem: it carries %s; wipefs %s shows where", d.Path, what, d.Path)
	}
	return d, nil
}

// begun reports whether an interrupted copy left its state on a device. The state of an older version counts when --wipe
// gives it up.
func (c *call) begun(d *plan.Device) (bool, error) {
	r, err := c.world().Open(d.Path)
	if err != nil {
		return false, fmt.Errorf("target %s: %w", d.Path, err)
	}
	defer r.Close()
	last, err := copy.DeviceState(r)
	if errors.Is(err, copy.ErrOldState) {
		if len(c.opt.wipe) == 0 {
			return false, fmt.Errorf("target %s: %w; to start again, add --wipe %s", d.Path, err, d.Path)
		}
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("target %s: %w", d.Path, err)
	}
	return last != nil, nil
}

// blockTarget refuses what is in use, part of something, or not empty; --wipe overrides the last. The state of an
// interrupted copy is not a signature of anything.
func (c *call) blockTarget(f *plan.Facts, src *plan.Device, word string) (*plan.Device, error) {
	d, err := c.device(f, "target", word)
	if err != nil {
		return nil, err
	}
	if d.Path == src.Path {
		return nil, fmt.Errorf("target %s: it is the source; name another device", d.Path)
	}
	if d.ReadOnly {
		return nil, fmt.Errorf("target %s: it is read-only; blockdev --setrw %s", d.Path, d.Path)
	}
	if why := c.used(f, d); why != "" {
		return nil, fmt.Errorf("target %s: %s", d.Path, why)
	}
	if err := readable(f, d, "target"); err != nil {
		return nil, err
	}
	if t := d.Table; t != nil {
		return nil, fmt.Errorf("target %s: it has a partition table (%s %s) without partitions; make one and name it, or wipefs --all %s", d.Path, t.Scheme, t.ID, d.Path)
	}
	if what := contents(d, member); what != "" {
		return nil, fmt.Errorf("target %s: it carries %s, and may be needed elsewhere; if not: wipefs --all %s", d.Path, what, d.Path)
	}
	for _, w := range c.opt.wipe {
		if c.node(w) != d.Path {
			return nil, fmt.Errorf("--wipe %s: it is not the target; name the target itself: --wipe %s", w, d.Path)
		}
	}
	begun, err := c.begun(d)
	if err != nil {
		return nil, err
	}
	foreign := func(s plan.Content) bool { return !begun || s.Type != probe.UnknownData }
	if what := contents(d, foreign); what != "" && len(c.opt.wipe) == 0 {
		return nil, fmt.Errorf("target %s: it is not empty: %s; if nothing on it is wanted, add --wipe %s", d.Path, what, d.Path)
	}
	return d, nil
}
