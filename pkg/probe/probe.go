// Package probe spells what lies on a block device: filesystems, swap, hibernation images, md, LVM, LUKS and ZFS
// labels, and whether there is a partition table. Bytes in, values out; it opens nothing and writes nothing.
//
// What a caller must know:
//   - Everything found is reported, in the order of precedence of the table in registry.go: what claims the device
//     before what merely could be mounted from it. Nothing is picked: [Result.Filesystem] gives the one filesystem only
//     if nothing else claims the device, and else an error that lists the candidates.
//   - A [Signature] with Ghost set is a remainder that no kernel or tool acts on as it stands (a btrfs mirror without its
//     first superblock, a GPT header without protective MBR, a label without content). Ghosts do not make a filesystem
//     ambiguous, but they count for [Result.Empty] and [Result.Wipes].
//   - Magics alone are trusted only after the fields around them make sense. A checksum that does not match is told in
//     Signature.Checksum, not hidden: a damaged superblock still marks data that someone may want.
//   - Counters (Used, free blocks, mount count) are what the superblock says; of a mounted filesystem that is old.
//   - Reads are bounded: at most some 3 MiB at fixed places, and for an XFS log a binary search and its last 2 MiB.
//   - An I/O error ends the probe: what could not be read cannot be called empty.
//
// Sources are named in each format's file. The md part knows only what identifies a member; pkg/md knows the rest.
package probe

import (
	"fmt"
	"io"
	"sort"
)

// Kind says what a signature claims the device for.
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

// The verdicts. The zero value means that the format has none.
const (
	Valid   Check = "valid"
	Invalid Check = "invalid"
	Unknown Check = "unknown" // an algorithm this package does not know
)

// Range is a run of bytes on the device.
type Range struct {
	Offset, Length int64
}

// Signature is one thing found on a device.
type Signature struct {
	Kind      Kind
	Type      string // as blkid names it ("ext4", "linux_raid_member"); "hibernation" for a suspended system's image
	Version   string // "1.2" for md, "FAT32", the swap header's; "" when there is but one
	UUID      string // as blkid prints it: lower case 8-4-4-4-12, vfat XXXX-XXXX, LVM's own form, ZFS pool guid in decimal
	Label     string // filesystem label, md array name, LVM group, ZFS pool name
	Offset    int64  // first byte of the magic
	Length    int64  // of the magic; without it this copy is not found again, but Wipes is thorough
	Size      int64  // the content's own idea of its size in bytes; 0 when it has none
	BlockSize int64  // bytes; 0 when unknown
	Used      int64  // bytes in use by the superblock's account; 0 when unknown
	Ghost     bool
	Checksum  Check
	Dirty     string // evidence that it was not left clean, or that this cannot be told; "" for clean
	Stamp     string // differs after any mount for writing; "" when the format has nothing of the kind

	Ext   *Ext
	XFS   *XFS
	Btrfs *Btrfs
	Swap  *SwapState
	ZFS   *ZFSMember
	LVM   *LVMMember

	copies []Range // every place to wipe
}

// Wipes gives the ranges of this signature alone, every copy included.
func (s Signature) Wipes() []Range { return Result{[]Signature{s}}.Wipes() }

// Result is what [Probe] found, in order of precedence.
type Result struct {
	Signatures []Signature
}

// Probe looks at a device or file of size bytes. Of a partition, ask [Partition].
func Probe(r io.ReaderAt, size int64) (Result, error) {
	return look(&device{r: r, size: size})
}

// Partition is [Probe] for a partition of a disk. It does not ask for the metadata of firmware RAID that libblkid wants
// on whole disks only: the firmware reads it from the end of the disk, so that in a partition it is data, or a remnant of
// a disk of another size.
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

// Empty says that no known signature, not even a ghost, is there.
func (r Result) Empty() bool { return len(r.Signatures) == 0 }

// Find gives the signatures of a kind, ghosts left out.
func (r Result) Find(kind Kind) []Signature {
	var out []Signature
	for _, s := range r.Signatures {
		if s.Kind == kind && !s.Ghost {
			out = append(out, s)
		}
	}
	return out
}

// Wipes gives the ranges to zero so that nothing of what was found is found again: sorted, not overlapping, every copy
// included (both ends, mirrors, backup headers). Boot code before a superblock and the data itself are left alone.
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
