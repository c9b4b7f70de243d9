// Package survey looks: it turns the world into plan.Facts and changes nothing. What it reads comes through a World,
// an fs.FS rooted at / and a function that opens block devices, so that a test can hand it a machine made of maps and
// byte slices, and the fake machine of pkg/stage does.
//
// What cannot be read becomes a Problem in the facts, never a guess and never silence.
package survey

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"migrate-init/boot"
	"migrate-init/pkg/luks"
	"migrate-init/pkg/lvm"
	"migrate-init/pkg/md"
	"migrate-init/pkg/plan"
)

// World is what is looked at.
type World struct {
	// Root is the machine's root directory: sys, proc, etc, boot.
	Root fs.FS
	// Open opens a block device by its path for reading.
	Open func(path string) (Device, error)
	// UID is who asks.
	UID int
	// Free tells the free bytes of the filesystem mounted at a path; nil when that is not known.
	Free func(path string) int64
	// Unused tells how many bytes of the filesystem mounted at a path nothing uses, those kept for root included; nil or
	// negative when that is not known.
	Unused func(path string) int64
	// Subvolumes lists those of the filesystem mounted at a path, of a type that has them; nil: they are not listed.
	Subvolumes func(path string) (*plan.Subvolumes, error)
	// Rules are what is known of installed systems; the facts carry them.
	Rules plan.Rules
	// Firmware, when set, is not looked up: an init may run before efivarfs is there.
	Firmware string
	// Known is what looks remember of devices; nil: every device is read.
	Known *Known
}

// Device is an open block device.
type Device interface {
	io.ReaderAt
	io.Closer
}

// Depth says how much is looked at.
type Depth int

// Depths.
const (
	// Shallow reads sysfs and procfs only: no device is opened.
	Shallow Depth = iota
	// Deep also reads every device's table and signatures.
	Deep
	// Whole also reads the installed system: fstab, boot loader, kernels, distribution.
	Whole
)

type looker struct {
	w      World
	f      *plan.Facts
	unused map[string]int64 // by the name of a mounted device
	parts  map[string]*plan.Subvolumes
	supers []md.Member            // every md superblock that was read
	pvs    []lvm.Device           // every LVM label that was read
	crypts map[string]luks.Header // the LUKS headers that were read, by the name of their device
}

// Look surveys the world. Only the context's end is an error.
func Look(ctx context.Context, w World, depth Depth) (*plan.Facts, error) {
	l := &looker{w: w, f: &plan.Facts{Rules: w.Rules}, unused: map[string]int64{}, parts: map[string]*plan.Subvolumes{}, crypts: map[string]luks.Header{}}
	if depth >= Whole {
		l.exists("boot/vmlinuz") // an automounted /boot is mounted by being looked at, and only then in the list
	}
	l.machine()
	l.devices()
	l.mounts()
	l.swaps()
	if depth >= Deep {
		known := w.Known.take(l.f)
		for i := range l.f.Devices {
			if err := ctx.Err(); err != nil {
				return nil, fmt.Errorf("survey: %w", err)
			}
			l.contents(&l.f.Devices[i], known)
		}
		l.partitionIDs()
		l.shared()
		l.arrays()
		l.stale()
		l.peculiar()
		l.containers()
		l.groups()
	}
	if depth >= Whole {
		l.links()
		l.byID()
		l.fstab()
		l.distro()
		l.boot()
		l.uses()
	}
	return l.f, nil
}

func (l *looker) problem(noun string, err error) {
	if err != nil {
		l.f.Problems = append(l.f.Problems, plan.Problem{Subject: noun, Err: err.Error()})
	}
}

// ofDevice is problem for a device: what of it could not be read is what, "" for the device itself.
func (l *looker) ofDevice(what, dev string, err error) {
	if err == nil {
		return
	}
	subject := dev
	if what != "" {
		subject = what + " of " + dev
	}
	l.f.Problems = append(l.f.Problems, plan.Problem{Subject: subject, Err: err.Error(), Device: dev, Table: what == tableOf})
}

// tableOf is what ofDevice says of a partition table.
const tableOf = "partition table"

// note keeps what was read and will not be heeded.
func (l *looker) note(noun, what string) {
	l.f.Problems = append(l.f.Problems, plan.Problem{Subject: noun, Err: what, Note: true})
}

// maxText bounds every text file that is read. The largest is dpkg's status file: 5 MB for 3000 packages.
const maxText = 64 << 20

// text reads a file, "" when it does not exist; another failure is a Problem.
func (l *looker) text(name string) string {
	b, err := l.bytes(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.problem("/"+name, err)
	}
	return string(b)
}

func (l *looker) bytes(name string) ([]byte, error) {
	f, err := l.w.Root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxText+1))
	if len(b) > maxText {
		return nil, fmt.Errorf("longer than %d bytes", maxText)
	}
	return b, err
}

// attr reads a sysfs attribute, "" for any failure: attributes come and go with the driver and with uevents.
func (l *looker) attr(elem ...string) string {
	b, err := l.bytes(path.Join(elem...))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(strings.ToValidUTF8(strings.TrimRight(string(b), "\x00\n"), "?"))
}

func (l *looker) number(elem ...string) int64 {
	n, _ := strconv.ParseInt(l.attr(elem...), 10, 64)
	return n
}

func (l *looker) exists(name string) bool {
	_, err := fs.Stat(l.w.Root, name)
	return err == nil
}

func (l *looker) names(dir string) []string {
	es, err := fs.ReadDir(l.w.Root, dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.problem("/"+dir, err)
	}
	var out []string
	for _, e := range es {
		out = append(out, e.Name())
	}
	return out
}

func (l *looker) machine() {
	m := &l.f.Machine
	m.ID = strings.TrimSpace(l.text("etc/machine-id"))
	m.Product = strings.ToLower(l.attr("sys/class/dmi/id/product_uuid"))
	m.Hostname = l.attr("proc/sys/kernel/hostname")
	m.BootID = l.attr("proc/sys/kernel/random/boot_id")
	m.UID = l.w.UID
	for line := range strings.Lines(l.text("proc/meminfo")) {
		if v, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			kb, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(v), " kB"), 10, 64)
			m.Memory = kb << 10
		}
	}
	l.f.Kernel = plan.Kernel{Release: l.attr("proc/sys/kernel/osrelease"), Cmdline: strings.TrimSpace(l.text("proc/cmdline"))}
	for _, p := range boot.ParseCmdline(l.f.Kernel.Cmdline).Params {
		l.f.Kernel.Params = append(l.f.Kernel.Params, plan.Param{Key: p.Key, Value: p.Value, Raw: p.Raw})
	}
	l.f.Firmware = l.w.Firmware
	if l.f.Firmware == "" {
		l.f.Firmware = "bios"
		if l.exists("sys/firmware/efi") {
			l.f.Firmware = "efi"
		}
	}
}
