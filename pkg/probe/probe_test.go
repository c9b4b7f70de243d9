package probe

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

func craftExt(fsBlocks uint32) []byte {
	b := make([]byte, 1024)
	le.PutUint32(b[0:], 16)
	le.PutUint32(b[4:], fsBlocks)
	le.PutUint32(b[32:], 8192)
	le.PutUint16(b[56:], 0xef53)
	le.PutUint16(b[58:], 1)
	le.PutUint32(b[76:], 1)
	copy(b[104:], "ext-uuid-16bytes")
	return b
}

func craftSwap(magic string, page int64) map[int64][]byte {
	h := make([]byte, 60)
	le.PutUint32(h, 1)
	le.PutUint32(h[4:], 999)
	copy(h[12:], "swap-uuid-16byte")
	copy(h[28:], "label")
	return map[int64][]byte{1024: h, page - 10: []byte(magic)}
}

func craftBtrfs(at int64) []byte {
	b := make([]byte, 4096)
	copy(b[32:], "btrfs-uuid-16byt")
	le.PutUint64(b[48:], uint64(at))
	copy(b[64:], "_BHRfS_M")
	le.PutUint16(b[196:], 3)
	return b
}

func craftBoot(entries ...[4]uint32) []byte { // active, type, start, count
	b := make([]byte, 512)
	for i, e := range entries {
		p := b[446+16*i:]
		p[0], p[4] = byte(e[0]), byte(e[1])
		le.PutUint32(p[8:], e[2])
		le.PutUint32(p[12:], e[3])
	}
	b[510], b[511] = 0x55, 0xaa
	return b
}

func craftGPTHeader() []byte {
	b := make([]byte, 512)
	copy(b, "EFI PART")
	copy(b[56:], "disk-guid-16byte")
	return b
}

func merge(maps ...map[int64][]byte) map[int64][]byte {
	out := map[int64][]byte{}
	for _, m := range maps {
		for k, v := range m {
			out[k] = v
		}
	}
	return out
}

func names(s []Signature) []string {
	out := []string{}
	for _, x := range s {
		n := string(x.Kind) + "/" + x.Type
		if x.Ghost {
			n += "/ghost"
		}
		out = append(out, n)
	}
	return out
}

