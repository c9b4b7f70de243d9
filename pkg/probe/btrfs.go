package probe

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Btrfs holds facts from a btrfs superblock.
type Btrfs struct {
	FSID       string // of the whole filesystem
	DeviceUUID string // of this device
	DeviceID   uint64
	Devices    uint64 // number of devices of the filesystem
	LogTree    bool   // log_root is not 0: an fsync log has yet to be replayed
	Generation uint64
	NodeSize   int64
	Checksum   string   // its algorithm, as mkfs.btrfs names it; "" for one that is not known
	Features   []string // as mkfs.btrfs names them
}

const btrfsSuper = 4096

// probeBtrfs reads the superblock at 64 KiB and its mirrors at 64 MiB and 256 GiB (fs/btrfs/disk-io.h,
// include/uapi/linux/btrfs_tree.h). Mirrors without the first are ghosts: nothing uses them for a mount unasked.
func probeBtrfs(d *device) []Signature {
	le := binary.LittleEndian
	var out []Signature
	for _, at := range []int64{64 << 10, 64 << 20, 256 << 30} {
		b := d.read(at, btrfsSuper)
		if b == nil || string(b[64:72]) != "_BHRfS_M" || le.Uint64(b[48:]) != uint64(at) {
			continue
		}
		here := Range{at, btrfsSuper}
		if len(out) > 0 && out[0].UUID == uuid(b[32:48]) {
			out[0].copies = append(out[0].copies, here)
			continue
		}
		s := Signature{Kind: Filesystem, Type: "btrfs", UUID: uuid(b[32:48]), Label: text(b[299:555]), Offset: at + 64, Length: 8,
			Size: max(int64(le.Uint64(b[112:])), 0), BlockSize: int64(le.Uint32(b[144:])), Used: max(int64(le.Uint64(b[120:])), 0),
			Ghost: at != 64<<10, Checksum: Unknown, copies: []Range{here},
			Btrfs: &Btrfs{FSID: uuid(b[32:48]), DeviceUUID: uuid(b[267:283]), DeviceID: le.Uint64(b[201:]), Devices: le.Uint64(b[136:]),
				LogTree: le.Uint64(b[96:]) != 0, Generation: le.Uint64(b[72:])}}
		s.Btrfs.NodeSize, s.Btrfs.Checksum = int64(le.Uint32(b[148:])), btrfsChecksum(le.Uint16(b[196:]))
		s.Btrfs.Features = btrfsFeatures(le.Uint64(b[172:]), le.Uint64(b[180:]), le.Uint64(b[188:]))
		s.Stamp = fmt.Sprintf("generation %d", s.Btrfs.Generation)
		if s.Btrfs.LogTree {
			s.Dirty = fmt.Sprintf("log tree at %d has yet to be replayed", le.Uint64(b[96:]))
		}
		switch le.Uint16(b[196:]) {
		case 0:
			s.Checksum = check(crc32.Checksum(b[32:], crc32.MakeTable(crc32.Castagnoli)) == le.Uint32(b))
		case 2:
			s.Checksum = check(sha256.Sum256(b[32:]) == [32]byte(b[:32]))
		}
		out = append(out, s)
	}
	return out
}

// btrfsFeatures names the features of a superblock as mkfs.btrfs does (include/uapi/linux/btrfs.h, common/fsfeatures.c of
// btrfs-progs). A bit without a name is FEATURE_C, FEATURE_R or FEATURE_I and its number. Those that only say what was used so
// far (mixed_backref, default_subvol, compression, big_metadata, a valid free-space tree) are left out.
func btrfsFeatures(compat, ro, incompat uint64) (out []string) {
	for _, w := range []struct {
		word  uint64
		kind  string
		names []string
	}{
		{incompat, "I", []string{"", "", "mixed-bg", "", "", "", "extref", "raid56", "skinny-metadata", "no-holes", "metadata-uuid", "raid1c34", "zoned", "extent-tree-v2", "raid-stripe-tree", "", "squota"}},
		{ro, "R", []string{"free-space-tree", "", "", "block-group-tree"}},
		{compat, "C", nil},
	} {
		for bit := range 64 {
			switch {
			case w.word>>bit&1 == 0:
			case bit >= len(w.names):
				out = append(out, fmt.Sprintf("FEATURE_%s%d", w.kind, bit))
			case w.names[bit] != "":
				out = append(out, w.names[bit])
			}
		}
	}
	return out
}

func btrfsChecksum(n uint16) string {
	if names := []string{"crc32c", "xxhash", "sha256", "blake2"}; int(n) < len(names) {
		return names[n]
	}
	return ""
}
