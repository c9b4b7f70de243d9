package plan

import "strings"

// FSType is a row of the table of filesystem types. Whatever is decided by a type is a column here; superblocks and the
// arguments of programs are spelled in the rooms that spell, which decide nothing. An empty column means that
// nothing is known, and then nothing is done.
type FSType struct {
	Name    string // as blkid, fstab and mount(8) have it
	Movable bool   // it can be made, copied, and read by the boot loader

	// Quiet says that a read-only mount with the options ReadOnly leaves its device alone: a filesystem with a journal
	// replays it on a read-only mount too, unless an option forbids that.
	Quiet    bool
	ReadOnly string
	Pool     bool // what is mounted is named by its pool, not by a device

	// ByBlocks says why a filesystem with these features cannot be copied by its used blocks and then get an identity of
	// its own without an instant at which two have the same; "" when it can. nil: the type is never copied so.
	ByBlocks func(features []string) string

	// Immovable says why a filesystem with these features cannot be moved at all, "" when it can; nil: each can.
	Immovable func(features []string) string
	// Least is the smallest volume, in bytes, that Make accepts.
	Least int64
	// Replay is the most that a mount may write to bring a filesystem that is not clean to a clean state, in bytes; nil: a mount
	// does not do that.
	Replay func(c *Content) int64

	// New are the features of a filesystem of the type in place of one of another type; none: that is not done.
	New []NewFeature

	// Part is the option, up to its value, that mounts a part of a filesystem, and Whole the one that mounts all of it; "" for a type
	// of which a mount always shows everything.
	Part, Whole string
	// Keep are options of fstab that decide how much room files take.
	Keep []string
	// Extra is what a filesystem needs besides its files, in bytes, more than others do.
	Extra int64

	Module     string   // the kernel module that mounts it
	Partners   []string // those that it asks the kernel for by name
	GRUB       string   // GRUB's module that reads it
	GRUBWrites bool     // GRUB was seen to write its environment block in a file on a plain partition of it

	Tools FSTools
	Fixes FSFixes
}

// FSTools are the programs that a migration runs for a type, and the upstream package that has them.
type FSTools struct {
	Package string
	Make    string   // "" when none is known
	Files   []string // configuration that Make reads, when it exists
	Check   string
	Blocks  []string // those that finish a copy by blocks
}

// FSFixes are commands for people. DEV and LABEL stand for what is to be put there.
type FSFixes struct {
	UUID    string // give it another UUID
	Label   string // give it another label
	Look    string // look at it without writing
	Repair  string
	Journal string // give it a journal of its own, in place of one on another device
}

// SwapType is the type of swap areas in fstab and to the programs that make them.
const SwapType = "swap"

// FSTypes is the table.
func FSTypes() []FSType {
	return append(extTypes(),
		FSType{Name: "xfs", Movable: true, Extra: 96 * mib, New: xfsNew(), Quiet: true, ReadOnly: "norecovery", ByBlocks: xfsByBlocks, Immovable: xfsImmovable, Replay: xfsReplay, Least: 300 * mib,
			Module: "xfs", Partners: crc32c(), GRUB: "xfs",
			Tools: FSTools{Package: "xfsprogs", Make: "mkfs.xfs", Check: "xfs_repair", Blocks: []string{"xfs_repair", "xfs_db", "xfs_growfs"}},
			Fixes: FSFixes{UUID: "xfs_admin -U generate DEV", Label: "xfs_admin -L LABEL DEV", Look: "xfs_repair -n DEV", Repair: "xfs_repair DEV",
				Journal: "create it again with an internal log (mkfs.xfs), and copy its files back; and take logdev= out of its line in /etc/fstab"}},
		FSType{Name: "btrfs", Movable: true, New: btrfsNew(), Quiet: true, ReadOnly: "rescue=nologreplay", Immovable: btrfsImmovable, Least: 128 * mib, Replay: btrfsReplay,
			Part: "subvol=", Whole: "subvolid=5", Keep: []string{"compress", "compress-force"}, Extra: 256 * mib,
			Module: "btrfs", Partners: append(crc32c(), "xxhash_generic", "sha256_generic", "blake2b_generic"), GRUB: "btrfs",
			Tools: FSTools{Package: "btrfs-progs", Make: "mkfs.btrfs", Check: "btrfs"},
			Fixes: FSFixes{UUID: "btrfstune -u DEV", Label: "btrfs filesystem label DEV LABEL", Look: "btrfs check DEV", Repair: "btrfs check DEV"}},
		FSType{Name: "f2fs", Quiet: true, ReadOnly: "norecovery", Module: "f2fs", Partners: crc32c()},
		FSType{Name: "vfat", Quiet: true, Module: "vfat", Partners: []string{"nls_cp437", "nls_ascii", "nls_iso8859_1", "nls_utf8"}},
		FSType{Name: "iso9660", Quiet: true, Module: "isofs"},
		FSType{Name: "squashfs", Quiet: true, Module: "squashfs"},
		FSType{Name: "erofs", Quiet: true, Module: "erofs"},
		FSType{Name: "zfs", Pool: true, Module: "zfs"},
		FSType{Name: SwapType, Tools: FSTools{Package: "util-linux", Make: "mkswap"}, Fixes: FSFixes{UUID: "mkswap DEV", Label: "mkswap -L LABEL DEV"}},
	)
}

