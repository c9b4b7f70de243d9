package probe

import (
	"errors"
	"strings"
	"testing"
)

// A device with a label is never a filesystem, even if it has one too, whichever comes first.
func TestLabelOverFilesystem(t *testing.T) {
	const size = 16*mib + 12288
	zfs := craftZFS(0, "rpool", 5, 9)
	copy(zfs[1024:], craftExt(4096)) // ZFS leaves the first 8 KiB of a label alone
	for _, c := range []struct {
		name   string
		pieces map[int64][]byte
		label  string
	}{
		{"md 1.0 and ext", map[int64][]byte{1024: craftExt(4096), size - 8192: craftMD1(size - 8192)}, "linux_raid_member 1.0"},
		{"md 0.90 and ext", map[int64][]byte{1024: craftExt(4096), size&^0xffff - 0x10000: craftMD0()}, "linux_raid_member 0.90"},
		{"md 1.2 and ext", map[int64][]byte{1024: craftExt(4096), 4096: craftMD1(4096)}, "linux_raid_member 1.2"},
		{"md 1.0 and xfs", map[int64][]byte{0: craftXFS(), 8192: craftXFSLog(), size - 8192: craftMD1(size - 8192)}, "linux_raid_member 1.0"},
		{"md 0.90 and vfat", map[int64][]byte{0: craftFAT(), size&^0xffff - 0x10000: craftMD0()}, "linux_raid_member 0.90"},
		{"md 0.90 and btrfs", map[int64][]byte{65536: craftBtrfs(65536), size&^0xffff - 0x10000: craftMD0()}, "linux_raid_member 0.90"},
		{"zfs and ext", map[int64][]byte{0: zfs}, "zfs_member"},
		{"lvm and ext", map[int64][]byte{512: craftLVM(), 1024: craftExt(4096)}, "LVM2_member"},
		{"luks and ext", map[int64][]byte{0: []byte("LUKS\xba\xbe\x00\x02"), 1024: craftExt(4096)}, "LUKS2"},
		{"luks of a later version and ext", map[int64][]byte{0: []byte("LUKS\xba\xbe\x00\x03"), 1024: craftExt(4096)}, "LUKS 3"},
		{"bcache and ext", map[int64][]byte{1024: craftExt(4096), 4120: []byte("\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81")}, "bcache"},
		{"drbd and ext", map[int64][]byte{1024: craftExt(4096), size - 4036: []byte("\x83\x74\x02\x6d")}, "drbd"},
		{"hibernation and ext", merge(craftSwap("S1SUSPEND\x00", 4096), map[int64][]byte{1024: craftExt(4096)}), "hibernation"},
		{"table and ext", map[int64][]byte{0: craftBoot([4]uint32{0x80, 0x83, 2048, 4096}), 1024: craftExt(4096)}, "dos"},
	} {
		res, err := Probe(disk{size, c.pieces}, size)
		if err != nil {
			t.Fatal(err)
		}
		fs, err := res.Filesystem()
		var amb *AmbiguousError
		if !errors.Is(err, ErrNoFilesystem) || !errors.As(err, &amb) || !strings.Contains(err.Error(), "claimed by "+c.label) {
			t.Errorf("%s: %v, %v", c.name, fs, err)
		}
	}
}

// A 0.90 superblock has the byte order of its machine, and a checksum of which only 16 folded bits count.
func TestMD090Variants(t *testing.T) {
	const size = 16 * mib
	swapped := craftMD0()
	for i := 0; i < len(swapped); i += 4 {
		be.PutUint32(swapped[i:], le.Uint32(swapped[i:]))
	}
	folded := craftMD0()
	le.PutUint32(folded[152:], fold16(le.Uint32(folded[152:])))
	wrong := craftMD0()
	le.PutUint32(wrong[152:], le.Uint32(wrong[152:])+1)
	for name, c := range map[string]struct {
		b    []byte
		want Check
	}{"as it is": {craftMD0(), Valid}, "big-endian": {swapped, Valid}, "folded sum": {folded, Valid}, "wrong sum": {wrong, Invalid}} {
		res, err := Probe(disk{size, map[int64][]byte{size - 65536: c.b}}, size)
		if err != nil || len(res.Signatures) != 1 {
			t.Fatalf("%s: %v, %v", name, res, err)
		}
		if s := res.Signatures[0]; s.Kind != RAID || s.Version != "0.90" || s.UUID != "11223344-1122-3345-1122-334611223347" || s.Checksum != c.want {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// Every image that libblkid calls swsuspend, for every page size, whatever the tenth byte is.
func TestHibernationImages(t *testing.T) {
	const size = 16 * mib
	for page := int64(4096); page <= 65536; page *= 2 {
		for _, magic := range []string{"S1SUSPEND\x00", "S2SUSPEND\x00", "ULSUSPEND\x00", "S1SUSPEND2", "ULSUSPENDx", "LINHIB0001"} {
			res, err := Probe(disk{size, craftSwap(magic, page)}, size)
			if err != nil || len(res.Signatures) != 1 || res.Signatures[0].Type != "hibernation" || res.Signatures[0].Kind != Swap || res.Signatures[0].UUID == "" {
				t.Errorf("%q at %d: %v, %v", magic, page, res.Signatures, err)
			}
		}
	}
	for name, pieces := range map[string]map[int64][]byte{
		"with swap":    merge(craftSwap("SWAPSPACE2", 4096), map[int64][]byte{0: []byte(tuxOnIce)}),
		"without swap": {0: []byte(tuxOnIce)},
	} {
		d := disk{size, pieces}
		res, err := Probe(d, size)
		if err != nil || len(res.Signatures) != 1 || res.Signatures[0].Type != "hibernation" || res.Signatures[0].Swap.Hibernated != "TuxOnIce" {
			t.Errorf("TuxOnIce at the start, %s: %v, %v", name, res.Signatures, err)
			continue
		}
		for _, w := range res.Wipes() {
			zero(d, w)
		}
		if left, err := Probe(d, size); err != nil || !left.Empty() {
			t.Errorf("TuxOnIce, %s, wiped: %v, %v", name, left, err)
		}
	}
}

// The kernel reads a GPT if there is a protective entry, whatever the boot indicators say.
func TestProtectiveEntryAmongOddOnes(t *testing.T) {
	const size = 16 * mib
	for name, boot := range map[string][]byte{
		"odd boot indicator":    craftBoot([4]uint32{0x33, 0xee, 1, 4096}),
		"an entry at sector 0":  craftBoot([4]uint32{0, 0xee, 1, 4096}, [4]uint32{0, 0x83, 0, 77}),
		"protective comes last": craftBoot([4]uint32{}, [4]uint32{0x80, 0x83, 2048, 8}, [4]uint32{}, [4]uint32{0, 0xee, 1, 2047}),
	} {
		res, err := Probe(disk{size, map[int64][]byte{0: boot, 512: craftGPTHeader()}}, size)
		if err != nil || len(res.Signatures) != 1 || res.Signatures[0].Type != "gpt" || res.Signatures[0].Ghost {
			t.Errorf("%s: %v, %v", name, res.Signatures, err)
		}
	}
}
