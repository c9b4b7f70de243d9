package extent

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"testing"
)

// image reads a whole image to memory.
func image(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	return b
}

func le32(b []byte, off int, set uint32) {
	binary.LittleEndian.PutUint32(b[off:], binary.LittleEndian.Uint32(b[off:])|set)
}

// sealExt updates the checksum of the superblock.
func sealExt(b []byte) {
	sb := b[1024:2048]
	if binary.LittleEndian.Uint32(sb[0x64:])&extRoMetadataCsum != 0 {
		binary.LittleEndian.PutUint32(sb[extSuperChecksum:], rawCRC32C(^uint32(0), sb[:extSuperChecksum]))
	}
}

type refusal struct {
	name   string
	change func(b []byte)
	want   error
	says   string
}

func checkRefusals(t *testing.T, whole []byte, rows []refusal) {
	t.Helper()
	if _, err := Read(bytes.NewReader(whole), int64(len(whole))); err != nil {
		t.Fatalf("unchanged image: %v", err)
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			b := bytes.Clone(whole)
			r.change(b)
			_, err := Read(bytes.NewReader(b), int64(len(b)))
			if !errors.Is(err, r.want) || !strings.Contains(err.Error(), r.says) {
				t.Errorf("got %v\nwant %v with %q", err, r.want, r.says)
			}
		})
	}
}

func TestExtRefuses(t *testing.T) {
	need(t, "mke2fs")
	sb := func(f func(sb []byte)) func([]byte) {
		return func(b []byte) { f(b[1024:2048]); sealExt(b) }
	}
	for _, opts := range []string{"-t ext4 -b 1024 -O metadata_csum,64bit", "-t ext4 -b 1024 -O ^metadata_csum,uninit_bg,^64bit"} {
		whole := image(t, mkext(t, opts, 20, ""))
		gdt := 2 * 1024
		bitmap := int(binary.LittleEndian.Uint32(whole[gdt:])) * 1024
		rows := []refusal{
			{"mounted", sb(func(b []byte) { b[0x3a] = 0 }), ErrDirty, "state 0x0"},
			{"orphans", sb(func(b []byte) { b[0x3a] |= 4 }), ErrDirty, "state 0x5"},
			{"errors", sb(func(b []byte) { b[0x3a] |= 2 }), ErrCorrupt, "errors recorded"},
			{"errors and dirty", sb(func(b []byte) { b[0x3a] = 2 }), ErrCorrupt, "errors recorded"},
			{"journal", sb(func(b []byte) { le32(b, 0x60, 4) }), ErrDirty, "needs_recovery"},
			{"orphan list", sb(func(b []byte) { le32(b, 0xe8, 12) }), ErrDirty, "inode 12"},
			{"orphan file", sb(func(b []byte) { le32(b, 0x64, 0x10000) }), ErrDirty, "orphan_present"},
			{"external journal", sb(func(b []byte) { clear(b[0xe0:0xe4]) }), ErrUnsupported, "another device"},
			{"journal device", sb(func(b []byte) { le32(b, 0x60, 8) }), ErrUnsupported, "journal_dev"},
			{"compression", sb(func(b []byte) { le32(b, 0x60, 1) }), ErrUnsupported, "compression"},
			{"unknown incompat", sb(func(b []byte) { le32(b, 0x60, 1<<30) }), ErrUnsupported, "unknown incompat bits 0x40000000"},
			{"unknown ro_compat", sb(func(b []byte) { le32(b, 0x64, 1<<30) }), ErrUnsupported, "unknown ro_compat bits 0x40000000"},
			{"unknown compat", sb(func(b []byte) { le32(b, 0x5c, 1<<30) }), ErrUnsupported, "unknown compat bits 0x40000000"},
			{"revision", sb(func(b []byte) { b[0x4c] = 2 }), ErrUnsupported, "revision 2"},
			{"too large", sb(func(b []byte) { b[0x07] = 1 }), ErrCorrupt, "on a device of"},
			{"no blocks", sb(func(b []byte) { clear(b[4:8]) }), ErrCorrupt, "0 blocks"},
			{"block size", sb(func(b []byte) { b[0x18] = 7 }), ErrCorrupt, "log block size 7"},
			{"blocks per group", sb(func(b []byte) { clear(b[0x20:0x24]) }), ErrCorrupt, "0 blocks a group"},
			{"inodes per group", sb(func(b []byte) { clear(b[0x28:0x2c]) }), ErrCorrupt, "0 inodes"},
			{"inode size", sb(func(b []byte) { b[0x58]++ }), ErrCorrupt, "inodes of"},
			{"two ways to grow", sb(func(b []byte) { le32(b, 0x60, extIncompatMetaBG) }), ErrCorrupt, "resize_inode and meta_bg"},
			{"first block", sb(func(b []byte) { b[0x14] = 0 }), ErrCorrupt, "first data block 0"},
			{"descriptor", func(b []byte) { b[gdt+0x10] ^= 1 }, ErrCorrupt, "descriptor checksum"},
			{"xfs too", func(b []byte) { copy(b, "XFSB") }, ErrUnsupported, "both"},
			{"no magic", func(b []byte) { b[1024+0x38] = 0 }, ErrUnsupported, "neither"},
		}
		if strings.Contains(opts, "^metadata_csum") {
			rows = append(rows, refusal{"bitmap has free metadata", func(b []byte) { b[bitmap] &^= 1 }, ErrCorrupt, "metadata blocks as free"},
				refusal{"free count", func(b []byte) { b[bitmap+1023] ^= 0x10 }, ErrCorrupt, "free clusters"})
		} else {
			rows = append(rows, refusal{"bitmap", func(b []byte) { b[bitmap+5] ^= 0x10 }, ErrCorrupt, "bitmap checksum"},
				refusal{"superblock", func(b []byte) { b[1024+0x30] ^= 1 }, ErrCorrupt, "checksum"},
				refusal{"descriptor size", sb(func(b []byte) { b[0xfe] = 96 }), ErrCorrupt, "descriptor size 96"},
				refusal{"checksum type", sb(func(b []byte) { b[0x175] = 2 }), ErrUnsupported, "checksum type 2"})
		}
		t.Run(strings.ReplaceAll(opts, " ", "_"), func(t *testing.T) { checkRefusals(t, whole, rows) })
	}
}

