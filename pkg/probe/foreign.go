package probe

// probeForeign knows by their magic alone what this tool never handles but must not overwrite unasked. The places are
// those of util-linux's libblkid/src/superblocks; a negative one counts from the device's end.
func probeForeign(d *device) []Signature {
	var out []Signature
	for _, f := range []struct {
		typ   string
		kind  Kind
		at    int64
		magic string
	}{
		{"ntfs", Filesystem, 3, "NTFS    "},
		{"exfat", Filesystem, 3, "EXFAT   "},
		{"BitLocker", Other, 3, "-FVE-FS-"},
		{"iso9660", Filesystem, 32769, "CD001"},
		{"f2fs", Filesystem, 1024, "\x10\x20\xf5\xf2"},
		{"erofs", Filesystem, 1024, "\xe2\xe1\xf5\xe0"},
		{"squashfs", Filesystem, 0, "hsqs"},
		{"reiserfs", Filesystem, 65588, "ReIsEr"},
		{"jfs", Filesystem, 32768, "JFS1"},
		{"bcache", Other, 4120, "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"},
		{"bcachefs", Filesystem, 4120, "\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef"},
		{"ceph_bluestore", Other, 0, "bluestore block device"},
		{"ocfs2", Filesystem, 1024, "OCFSV2"},
		{"ocfs2", Filesystem, 2048, "OCFSV2"},
		{"ocfs2", Filesystem, 4096, "OCFSV2"},
		{"ocfs2", Filesystem, 8192, "OCFSV2"},
		{"gfs2", Filesystem, 65536, "\x01\x16\x19\x70"},
		{"nilfs2", Filesystem, 1024, "\x02\x00\x00\x00\x00\x00\x34\x34"}, // revision 2.0, and two bytes of magic
		{"apfs", Filesystem, 32, "NXSB"},
		{"hfsplus", Filesystem, 1024, "H+\x00\x04"},
		{"hfsplus", Filesystem, 1024, "HX\x00\x05"},
		{"udf", Filesystem, 32769, "BEA01"},
		{"stratis", Other, 516, "!Stra0tis\x86\xff\x02^\x41rh"},
		{"vdo", Other, 0, "dmvdo001"},
		{"drbd", Other, -4096 + 60, "\x83\x74\x02\x6b"},
		{"drbd", Other, -4096 + 60, "\x83\x74\x02\x6c"},
		{"drbd", Other, -4096 + 60, "\x83\x74\x02\x6d"},
	} {
		if f.at < 0 {
			f.at += d.size
		}
		if b := d.read(f.at, len(f.magic)); b != nil && string(b) == f.magic {
			n := int64(len(f.magic))
			out = append(out, Signature{Kind: f.kind, Type: f.typ, Offset: f.at, Length: n, copies: []Range{{f.at, n}}})
		}
	}
	return out
}