// What a device holds, in order, and what Filesystem says about it.
func TestProbe(t *testing.T) {
	const size = 80 * mib
	ext := map[int64][]byte{1024: craftExt(4096)}
	zfsTail := zfsDisk(size, "rpool", 5, 9).pieces
	delete(zfsTail, 0)
	delete(zfsTail, zfsLabel)
	for _, c := range []struct {
		name   string
		pieces map[int64][]byte
		want   []string
		fs     string // type, or a part of the error
	}{
		{"nothing", nil, nil, "no filesystem"},
		{"ext2", ext, []string{"filesystem/ext2"}, "ext2"},
		{"ext in md 1.0", merge(ext, map[int64][]byte{size - 8192: craftMD1(size - 8192)}), []string{"raid/linux_raid_member", "filesystem/ext2"}, "claimed by linux_raid_member 1.0"},
		{"ext over stale zfs", merge(ext, zfsTail), []string{"zfs/zfs_member", "filesystem/ext2"}, "claimed by zfs_member"},
		{"two md versions", map[int64][]byte{0: craftMD1(0), size - 65536: craftMD0()}, []string{"raid/linux_raid_member", "raid/linux_raid_member"}, "device is linux_raid_member 1.1"},
		{"md copied elsewhere", map[int64][]byte{4096: craftMD1(0)}, nil, "no filesystem"},
		{"ext and btrfs", merge(ext, map[int64][]byte{65536: craftBtrfs(65536)}), []string{"filesystem/ext2", "filesystem/btrfs"}, "ambiguous: ext2"},
		{"btrfs mirror under ext", merge(ext, map[int64][]byte{64 * mib: craftBtrfs(64 * mib)}), []string{"filesystem/ext2", "filesystem/btrfs/ghost"}, "ext2"},
		{"swap", craftSwap("SWAPSPACE2", 4096), []string{"swap/swap"}, "device is swap"},
		{"hibernation", craftSwap("S1SUSPEND\x00", 4096), []string{"swap/hibernation"}, "device is hibernation"},
		{"lzo hibernation, 64k pages", craftSwap("LINHIB0001", 65536), []string{"swap/hibernation"}, "device is hibernation"},
		{"TuxOnIce", craftSwap("\xed\xc3\x02\xe9\x98\x56\xe5\x0c\x01\x02", 4096), []string{"swap/hibernation"}, "device is hibernation"},
		{"dos table", map[int64][]byte{0: craftBoot([4]uint32{0x80, 0x83, 2048, 4096})}, []string{"table/dos"}, "device is dos"},
		{"boot record over ext", merge(ext, map[int64][]byte{0: craftBoot()}), []string{"filesystem/ext2"}, "ext2"},
		{"gpt", map[int64][]byte{0: craftBoot([4]uint32{0, 0xee, 1, 4096}), 512: craftGPTHeader(), size - 512: craftGPTHeader()}, []string{"table/gpt"}, "device is gpt"},
		{"gpt at the end only, over ext", merge(ext, map[int64][]byte{size - 512: craftGPTHeader()}), []string{"table/gpt/ghost", "filesystem/ext2"}, "ext2"},
		{"protective entry only", map[int64][]byte{0: craftBoot([4]uint32{0, 0xee, 1, 4096})}, []string{"table/gpt"}, "device is gpt"},
		{"intel raid", map[int64][]byte{size - 1024: []byte("Intel Raid ISM Cfg Sig. 1.3.00\x00\x00")}, []string{"raid/isw_raid_member"}, "isw_raid_member"},
		{"ntfs", map[int64][]byte{0: []byte("\xeb\x52\x90NTFS    ")}, []string{"filesystem/ntfs"}, "ntfs"},
		{"two pools", merge(zfsDisk(size, "rpool", 5, 9).pieces, map[int64][]byte{0: craftZFS(0, "rpool", 6, 9)}), []string{"zfs/zfs_member", "zfs/zfs_member"}, "zfs_member"},
		{"uberblocks only", map[int64][]byte{128 << 10: craftZFS(0, "x", 1, 9)[128<<10:]}, []string{"zfs/zfs_member/ghost"}, "no filesystem"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := disk{size, c.pieces}
			res, err := Probe(d, size)
			if err != nil {
				t.Fatal(err)
			}
			if got := names(res.Signatures); !slices.Equal(got, c.want) {
				t.Errorf("signatures = %q, wants %q", got, c.want)
			}
			if res.Empty() != (len(c.want) == 0) {
				t.Errorf("Empty() = %v", res.Empty())
			}
			fs, err := res.Filesystem()
			if err == nil && fs.Type != c.fs || err != nil && !strings.Contains(err.Error(), c.fs) {
				t.Errorf("Filesystem() = %v, %v; wants %q", fs, err, c.fs)
			}
			for i, w := range res.Wipes() {
				d.pieces = merge(d.pieces)
				zero(d, w)
				if w.Length <= 0 || w.Offset < 0 || w.Offset+w.Length > size || i > 0 && w.Offset <= res.Wipes()[i-1].Offset {
					t.Errorf("wipe %+v", w)
				}
			}
			if left, err := Probe(d, size); err != nil || !left.Empty() {
				t.Errorf("after the wipe: %v, %v", left.Signatures, err)
			}
		})
	}
}

// zero overwrites a range in all the pieces.
func zero(d disk, w Range) {
	for off, p := range d.pieces {
		p = slices.Clone(p)
		if from, to := max(w.Offset, off), min(w.Offset+w.Length, off+int64(len(p))); from < to {
			clear(p[from-off : to-off])
		}
		d.pieces[off] = p
	}
}

func TestAmbiguousErrorListsCandidates(t *testing.T) {
	res, err := Probe(disk{mib, map[int64][]byte{1024: craftExt(9), 65536: craftBtrfs(65536)}}, mib)
	if err != nil {
		t.Fatal(err)
	}
	_, err = res.Filesystem()
	var amb *AmbiguousError
	if !errors.As(err, &amb) || len(amb.Candidates) != 2 || errors.Is(err, ErrNoFilesystem) {
		t.Errorf("err = %#v", err)
	}
}

// All three superblocks of a large btrfs are wiped; so are both ends of a disk that was md before.
func TestWipesReachEveryCopy(t *testing.T) {
	const size = 300 << 30
	d := disk{size, map[int64][]byte{64 << 10: craftBtrfs(64 << 10), 64 * mib: craftBtrfs(64 * mib), 256 << 30: craftBtrfs(256 << 30),
		0: craftMD1(0), size - 65536: craftMD0(), size - 8192: craftMD1(size - 8192)}}
	res, err := Probe(d, size)
	if err != nil {
		t.Fatal(err)
	}
	want := []Range{{0, 4096}, {64 << 10, 4096}, {64 * mib, 4096}, {256 << 30, 4096}, {size - 65536, 4096}, {size - 8192, 4096}}
	if got := res.Wipes(); !slices.Equal(got, want) {
		t.Errorf("wipes = %v, wants %v", got, want)
	}
	if got := res.Find(Filesystem)[0].Wipes(); len(got) != 3 {
		t.Errorf("wipes of btrfs alone = %v", got)
	}
}