func TestExtMMP(t *testing.T) {
	need(t, "mke2fs")
	whole := image(t, mkext(t, "-t ext4 -b 1024 -O mmp,^metadata_csum", 20, ""))
	block := int(binary.LittleEndian.Uint64(whole[1024+0x168:])) * 1024
	checkRefusals(t, whole, []refusal{
		{"in use", func(b []byte) { binary.LittleEndian.PutUint32(b[block+4:], 7); copy(b[block+16:], "otherhost\x00") }, ErrDirty, `by "otherhost"`},
		{"magic", func(b []byte) { b[block] = 0 }, ErrCorrupt, "magic"},
		{"place", func(b []byte) { b[1024+0x16f] = 0xff }, ErrCorrupt, "mmp block"},
	})
	whole = image(t, mkext(t, "-t ext4 -b 1024 -O mmp,metadata_csum", 20, ""))
	block = int(binary.LittleEndian.Uint64(whole[1024+0x168:])) * 1024
	checkRefusals(t, whole, []refusal{
		{"checksum", func(b []byte) { b[block+20]++ }, ErrCorrupt, "mmp block 1"},
		{"its own checksum", func(b []byte) { b[block+1023]++ }, ErrCorrupt, "checksum"},
	})
}

// TestExtMounted checks that a mounted filesystem is refused, and also one
// after a crash.
func TestExtMounted(t *testing.T) {
	need(t, "mke2fs")
	for _, opts := range []string{"-t ext4", "-t ext4 -O ^has_journal", "-t ext2"} {
		path := mkext(t, opts, 32, "")
		dir, unmount := mountLoop(t, path, "rw")
		must(t, os.WriteFile(dir+"/file", []byte("x"), 0o600))
		run(t, "sync", "-f", dir)
		f, size := openImage(t, path)
		if _, err := Read(f, size); !errors.Is(err, ErrDirty) {
			t.Errorf("%s: mounted: %v", opts, err)
		}
		unmount()
		if _, err := Read(f, size); err != nil {
			t.Errorf("%s: unmounted: %v", opts, err)
		}
	}
}
