package tree

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/zeebo/xxh3"
	"golang.org/x/sys/unix"
)

// TestIoctlNumbers compares the numbers with those that a C compiler printed from the kernel's headers on amd64.
func TestIoctlNumbers(t *testing.T) {
	for _, c := range []struct {
		name      string
		got, want uint
	}{
		{"FS_IOC_FSGETXATTR", fsGetXattrReq(), 0x801c581f},
		{"FS_IOC_FSSETXATTR", fsSetXattrReq(), 0x401c5820},
		{"FS_IOC_FIEMAP", fiemapReq(), 0xc020660b},
		{"sizeof(struct fsxattr)", uint(unsafe.Sizeof(fsxattr{})), 28},
		{"sizeof(struct file_attr)", uint(unsafe.Sizeof(fileAttr{})), 24},
	} {
		if c.got != c.want {
			t.Errorf("%s is %#x, want %#x", c.name, c.got, c.want)
		}
	}
}

// TestFlagTables checks that every bit has exactly one name, and that the two representations of a flag agree: chattr sets it,
// and the other ioctl shows it.
func TestFlagTables(t *testing.T) {
	for _, table := range [][]bitName{flagNames(), xflagNames()} {
		seen, names := uint32(0), map[string]bool{}
		for _, b := range table {
			if b.bit == 0 || b.bit&(b.bit-1) != 0 || seen&b.bit != 0 || names[b.name] {
				t.Errorf("bit %#x, %q: not one bit, or there twice", b.bit, b.name)
			}
			seen |= b.bit
			names[b.name] = true
		}
	}
	var named uint32
	for _, b := range flagNames() {
		named |= b.bit
	}
	if named&flCopied != flCopied {
		t.Errorf("flags %#x have no name", flCopied&^named)
	}
}

func TestFlagsAreWhatChattrMeans(t *testing.T) {
	d := newDisk(t, "xfs", 320<<20)
	apply(t, d.dir, file("f", 0o600, nil))
	for _, c := range []struct {
		letter string
		flag   uint32
	}{{"i", flImmutable}, {"a", flAppend}, {"d", flNodump}, {"A", flNoatime}, {"S", flSync}} {
		apply(t, d.dir, chattr("+"+c.letter, "f"))
		fd, err := openPath(mustRoot(t, d.dir), "f", unix.O_RDONLY)
		if err != nil {
			t.Fatal(err)
		}
		var m meta
		if err := readMeta(object{fd: fd}, unix.XFS_SUPER_MAGIC, &m, make([]byte, 1<<16)); err != nil || m.flags != c.flag {
			t.Errorf("chattr +%s: flags %s, %v", c.letter, formatBits(m.flags, flagNames()), err)
		}
		if x, err := getFSX(fd); err != nil || flagsFromX(x.xflags) != c.flag {
			t.Errorf("chattr +%s: xflags %#x, %v", c.letter, x.xflags, err)
		}
		unix.Close(fd)
		apply(t, d.dir, chattr("-"+c.letter, "f"))
	}
}

func mustRoot(t *testing.T, dir string) int {
	t.Helper()
	r, err := openRoot(Source, dir, true, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.close() })
	return r.fd
}

// TestSum checks that the sum does not depend on how a file is split into ranges, but on every byte and the place of every
// block.
func TestSum(t *testing.T) {
	blocks := [][]byte{noise(1, blockSize), make([]byte, blockSize), noise(2, blockSize), noise(3, 10)}
	sum := func(order []int) (s Sum) {
		for _, i := range order {
			b, _ := blockSum(int64(i), blocks[i])
			s = s.add(b)
		}
		return s
	}
	want := sum([]int{0, 1, 2, 3})
	if got := sum([]int{3, 0, 2}); got != want {
		t.Errorf("another order without the zero block: %x, want %x", got, want)
	}
	blocks[0], blocks[2] = blocks[2], blocks[0]
	if sum([]int{0, 1, 2, 3}) == want {
		t.Error("swapped blocks have the same sum")
	}
	blocks[0], blocks[2] = blocks[2], blocks[0]
	blocks[1][blockSize-1] = 1
	if sum([]int{0, 1, 2, 3}) == want {
		t.Error("a changed zero has the same sum")
	}
	if s := (Sum{1, ^uint64(0)}).add(Sum{0, 1}); s != (Sum{2, 0}) {
		t.Errorf("carry is lost: %x", s)
	}
}