func TestSwapDetails(t *testing.T) {
	for page := int64(4096); page <= 65536; page *= 2 {
		res, err := Probe(disk{16 * mib, craftSwap("S1SUSPEND\x00", page)}, 16*mib)
		if err != nil || len(res.Signatures) != 1 {
			t.Fatalf("%v, %v", res, err)
		}
		s := res.Signatures[0]
		if s.Swap.PageSize != page || s.Swap.Hibernated != "S1SUSPEND" || s.UUID == "" || s.Label != "label" || s.Size != 1000*page || s.Version != "1" {
			t.Errorf("%+v %+v", s, s.Swap)
		}
	}
}

func TestChecksumsThatDoNotMatchAreReported(t *testing.T) {
	md, lvm, zfs := craftMD1(4096), craftLVM(), craftZFS(0, "p", 1, 9)
	md[33]++
	lvm[100]++
	zfs[100<<10]++
	for _, c := range []disk{{mib, map[int64][]byte{4096: md}}, {mib, map[int64][]byte{512: lvm}}, {mib, map[int64][]byte{0: zfs}}} {
		res, err := Probe(c, mib)
		if err != nil || len(res.Signatures) != 1 || res.Signatures[0].Checksum != Invalid {
			t.Errorf("%+v, %v", res.Signatures, err)
		}
	}
}

type broken struct {
	disk
	bad int64
}

func (b broken) ReadAt(p []byte, at int64) (int, error) {
	if at <= b.bad && b.bad < at+int64(len(p)) {
		return 0, errors.New("medium error")
	}
	return b.disk.ReadAt(p, at)
}

// A device that cannot be read is never called empty.
func TestReadErrorsAreErrors(t *testing.T) {
	const size = 80 * mib
	for _, bad := range []int64{0, 1024, 4096, 65536, 64 * mib, size - 8192, size - 65536, size - zfsLabel + 20000, size - 512} {
		_, err := Probe(broken{disk{size, nil}, bad}, size)
		if err == nil || !strings.Contains(err.Error(), "medium error") {
			t.Errorf("bad byte %d: err = %v", bad, err)
		}
	}
	if _, err := Probe(strings.NewReader(""), 4096); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("shorter than told: %v", err)
	}
}

// Sizes around every format's limits must do no harm.
func TestSmallDevices(t *testing.T) {
	for _, size := range []int64{0, 1, 511, 512, 1023, 1024, 2048, 4095, 4096, 8191, 8192, 65535, 65536, 69632, 131072, 262144, 524288, 786432, mib} {
		if res, err := Probe(disk{size, nil}, size); err != nil || !res.Empty() {
			t.Errorf("%d bytes: %v, %v", size, res, err)
		}
	}
	if _, err := Probe(disk{}, -1); err == nil {
		t.Error("negative size: no error")
	}
}

// FuzzProbe puts two pieces on a device; small ones, so that the fuzzer gets somewhere.
func FuzzProbe(f *testing.F) {
	const size = 80 * mib
	for _, p := range []struct {
		at1 uint32
		p1  []byte
		at2 uint32
		p2  []byte
	}{
		{1024, craftExt(9), size - 8192, craftMD1(size - 8192)[:300]},
		{0, craftMD1(0)[:300], 4096, craftMD1(4096)[:300]},
		{512, craftLVM(), size - 65536, craftMD0()[:160]},
		{512, craftLVMWith(4096), 4096, craftLVMArea(4096, 4000, 0, lvmBegin("vg0", 5))},
		{65536, craftBtrfs(65536)[:700], 64 * mib, craftBtrfs(64 * mib)[:700]},
		{0, craftBoot([4]uint32{0x80, 0x83, 2048, 4096}), size - 512, craftGPTHeader()},
		{0, craftBoot([4]uint32{0, 0xee, 1, 9}), 512, craftGPTHeader()},
		{1024, craftSwap("", 4096)[1024], 4086, []byte("S1SUSPEND\x00")},
		{0, craftFAT(), 10752, []byte("LABEL      \x08")},
		{0, craftXFS(), 8192, craftXFSLog()},
		{0, []byte("LUKS\xba\xbe\x00\x02"), 0x4000, []byte("SKUL\xba\xbe\x00\x02")},
		{16 << 10, craftZFS(0, "p", 1, 9)[16<<10 : 17<<10], 128 << 10, craftZFS(0, "p", 1, 9)[128<<10 : 129<<10]},
	} {
		f.Add(p.at1, p.p1, p.at2, p.p2)
	}
	f.Fuzz(func(t *testing.T, at1 uint32, p1 []byte, at2 uint32, p2 []byte) {
		d := disk{size, map[int64][]byte{}}
		a, b := int64(at1)%size, int64(at2)%size
		if a+int64(len(p1)) > size || b+int64(len(p2)) > size || a <= b && a+int64(len(p1)) > b || b <= a && b+int64(len(p2)) > a {
			return // if the pieces overlapped, chance would decide which one counts
		}
		d.pieces[a], d.pieces[b] = p1, p2
		res, err := Probe(d, size)
		if err != nil {
			t.Fatal(err)
		}
		if fs, err := res.Filesystem(); err == nil && (fs.Kind != Filesystem || fs.Ghost) {
			t.Fatalf("not a filesystem: %v", fs)
		}
		for _, s := range res.Signatures {
			if s.Size < 0 || s.Used < 0 || s.Offset < 0 || s.Offset+s.Length > size || len(s.copies) == 0 {
				t.Fatalf("%+v", s)
			}
		}
		// Zeroing one signature may uncover another (a table under a boot record), but not without end.
		for range 8 {
			if res.Empty() {
				return
			}
			for _, w := range res.Wipes() {
				zero(d, w)
			}
			if res, err = Probe(d, size); err != nil {
				t.Fatal(err)
			}
		}
		t.Fatalf("still there: %v", res.Signatures)
	})
}

