// Package probe identifies the contents of a block device: filesystems, swap, hibernation images, md, LVM, LUKS and ZFS
// labels, and whether there is a partition table. It reads bytes and returns values; it opens nothing and writes
// nothing.
//
// What a caller must know:
//   - Probe reports everything that it finds, in the order of the table in registry.go: first what claims the device,
//     then what could merely be mounted from it. It does not choose: a filesystem may be mounted only if nothing else
//     claims the device.
//   - A [Signature] with Ghost set is a remnant that no kernel or tool uses as it is (a btrfs mirror without its first
//     superblock, a GPT header without protective MBR, a label without content). A ghost claims nothing, but it counts
//     for [Result.Empty] and [Result.Wipes].
//   - A magic is trusted only if the fields around it make sense. A checksum that does not match is reported in
//     Signature.Checksum and does not hide the signature: a damaged superblock still marks data that someone may want.
//   - Counters (Used, free blocks, mount count) are those of the superblock, which is out of date while the filesystem
//     is mounted.
//   - Reads are bounded: at most about 3 MiB at fixed positions, and for an XFS log a binary search and its last 2 MiB.
//   - An I/O error ends the probe: a device that could not be read must not be called empty.
//
// The file of each format names its source. For md, this package reads only what identifies a member; pkg/md reads the
// rest.
package probe

import (
	"fmt"
	"io"
	"sort"
)

// Kind says what kind of use a signature claims the device for.
type Kind string

// The kinds of [Signature.Kind].
const (
	Filesystem Kind = "filesystem"
	Swap       Kind = "swap"
	RAID       Kind = "raid"
	LVM        Kind = "lvm"
	LUKS       Kind = "luks"
	ZFS        Kind = "zfs"
	Table      Kind = "table"
	Other      Kind = "other" // belongs to something else, such as an external journal or a cache
)

// Check is the verdict on a superblock's checksum.
type Check string

// The verdicts. The zero value means that the format has no checksum.
const (
	Valid   Check = "valid"
	Invalid Check = "invalid"
	Unknown Check = "unknown" // this package does not know the algorithm
)

// Range is a range of bytes on the device.
type Range struct {
	Offset, Length int64 // bytes
}

// Signature is one thing found on a device.
type Signature struct {
	Kind      Kind
	Type      string // as blkid names it ("ext4", "linux_raid_member"); "hibernation" for a suspended system's image
	Version   string // "1.2" for md, "FAT32", the swap header's version; "" if the format has only one
	UUID      string // as blkid prints it: lower case 8-4-4-4-12, vfat XXXX-XXXX, LVM's own form, ZFS pool guid in decimal
	Label     string // filesystem label, md array name, LVM group, ZFS pool name
	Offset    int64  // first byte of the magic
	Length    int64  // of the magic, in bytes; to erase the signature, use Wipes
	Size      int64  // size of the contents in bytes, as recorded there; 0 if not recorded
	BlockSize int64  // bytes; 0 if unknown
	Used      int64  // bytes in use according to the superblock; 0 if unknown
	Ghost     bool   // a remnant that nothing uses: see the package comment
	Checksum  Check
	Dirty     string // evidence that it was not left clean, or that this cannot be determined; "" for clean
	Stamp     string // differs after any mount for writing; "" if the format has nothing suitable

	Ext   *Ext
	XFS   *XFS
	Btrfs *Btrfs
	Swap  *SwapState
	ZFS   *ZFSMember
	LVM   *LVMMember

	copies []Range // every range to wipe
}

// Wipes returns the ranges to zero for this signature alone, with every copy; see [Result.Wipes].
func (s Signature) Wipes() []Range { return Result{[]Signature{s}}.Wipes() }

// Result is what [Probe] found, in order of precedence.
type Result struct {
	Signatures []Signature
}

// Probe identifies the contents of a disk, volume or file of size bytes. For a partition of a disk use [Partition]. The
// error is an I/O error and names the format that was being looked for.
func Probe(r io.ReaderAt, size int64) (Result, error) {
	return look(&device{r: r, size: size})
}

// Partition is [Probe] for a partition of a disk. Like libblkid, it does not look for the metadata of firmware RAID
// other than DDF: the firmware reads it from the end of the disk, so in a partition it is data, or a remnant of a disk
// of another size.
func Partition(r io.ReaderAt, size int64) (Result, error) {
	return look(&device{r: r, size: size, part: true})
}

func look(d *device) (Result, error) {
	if d.size < 0 {
		return Result{}, fmt.Errorf("device of %d bytes: size is negative", d.size)
	}
	var res Result
	for _, f := range registry() {
		d.known = !res.Empty()
		res.Signatures = append(res.Signatures, f.probe(d)...)
		if d.err != nil {
			return Result{}, fmt.Errorf("probe for %s: %w", f.name, d.err)
		}
	}
	return res, nil
}

// Empty reports whether there is no known signature, not even a ghost.
func (r Result) Empty() bool { return len(r.Signatures) == 0 }

// Find returns the signatures of a kind, without ghosts.
func (r Result) Find(kind Kind) []Signature {
	var out []Signature
	for _, s := range r.Signatures {
		if s.Kind == kind && !s.Ghost {
			out = append(out, s)
		}
	}
	return out
}

// Wipes returns the ranges to zero so that no signature is found again. They are sorted, do not overlap, and include
// every copy (both ends, mirrors, backup headers), but not boot code before a superblock, nor the data itself.
func (r Result) Wipes() []Range {
	var all []Range
	for _, s := range r.Signatures {
		all = append(all, s.copies...)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Offset < all[j].Offset })
	var out []Range
	for _, w := range all {
		if n := len(out); n > 0 && w.Offset <= out[n-1].Offset+out[n-1].Length {
			out[n-1].Length = max(out[n-1].Length, w.Offset+w.Length-out[n-1].Offset)
			continue
		}
		out = append(out, w)
	}
	return out
}
