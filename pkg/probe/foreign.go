package probe

type foreignMagic struct {
	typ   string
	kind  Kind
	at    int64 // bytes; negative: counted back from the end of the last whole sector
	magic string
}

// foreignMagics lists the formats of util-linux's libblkid (src/superblocks, src/partitions) that this program does not
// handle but must not overwrite unasked, and whose magic is long enough to be trusted by itself. A partition table of
// another kind of machine is Other, because no one reads it here.
func foreignMagics() []foreignMagic {
	return []foreignMagic{
		{"ntfs", Filesystem, 3, "NTFS    "},
		{"exfat", Filesystem, 3, "EXFAT   "},
		{"ReFS", Filesystem, 0, "\x00\x00\x00ReFS\x00"},
		{"BitLocker", Other, 3, "-FVE-FS-"},
		{"iso9660", Filesystem, 32769, "CD001"},
		{"iso9660", Filesystem, 32777, "CDROM"},
		{"udf", Filesystem, 32769, "BEA01"},
		{"udf", Filesystem, 32769, "BOOT2"},
		{"udf", Filesystem, 32769, "CDW02"},
		{"udf", Filesystem, 32769, "NSR02"},
		{"udf", Filesystem, 32769, "NSR03"},
		{"udf", Filesystem, 32769, "TEA01"},
		{"f2fs", Filesystem, 1024, "\x10\x20\xf5\xf2"},
		{"f2fs", Filesystem, 4096 + 1024, "\x10\x20\xf5\xf2"},
		{"erofs", Filesystem, 1024, "\xe2\xe1\xf5\xe0"},
		{"squashfs", Filesystem, 0, "hsqs"},
		{"squashfs3", Filesystem, 0, "sqsh"},
		{"cramfs", Filesystem, 0, "\x45\x3d\xcd\x28"},
		{"cramfs", Filesystem, 0, "\x28\xcd\x3d\x45"},
		{"romfs", Filesystem, 0, "-rom1fs-"},
		{"zonefs", Filesystem, 0, "SFOZ"},
		{"reiserfs", Filesystem, 8<<10 + 20, "ReIsErFs"},
		{"reiserfs", Filesystem, 8<<10 + 52, "ReIsErFs"},
		{"reiserfs", Filesystem, 64<<10 + 52, "ReIsEr"},
		{"reiser4", Filesystem, 64 << 10, "ReIsEr4"},
		{"jfs", Filesystem, 32768, "JFS1"},
		{"bcache", Other, 4120, "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"},
		{"bcachefs", Filesystem, 4120, "\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef"},
		{"bcachefs", Filesystem, 2<<20 + 24, "\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef"},
		{"bcachefs", Filesystem, -1<<20 + 24, "\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef"},
		{"ceph_bluestore", Other, 0, "bluestore block device"},
		{"ocfs", Filesystem, 8192, "OracleCFS"},
		{"ocfs2", Filesystem, 1024, "OCFSV2"},
		{"ocfs2", Filesystem, 2048, "OCFSV2"},
		{"ocfs2", Filesystem, 4096, "OCFSV2"},
		{"ocfs2", Filesystem, 8192, "OCFSV2"},
		{"oracleasm", Other, 32, "ORCLDISK"},
		{"gfs2", Filesystem, 65536, "\x01\x16\x19\x70"},
		{"scoutfs", Filesystem, 65536 + 4, "\x8b\x42\x3c\x10"},
		{"nilfs2", Filesystem, 1024, "\x02\x00\x00\x00\x00\x00\x34\x34"}, // revision 2.0, and two bytes of magic
		{"apfs", Filesystem, 32, "NXSB"},
		{"hfsplus", Filesystem, 1024, "H+\x00\x04"},
		{"hfsplus", Filesystem, 1024, "HX\x00\x05"},
		{"hpfs", Filesystem, 8192, "\x49\xe8\x95\xf9"},
		{"befs", Filesystem, 32, "BFS1"},
		{"befs", Filesystem, 32, "1SFB"},
		{"befs", Filesystem, 512 + 32, "BFS1"},
		{"befs", Filesystem, 512 + 32, "1SFB"},
		{"bfs", Filesystem, 0, "\xce\xfa\xad\x1b"},
		{"vxfs", Filesystem, 1024, "\xf5\xfc\x01\xa5"},
		{"vxfs", Filesystem, 8192, "\xa5\x01\xfc\xf5"},
		{"nss", Filesystem, 4096, "SPB5"},
		{"exfs", Filesystem, 0, "EXFS"},
		{"mpool", Filesystem, 0, "mpoolDev"},
		{"ubifs", Filesystem, 0, "\x31\x18\x10\x06"},
		{"ubi", RAID, 0, "UBI#"},
		{"VMFS", Filesystem, 2 << 20, "\x5e\xf1\xab\x2f"},
		{"VMFS_volume_member", RAID, 1 << 20, "\x0d\xd0\x01\xc0"},
		{"stratis", RAID, 512 + 4, "!Stra0tis\x86\xff\x02^\x41rh"},
		{"stratis", RAID, 9*512 + 4, "!Stra0tis\x86\xff\x02^\x41rh"},
		{"vdo", Other, 0, "dmvdo001"},
		{"drbd", RAID, -4096 + 60, "\x83\x74\x02\x6b"},
		{"drbd", RAID, -4096 + 60, "\x83\x74\x02\x6c"},
		{"drbd", RAID, -4096 + 60, "\x83\x74\x02\x6d"},
		{"drbdmanage_control_volume", Other, 0, "$DRBDmgr=q"},
		{"drbdproxy_datalog", Other, 0, "DRBDdlh*"},
		{"LVM1_member", LVM, 0, "HM\x01\x00"},
		{"LVM1_member", LVM, 0, "HM\x02\x00"},
		{"DM_snapshot_cow", Other, 0, "SnAp"},
		{"DM_verity_hash", Other, 0, "verity\x00\x00"},
		{"DM_integrity", Other, 0, "integrt\x00"},
		{"aix", Other, 0, "\xc9\xc2\xd4\xc1"},
		{"sgi", Other, 0, "\x0b\xe5\xa9\x41"},
		{"bsd", Other, 64, "\x57\x45\x56\x82"},
		{"bsd", Other, 128, "\x57\x45\x56\x82"},
		{"bsd", Other, 512, "\x57\x45\x56\x82"},
		{"ultrix", Other, 16384 - 72, "\x57\x29\x03\x00\x01\x00\x00\x00"},
	}
}