// extTypes are the three names of one family: ext4's driver mounts all of them in the kernels of distributions
// (CONFIG_EXT4_USE_FOR_EXT2), and GRUB's module ext2 reads them.
func extTypes() []FSType {
	var out []FSType
	for _, name := range []string{"ext2", "ext3", "ext4"} {
		t := FSType{Name: name, Movable: true, Quiet: true, ReadOnly: "noload", Replay: extReplay, ByBlocks: extByBlocks, Module: "ext4", Partners: crc32c(), GRUB: "ext2", GRUBWrites: true,
			Tools: FSTools{Package: "e2fsprogs", Make: "mke2fs", Files: []string{"/etc/mke2fs.conf"}, Check: "e2fsck", Blocks: []string{"e2fsck", "tune2fs", "resize2fs"}},
			Fixes: FSFixes{UUID: "tune2fs -U random DEV", Label: "e2label DEV LABEL", Look: "e2fsck -n DEV", Repair: "e2fsck -f DEV",
				Journal: "tune2fs -O ^has_journal DEV, e2fsck -f DEV, tune2fs -j DEV; and take journal_dev= and journal_path= out of its line in /etc/fstab"}}
		if name == "ext4" {
			t.New = ext4New()
		}
		if name == "ext2" {
			t.ReadOnly, t.Replay = "", nil // it has no journal
		}
		out = append(out, t)
	}
	return out
}

// crc32c are the names by which a filesystem asks the kernel for its checksum.
func crc32c() []string { return []string{"crypto-crc32c", "crc32c_generic", "libcrc32c"} }

// FSTypeOf returns the row of a type, and for one that has none a row that knows only its name, which is its module's too.
func FSTypeOf(name string) FSType {
	for _, t := range FSTypes() {
		if t.Name == name {
			return t
		}
	}
	return FSType{Name: name, Module: name}
}

// NotByBlocks says why a filesystem of the type with these features is not copied by its used blocks, "" when it can be.
func (t FSType) NotByBlocks(features []string) string {
	if t.ByBlocks == nil {
		return "type " + t.Name + " is not copied by blocks"
	}
	return t.ByBlocks(features)
}

func (t FSType) immovable(features []string) string {
	if t.Immovable == nil {
		return ""
	}
	return t.Immovable(features)
}

// RepairOf is the command that repairs a filesystem of the type.
func (t FSType) RepairOf(dev string) string {
	return fill(t.Fixes.Repair, "with the tools of its type", dev, "")
}

// fill puts a device and a label into a fix; a type without one gets the words other.
func fill(fix, other, dev, label string) string {
	if fix == "" {
		return other
	}
	return strings.NewReplacer("DEV", dev, "LABEL", label).Replace(fix)
}

// identify tells how a device with a filesystem of the type, or a swap area, gets another UUID and another label.
func (t FSType) identify(dev string) string {
	const other = "with the tools of its type"
	return fill(t.Fixes.UUID, other, dev, "") + comma(fill(t.Fixes.Label, "", dev, "NAME"))
}

// namesOf lists the types that a column picks, as a sentence does.
func namesOf(conjunction string, pick func(FSType) bool) string {
	var names []string
	for _, t := range FSTypes() {
		if pick(t) {
			names = append(names, t.Name)
		}
	}
	return listed(names, conjunction)
}

func listed(words []string, conjunction string) string {
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " " + conjunction + " " + words[n-1]
	}
	return strings.Join(words, "")
}