func craftFAT() []byte {
	b := craftBoot()
	copy(b, "\xeb\x3c\x90mkfs.fat")
	le.PutUint16(b[11:], 512)
	b[13], b[14], b[16], b[21] = 4, 1, 2, 0xf8
	le.PutUint16(b[17:], 512)
	le.PutUint16(b[19:], 20000)
	le.PutUint16(b[22:], 20)
	copy(b[54:], "FAT16   ")
	return b
}

func craftXFS() []byte {
	b := make([]byte, 512)
	copy(b, "XFSB")
	be.PutUint32(b[4:], 4096)
	be.PutUint64(b[8:], 4000)
	be.PutUint64(b[48:], 2)
	be.PutUint32(b[84:], 4096)
	be.PutUint32(b[88:], 1)
	be.PutUint32(b[96:], 8)
	be.PutUint16(b[100:], 0xb4a4)
	be.PutUint16(b[102:], 512)
	b[120], b[121], b[124] = 12, 9, 12
	return b
}

// craftXFSLog returns the log that mkfs creates: one unmount record at its start.
func craftXFSLog() []byte {
	b := make([]byte, 1024)
	be.PutUint32(b, xfsRecord)
	be.PutUint32(b[4:], 1)
	be.PutUint32(b[8:], 2)
	be.PutUint32(b[12:], 512)
	be.PutUint32(b[40:], 1)
	be.PutUint32(b[320:], 32768)
	be.PutUint32(b[512:], 1)
	b[512+9] = xfsUnmount
	return b
}

func TestXFSLogStates(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(log []byte)
		want   Log
	}{
		{"as mkfs left it", func([]byte) {}, LogClean},
		{"no unmount", func(b []byte) { b[521] = 0 }, LogDirty},
		{"two operations", func(b []byte) { b[43] = 2 }, LogDirty},
		{"longer than the head", func(b []byte) { be.PutUint32(b[12:], 5120) }, LogDirty},
		{"zeros", func(b []byte) { clear(b) }, LogUnknown},
		{"second block missing", func(b []byte) { clear(b[512:]) }, LogDirty},
		{"another cycle", func(b []byte) { be.PutUint32(b[4:], 9); be.PutUint32(b[512:], 9) }, LogClean},
	} {
		t.Run(c.name, func(t *testing.T) {
			log := craftXFSLog()
			c.change(log)
			res, err := Probe(disk{80 * mib, map[int64][]byte{0: craftXFS(), 8192: log}}, 80*mib)
			if err != nil || len(res.Signatures) != 1 {
				t.Fatalf("%v, %v", res, err)
			}
			s := res.Signatures[0]
			if x := s.XFS; x.Log != c.want || (s.Dirty == "") != (c.want == LogClean) {
				t.Errorf("log %s: %s; dirty %q", x.Log, x.LogNote, s.Dirty)
			}
		})
	}
}

func ExampleProbe() {
	const size = 16 * mib
	device := disk{size, map[int64][]byte{1024: craftExt(4096), size - 8192: craftMD1(size - 8192)}}
	res, err := Probe(device, size)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(res.Find(Filesystem)[0].Type, res.Find(RAID)[0].Type, len(res.Wipes()))
	// Output: ext2 linux_raid_member 2
}
