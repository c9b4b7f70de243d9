package lab

import (
	"encoding/json"
	"fmt"
)

// Disk is a virtio disk of a guest, a raw image file.
//
// Caching is QEMU's "unsafe" mode: a completed write is in the host's page cache and so in the file, whatever happens to
// QEMU afterwards; the guest's flushes cost nothing. Only a crash of the host itself would lose data.
type Disk struct {
	File     string
	Serial   string // at most 20 characters; udev makes /dev/disk/by-id/virtio-SERIAL of it
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

func (d Disk) args(i int) ([]string, error) {
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
	// 0 is taken by -kernel. On a busy machine QEMU's thread for I/O events can miss a request's event for good, and the
	// guest waits forever (seen once in some 60 boots); without that thread the guest's own one begins each request.
	device := fmt.Sprintf("virtio-blk-pci,drive=%s,id=%s,bootindex=%d,ioeventfd=off,rerror=report,werror=report", node, d.id(i), i+1)
	if d.Serial != "" {
		device += ",serial=" + d.Serial
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