func TestZeroBlocks(t *testing.T) {
	for n := range 100 {
		b := make([]byte, n)
		if !isZero(b) {
			t.Errorf("%d zeros are not zero", n)
		}
		for i := range b {
			b[i] = 1
			if isZero(b) {
				t.Errorf("%d bytes with byte %d set are zero", n, i)
			}
			b[i] = 0
		}
	}
	b := bytes.Repeat([]byte{1}, 9000)
	if hasZeroBlock(b, 4096) {
		t.Error("no zeros, but a zero block")
	}
	clear(b[8192:])
	if !hasZeroBlock(b, 4096) {
		t.Error("zero tail not seen")
	}
}

func someRecords() []record {
	return []record{
		{kind: kindFile, name: "a\xff\n", ino: 12, size: 1 << 40, sum: Sum{1, 2}, nlink: 3},
		{kind: kindLink, name: "b", ino: 12, nlink: 2}, {kind: kindSpecial, name: "s", ino: 1 << 60, nlink: 1},
		{kind: kindPartial, name: "p", ino: 5, size: 8 << 20, sum: Sum{^uint64(0), 9}, nlink: 1}, {kind: kindDamaged, name: "x", ino: 7, size: 3, nlink: 1},
	}
}

func TestManifestRoundTrip(t *testing.T) {
	var buf bytes.Buffer
	m := manifestWriter{w: &buf}
	in := inode{8<<32 | 1, 77}
	for _, r := range someRecords() {
		if err := m.write(in, "some/dir", []record{r}); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.write(in, "some/dir", []record{{kind: kindDirDone, ino: 77, size: 5, nlink: 5}}); err != nil {
		t.Fatal(err)
	}
	x, err := indexManifest(bytes.NewReader(buf.Bytes()), int64(buf.Len()), true, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	got, err := x.names(in, []entry{{ino: 0}, {ino: ^uint64(0)}})
	if err != nil || len(got) != 5 {
		t.Fatalf("%d names, %v", len(got), err)
	}
	for _, r := range someRecords() {
		if got[r.name] != r {
			t.Errorf("%q came back as %+v", r.name, got[r.name])
		}
	}
	if d, _ := x.done.get(in); d.files != 5 {
		t.Errorf("directory: %+v", d)
	}
	if p, err := x.first(inode{in.dev, 12}); err != nil || p != "some/dir/a\xff\n" {
		t.Errorf("first name of inode 12: %q, %v", p, err)
	}
	// The index ends before a damaged block.
	for range 200 {
		b := bytes.Clone(buf.Bytes())
		at := rand.IntN(len(b))
		b[at] ^= byte(1 + rand.IntN(255))
		x, err := OpenManifest(bytes.NewReader(b), int64(len(b)))
		if err != nil || x.size > int64(at) {
			t.Errorf("byte %d damaged: index of %d bytes, %v", at, x.size, err)
		}
	}
}

func FuzzParseBlock(f *testing.F) {
	var buf bytes.Buffer
	m := manifestWriter{w: &buf}
	if err := m.write(inode{1, 2}, "d", someRecords()); err != nil {
		f.Fatal(err)
	}
	f.Add(buf.Bytes(), true)
	f.Add(buf.Bytes()[8:buf.Len()-8], true)
	f.Add([]byte("mgt1\x00\x00\x00\x00"), false)
	f.Fuzz(func(t *testing.T, b []byte, wrap bool) {
		if wrap { // reach the parser behind the checksum
			b = sealBlock(b)
		}
		blk, n, err := parseBlock(b)
		if err != nil {
			return
		}
		if n > len(b) || n < 16 {
			t.Fatalf("took %d of %d bytes", n, len(b))
		}
		var out bytes.Buffer
		w := manifestWriter{w: &out}
		if err := w.write(blk.dir, blk.path, blk.recs); err != nil {
			t.Fatal(err)
		}
		if len(blk.recs) == 0 {
			return
		}
		again, _, err := parseBlock(out.Bytes())
		if err != nil || len(again.recs) != len(blk.recs) || again.dir != blk.dir || again.path != blk.path {
			t.Fatalf("render and parse again: %v, %+v, want %+v", err, again, blk)
		}
		for i := range blk.recs {
			if blk.recs[i] != again.recs[i] {
				t.Fatalf("record %d: %+v, want %+v", i, again.recs[i], blk.recs[i])
			}
		}
	})
}

func sealBlock(body []byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, manifestMagic)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(body)))
	b = append(b, body...)
	return binary.LittleEndian.AppendUint64(b, xxh3.Hash(b))
}
