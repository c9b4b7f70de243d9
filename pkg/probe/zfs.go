package probe

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
)

// ZFSMember holds facts from the labels of a pool's device. GUIDs are decimal, as every ZFS tool prints them.
type ZFSMember struct {
	Pool     string // name; "" for spares and caches
	PoolGUID string
	VdevGUID string // this device's
	TopGUID  string // the top-level vdev it belongs to
	TXG      uint64 // of the newest label
	State    string // "active", "exported", "destroyed", "spare", "l2cache", or the number
	HostID   uint32
	HostName string
	Version  uint64
	Ashift   uint64
	TopType  string // "mirror", "raidz", "disk" ...
	Labels   []int  // which of the four are readable: 0-3
}

const zfsLabel = 256 << 10

func zfsState(n uint64) string {
	names := []string{"active", "exported", "destroyed", "spare", "l2cache", "uninitialized", "unavailable", "potentially active"}
	if n < uint64(len(names)) {
		return names[n]
	}
	return decimal(n)
}

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }

// probeZFS reads the four labels (include/sys/vdev_impl.h): two at the start, and two at the end, rounded down to 256
// KiB. Each has packed pairs at 16 KiB and uberblocks from 128 KiB on. probeZFS reports labels of different pools or
// devices separately. A label that has only uberblocks is a ghost.
func probeZFS(d *device) []Signature {
	var out []Signature
	var orphans []Range
	end := d.size &^ (zfsLabel - 1)
	for i, at := range []int64{0, zfsLabel, end - 2*zfsLabel, end - zfsLabel} {
		if i >= 2 && at < 2*zfsLabel {
			continue
		}
		b := d.read(at, zfsLabel)
		if b == nil {
			continue
		}
		here := Range{at, zfsLabel}
		m, ok := zfsPairs(b[16<<10 : 128<<10])
		if !ok {
			if zfsUberblock(b[128<<10:]) {
				orphans = append(orphans, here)
			}
			continue
		}
		m.Labels = []int{i}
		sum := zfsChecksum(b[16<<10:128<<10], uint64(at+16<<10))
		known := false
		for j := range out {
			s := &out[j]
			if s.ZFS.PoolGUID != m.PoolGUID || s.ZFS.VdevGUID != m.VdevGUID {
				continue
			}
			known = true
			s.copies = append(s.copies, here)
			labels := append(s.ZFS.Labels, i)
			// The newest label with a valid checksum describes the device.
			if s.Checksum == Invalid && sum == Valid || s.Checksum == sum && m.TXG > s.ZFS.TXG {
				*s.ZFS, s.Checksum, s.Label = m, sum, m.Pool
			}
			s.ZFS.Labels = labels
			break
		}
		if !known {
			out = append(out, Signature{Kind: ZFS, Type: "zfs_member", Version: decimal(m.Version), UUID: m.PoolGUID, Label: m.Pool,
				Offset: at + 16<<10, Length: 112 << 10, Checksum: sum, ZFS: &m, copies: []Range{here}})
		}
	}
	if len(orphans) > 0 && len(out) > 0 {
		out[0].copies = append(out[0].copies, orphans...)
	} else if len(orphans) > 0 {
		out = append(out, Signature{Kind: ZFS, Type: "zfs_member", Offset: orphans[0].Offset + 128<<10, Length: 128 << 10, Ghost: true, copies: orphans})
	}
	return out
}

func zfsUberblock(ring []byte) bool {
	for ; len(ring) >= 1024; ring = ring[1024:] {
		if binary.LittleEndian.Uint64(ring) == 0x00bab10c || binary.BigEndian.Uint64(ring) == 0x00bab10c {
			return true
		}
	}
	return false
}

// zfsChecksum verifies the SHA-256 at the end of a label's pairs. It is computed with the position on the device in
// place of the checksum itself (zio_eck_t, module/zfs/zio_checksum.c).
func zfsChecksum(b []byte, at uint64) Check {
	tail := b[len(b)-40:]
	var order binary.ByteOrder = binary.LittleEndian
	const magic = 0x0210da7ab10c7a11
	if order.Uint64(tail) != magic {
		order = binary.BigEndian
	}
	if order.Uint64(tail) != magic {
		return Invalid
	}
	c := append([]byte(nil), b...)
	field := c[len(c)-32:]
	clear(field)
	order.PutUint64(field, at)
	sum := sha256.Sum256(c)
	for i := range 4 {
		if order.Uint64(tail[8+8*i:]) != binary.BigEndian.Uint64(sum[8*i:]) {
			return Invalid
		}
	}
	return Valid
}
