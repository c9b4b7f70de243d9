package lab

import (
	"encoding/json"
	"fmt"
)

// Bus is what connects a disk to its guest.
type Bus string

// The buses; the zero value is VirtioBlk. Debian's cloud kernel has no driver for AHCI (see Generic).
const (
	VirtioBlk  Bus = ""            // /dev/vda
	VirtioSCSI Bus = "virtio-scsi" // /dev/sda
	AHCI       Bus = "ahci"        // /dev/sda; six disks at most
	NVMe       Bus = "nvme"        // /dev/nvme0n1
)

// controllers are the words that give a guest the controllers which disks of these buses hang on.
func controllers(disks []Disk) ([]string, error) {
	var args []string
	count := map[Bus]int{}
	for _, d := range disks {
		count[d.Bus]++
	}
	if count[VirtioSCSI] > 0 {
		args = append(args, "-device", "virtio-scsi-pci,id=scsi,ioeventfd=off")
	}
	if count[AHCI] > 6 {
		return nil, fmt.Errorf("lab: %d disks on AHCI, which has six ports", count[AHCI])
	}
	if count[AHCI] > 0 {
		args = append(args, "-device", "ahci,id=ahci")
	}
	return args, nil
}

// device is the device model, with what is particular to its bus; nth counts the disks of the bus.
func (b Bus) device(nth int) (string, error) {
	switch b {
	case VirtioBlk:
		// On a busy machine QEMU's thread for I/O events can miss a request's event for good, and the guest waits forever
		// (seen once in some 60 boots); without that thread the guest's own one begins each request.
		return "virtio-blk-pci,ioeventfd=off,rerror=report,werror=report", nil
	case VirtioSCSI:
		return "scsi-hd,bus=scsi.0,rerror=report,werror=report", nil
	case AHCI:
		return fmt.Sprintf("ide-hd,bus=ahci.%d,rerror=report,werror=report", nth), nil
	case NVMe:
		return "nvme", nil
	}
	return "", fmt.Errorf("lab: bus %q is not known", b)
}

// Disk is a disk of a guest, a raw image file.
//
// Caching is QEMU's "unsafe" mode: a completed write is in the host's page cache and so in the file, whatever happens to
// QEMU afterwards; the guest's flushes cost nothing. Only a crash of the host itself would lose data.
type Disk struct {
	File     string
	Bus      Bus
	Serial   string // at most 20 characters; udev makes /dev/disk/by-id/virtio-SERIAL of it, or the like
	ReadOnly bool
	Faults   []Fault
	// BytesPerSecond makes the disk as slow as that, reads and writes together; 0 leaves it as it is.
	BytesPerSecond int64
}

// Fault makes requests that touch a sector fail with an I/O error, until the guest ends.
type Fault struct {
	First, Last int64 // in 512-byte sectors, inclusive
	// Step is the distance of failing sectors; every request of at least Step sectors in the range fails. 0 means 8, one
	// page. QEMU looks at every rule for every request: keep (Last-First)/Step below 10,000.
	Step   int64
	Reads  bool // fail reads
	Writes bool // fail writes
}

func (d Disk) id(i int) string {
	if d.Serial != "" {
		return "disk-" + d.Serial
	}
	return fmt.Sprintf("disk-%d", i)
}

type object = map[string]any

// args are QEMU's words for the disk: i counts all disks of the guest, nth those on this disk's bus.
func (d Disk) args(i, nth int) ([]string, error) {
	file := object{"driver": "file", "filename": d.File, "read-only": d.ReadOnly, "locking": "on"}
	if rules := d.rules(); rules != nil {
		file = object{"driver": "blkdebug", "image": file, "inject-error": rules, "read-only": d.ReadOnly}
	}
	node := fmt.Sprintf("node-%d", i)
	var args []string
	if d.BytesPerSecond > 0 {
		// qemu docs/throttle.txt: the limits are those of a group, here of one.
		group := fmt.Sprintf("throttle-%d", i)
		b, err := json.Marshal(object{"qom-type": "throttle-group", "id": group, "limits": object{"bps-total": d.BytesPerSecond}})
		if err != nil {
			return nil, err
		}
		args = []string{"-object", string(b)}
		file = object{"driver": "throttle", "throttle-group": group, "file": file, "read-only": d.ReadOnly}
	}
	b, err := json.Marshal(object{"driver": "raw", "node-name": node, "file": file, "read-only": d.ReadOnly,
		"cache": object{"direct": false, "no-flush": true}, "discard": "unmap"})
	if err != nil {
		return nil, err
	}
	if len(b) > 128<<10-1 {
		return nil, fmt.Errorf("lab: disk %s: %d bytes of fault rules do not fit one argument; raise Step", d.Serial, len(b))
	}
	device, err := d.Bus.device(nth)
	if err != nil {
		return nil, err
	}
	// bootindex 0 is taken by -kernel.
	device += fmt.Sprintf(",drive=%s,id=%s,bootindex=%d", node, d.id(i), i+1)
	serial := d.Serial
	if serial == "" && d.Bus == NVMe {
		serial = d.id(i) // it must have one
	}
	if serial != "" {
		device += ",serial=" + serial
	}
	return append(args, "-blockdev", string(b), "-device", device), nil
}

// rules spells faults for blkdebug (qemu docs/devel/blkdebug.txt), whose errors name a single sector each.
func (d Disk) rules() []object {
	var out []object
	for _, f := range d.Faults {
		step := f.Step
		if step == 0 {
			step = 8
		}
		for s := f.First; s <= f.Last; s += step {
			for kind, on := range map[string]bool{"read": f.Reads, "write": f.Writes} {
				if on {
					out = append(out, object{"event": "none", "iotype": kind, "errno": 5, "sector": s})
				}
			}
		}
	}
	return out
}