// ufsMagics lists the six magics of UFS, in both byte orders, at the four positions of its superblock, and System V's
// magic at its four positions.
func ufsMagics() []foreignMagic {
	var out []foreignMagic
	for _, at := range []int64{0, 8 << 10, 64 << 10, 256 << 10} {
		for _, m := range []string{"\x54\x19\x01\x00", "\x19\x01\x54\x19", "\x12\x56\x19\x00", "\x14\x50\x09\x00", "\x95\x21\x61\x00", "\x94\x19\x23\x05"} {
			out = append(out, foreignMagic{"ufs", Filesystem, at + 1372, m},
				foreignMagic{"ufs", Filesystem, at + 1372, string([]byte{m[3], m[2], m[1], m[0]})})
		}
	}
	for _, block := range []int64{0, 9, 15, 18} {
		out = append(out, foreignMagic{"sysv", Filesystem, block<<10 + 1016, "\x20\x7e\x18\xfd"},
			foreignMagic{"sysv", Filesystem, block<<10 + 1016, "\xfd\x18\x7e\x20"})
	}
	return out
}

// probeForeign reports each type once, with all its copies: if the first is gone, the others still count.
func probeForeign(d *device) []Signature {
	out := d.magics(append(foreignMagics(), ufsMagics()...))
	for i := range out {
		if out[i].Type == "iso9660" {
			out[i].Label = d.isoLabel()
		}
	}
	return out
}

// isoLabel returns the volume name from the primary descriptor (ECMA-119, 8.4), by which cloud-init recognizes its
// discs. libblkid prefers the name from the Joliet descriptor, which may be spelled differently.
func (d *device) isoLabel() string {
	const primary = 1
	if b := d.read(32<<10, 72); b != nil && b[0] == primary && string(b[1:6]) == "CD001" {
		return text(b[40:72])
	}
	return ""
}

func (d *device) magics(all []foreignMagic) []Signature {
	var out []Signature
	at := map[string]int{}
	for _, f := range all {
		if f.at < 0 {
			f.at += d.size &^ 511
		}
		if string(d.read(f.at, len(f.magic))) != f.magic {
			continue
		}
		n := int64(len(f.magic))
		if f.typ == "bcache" && d.bcachefs() {
			f.kind, f.typ = Filesystem, "bcachefs"
		}
		if i, again := at[f.typ]; again {
			out[i].copies = append(out[i].copies, Range{f.at, n})
			continue
		}
		at[f.typ] = len(out)
		out = append(out, Signature{Kind: f.kind, Type: f.typ, Offset: f.at, Length: n, copies: []Range{{f.at, n}}})
	}
	return out
}

// bcachefs reports whether a superblock with bcache's magic belongs to bcachefs, which has the same magic at the same
// position but stores the position of its superblock (sector 8) in another field.
func (d *device) bcachefs() bool {
	const sector = "\x08\x00\x00\x00\x00\x00\x00\x00"
	return string(d.read(4096+8, 8)) != sector && string(d.read(4096+104, 8)) == sector
}
