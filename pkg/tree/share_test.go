package tree

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// clone makes n bytes of to at off share those of from at at; if n is 0, all up to the end.
func clone(from, to string, at, off, n int64) act {
	return func(r string) error {
		src, err := os.Open(filepath.Join(r, from))
		if err != nil {
			return err
		}
		defer src.Close()
		dst, err := os.OpenFile(filepath.Join(r, to), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		defer dst.Close()
		x := unix.FileCloneRange{Src_fd: int64(src.Fd()), Src_offset: uint64(at), Src_length: uint64(n), Dest_offset: uint64(off)}
		if err := unix.IoctlFileCloneRange(int(dst.Fd()), &x); err != nil {
			return fmt.Errorf("clone %q to %q: %w", from, to, err)
		}
		return nil
	}
}

// together lists the 4 KiB blocks on the disk that different files share, and where they are. It ignores blocks that one file
// has twice. It shares no code with the engine.
func together(t *testing.T, root string) (groups []string, place map[string]uint64) {
	t.Helper()
	syncDir(t, root)
	at := map[uint64]map[string]int{}
	seen := map[uint64]bool{}
	err := filepath.WalkDir(root, func(p string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(p, &st); err != nil || seen[st.Ino] {
			return err
		}
		seen[st.Ino] = st.Nlink > 1
		rel, _ := filepath.Rel(root, p)
		f, err := os.OpenFile(p, os.O_RDONLY|unix.O_NOATIME, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		if st.Nlink > 1 { // which name comes first does not matter
			rel = fmt.Sprintf("an inode of size %d", st.Size)
		}
		b := make([]byte, 32+4096*56)
		ne := binary.NativeEndian
		ne.PutUint64(b[8:], ^uint64(0))
		ne.PutUint32(b[16:], 1) // sync
		ne.PutUint32(b[24:], 4096)
		if _, _, e := unix.Syscall(unix.SYS_IOCTL, f.Fd(), 0xc020660b, uintptr(unsafe.Pointer(&b[0]))); e != 0 {
			return e
		}
		for i := range int(ne.Uint32(b[20:])) {
			x := b[32+i*56:]
			off, phys, n, flags := ne.Uint64(x), ne.Uint64(x[8:]), ne.Uint64(x[16:]), ne.Uint32(x[40:])
			if flags&^0x2001 != 0 { // other than LAST and SHARED
				continue
			}
			for k := uint64(0); k < n; k += 4096 {
				if at[phys+k] == nil {
					at[phys+k] = map[string]int{}
				}
				name := fmt.Sprintf("%q@%d", rel, off+k)
				at[phys+k][name]++
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	place = map[string]uint64{}
	for phys, names := range at {
		files, list := map[string]int{}, []string{}
		for n := range names {
			files[n[:bytes.LastIndexByte([]byte(n), '@')]]++
			list = append(list, n)
			place[n] = phys
		}
		if len(files) < 2 || len(files) != len(list) {
			continue
		}
		slices.Sort(list)
		groups = append(groups, strings.Join(list, " = "))
	}
	slices.Sort(groups)
	return groups, place
}

// sameSharing checks that different files share in the target exactly what they share in the source.
func sameSharing(t *testing.T, src, dst string) {
	t.Helper()
	a, place := together(t, src)
	b, _ := together(t, dst)
	if len(a) == 0 {
		t.Fatal("the source shares nothing")
	}
	lost := slices.DeleteFunc(slices.Clone(a), func(s string) bool { _, ok := slices.BinarySearch(b, s); return ok })
	made := slices.DeleteFunc(b, func(s string) bool {
		names := strings.Split(s, " = ")
		return !slices.ContainsFunc(names, func(n string) bool { return place[n] == 0 || place[n] != place[names[0]] })
	})
	if len(lost)+len(made) > 0 {
		t.Errorf("of %d shared blocks %d are not in the target: %.300s; there are %d others: %.300s", len(a), len(lost), fmt.Sprint(lost), len(made), fmt.Sprint(made))
	}
}

// sharedTree makes files as cp --reflink, snapshots of images and deduplication leave them.
func sharedTree() []act {
	acts := []act{
		file("a", 0o644, noise(1, 5000)), clone("a", "a2", 0, 0, 0), mkdir("d", 0o755), clone("a", "d/a3", 0, 0, 0), link("a2", "d/a2link"),
		file("big", 0o600, bytes.Repeat(noise(2, 1<<20), 40)), clone("big", "big2", 0, 0, 0), poke("big2", 10<<20, noise(3, 1<<20)),
		clone("big2", "big3", 8<<20, 4<<20, 12<<20), poke("big3", 0, noise(4, 70000)), clone("big", "z/big4", 0, 0, 0), poke("z/big4", 39<<20, noise(5, 999)),
		file("part", 0o600, noise(6, 3<<20+777)), clone("part", "part2", 0, 0, 0), clone("part", "part3", 1<<20, 0, 1<<20), clone("part", "part3", 3<<20, 2<<20, 0),
		pieces("holes", 5<<20, map[int64][]byte{1 << 20: noise(7, 300_000), 4 << 20: noise(8, 4096)}), clone("holes", "holes2", 0, 0, 0),
		file("im", 0o600, noise(9, 9000)), clone("im", "im2", 0, 0, 0), chattr("+i", "im", "im2"), times("a2", 5, 5, 6, 6),
		file("pre", 0o600, noise(10, 1<<20)), fallocate("pre", unix.FALLOC_FL_KEEP_SIZE, 1<<20, 1<<20), clone("pre", "pre2", 0, 0, 0),
		file("linked", 0o600, bytes.Repeat(noise(11, 1<<20), 18)), link("linked", "z/linked2"), clone("linked", "d/unlinked", 0, 0, 0),
		mkdir("many", 0o755), mkdir("more", 0o755),
	}
	for i := range 40 {
		n := fmt.Sprintf("many/%d", i)
		acts = append(acts, file(n, 0o600, noise(uint64(100+i), 4096*(1+i%7)+i)), clone(n, fmt.Sprintf("more/%d", i), 0, 0, 0))
	}
	return append([]act{mkdir("z", 0o700)}, acts...)
}

func TestSharedExtents(t *testing.T) {
	for _, c := range []struct {
		from, to string
		workers  int
	}{{"xfs", "xfs", 1}, {"xfs", "xfs", 6}, {"btrfs", "btrfs", 1}, {"btrfs", "btrfs", 6}, {"xfs", "btrfs", 3}} {
		t.Run(fmt.Sprintf("%s-%s-%d", c.from, c.to, c.workers), func(t *testing.T) {
			src, dst := newDisk(t, c.from, 512<<20), newDisk(t, c.to, 512<<20)
			apply(t, src.dir, sharedTree()...)
			src.remount(t, unix.MS_RDONLY)
			before := fdsLeft(t)
			var man bytes.Buffer
			res, err := Copy(t.Context(), src.dir, dst.dir, Options{Manifest: &man, Workers: c.workers})
			if err != nil || len(res.Problems) > 0 {
				t.Fatal(err, res.Problems)
			}
			if after := fdsLeft(t); after != before {
				t.Errorf("%d files open before the copy, %d after", before, after)
			}
			dst.remount(t, unix.MS_RDONLY)
			src.remount(t, unix.MS_RDONLY)
			sameSharing(t, src.dir, dst.dir)
			if c.from == c.to {
				sameTree(t, src.dir, dst.dir)
			}
			for _, hashes := range []*Manifest{openManifest(t, man.Bytes()), nil} {
				rep, err := Verify(t.Context(), src.dir, dst.dir, Options{Hashes: hashes})
				if err != nil || !rep.Equal() || hashes != nil && rep.Reread != 0 {
					t.Errorf("verify: %v, %d read again, differences: %v", err, rep.Reread, rep.Differences)
				}
				// btrfs reports a whole extent as shared if a part of it is, so the count depends on which file came first.
				if rep.SharedSource == 0 || rep.SharedTarget < rep.SharedSource || c.to == "xfs" && rep.SharedTarget > rep.SharedSource ||
					res.Shared >= rep.SharedTarget || res.Shared == 0 {
					t.Errorf("shared: %d in the source, %d in the target, %d not written", rep.SharedSource, rep.SharedTarget, res.Shared)
				}
			}
		})
	}
}

// TestSharedExtentsCopied checks that extents that cannot be shared are copied: to a filesystem without sharing, to larger
// blocks, and if the bound of records is reached.
func TestSharedExtentsCopied(t *testing.T) {
	for _, c := range []struct {
		name     string
		from, to []string // filesystem and options of mkfs
		most     int
		none     bool
	}{
		{"ext4", []string{"xfs"}, []string{"ext4"}, 0, true},
		{"no-reflink", []string{"xfs"}, []string{"xfs", "-m", "reflink=0"}, 0, true},
		{"blocks", []string{"xfs", "-b", "size=1024"}, []string{"xfs"}, 0, false},
		{"memory", []string{"btrfs"}, []string{"btrfs"}, 3, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			src, dst := newDisk(t, c.from[0], 512<<20, c.from[1:]...), newDisk(t, c.to[0], 512<<20, c.to[1:]...)
			acts := sharedTree()
			if c.name == "blocks" {
				acts = append(acts, file("odd", 0o600, noise(20, 40<<10)), clone("odd", "odd1", 1024, 0, 30<<10), clone("odd", "odd2", 1024, 5120, 30<<10), clone("odd", "odd3", 0, 0, 39<<10))
			}
			apply(t, src.dir, acts...)
			src.remount(t, unix.MS_RDONLY)
			res, err := Copy(t.Context(), src.dir, dst.dir, Options{shareMost: c.most})
			if err != nil || (res.Shared > 0) == c.none {
				t.Fatalf("%v, %d bytes shared", err, res.Shared)
			}
			dst.remount(t, unix.MS_RDONLY)
			src.remount(t, unix.MS_RDONLY)
			rep, err := Verify(t.Context(), src.dir, dst.dir, Options{})
			if err != nil || !rep.Equal() {
				t.Errorf("verify: %v, differences: %v", err, rep.Differences)
			}
		})
	}
}

// TestSharedExtentsAtRandom checks with random patterns of sharing that the data is right and shared as in the source.
func TestSharedExtentsAtRandom(t *testing.T) {
	for _, fs := range []string{"xfs", "btrfs"} {
		seed := uint64(time.Now().UnixNano())
		rnd := rand.New(rand.NewPCG(seed, 3))
		src, dst := newDisk(t, fs, 384<<20), newDisk(t, fs, 384<<20)
		var acts []act
		const files, blocks = 14, 700
		for i := range files {
			acts = append(acts, file(fmt.Sprint(i), 0o600, noise(rnd.Uint64(), (blocks+i)*4096-i)))
		}
		for range 150 {
			a, b := rnd.IntN(files), rnd.IntN(files)
			from, off, n := rnd.Int64N(blocks/2), rnd.Int64N(blocks/2), 1+rnd.Int64N(200)
			switch rnd.IntN(4) {
			case 0:
				acts = append(acts, poke(fmt.Sprint(a), from*4096+rnd.Int64N(4096), noise(rnd.Uint64(), int(n*500))))
			case 1:
				acts = append(acts, punch(fmt.Sprint(a), from*4096, n*512))
			default:
				if a != b {
					acts = append(acts, clone(fmt.Sprint(a), fmt.Sprint(b), from*4096, off*4096, n*4096))
				}
			}
		}
		apply(t, src.dir, acts...)
		src.remount(t, unix.MS_RDONLY)
		if _, err := Copy(t.Context(), src.dir, dst.dir, Options{Workers: 5}); err != nil {
			t.Fatalf("%s, seed %d: %v", fs, seed, err)
		}
		dst.remount(t, unix.MS_RDONLY)
		sameSharing(t, src.dir, dst.dir)
		rep, err := Verify(t.Context(), src.dir, dst.dir, Options{})
		if err != nil || !rep.Equal() {
			t.Errorf("verify: %v, differences: %v", err, rep.Differences)
		}
		if t.Failed() {
			t.Logf("%s, seed %d", fs, seed)
		}
	}
}

// TestSharedExtentsAfterPowerCuts checks that files finished before and after a power cut share their extents.
func TestSharedExtentsAfterPowerCuts(t *testing.T) {
	src, dst := newDisk(t, "xfs", 512<<20), newDisk(t, "xfs", 512<<20)
	apply(t, src.dir, sharedTree()...)
	src.remount(t, unix.MS_RDONLY)
	var man manifestBuf
	saved, cuts, skipped := Checkpoint{}, 0, int64(0)
	rnd := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 2))
	pace := &pacer{most: 4}
	pace.cond.L = &pace.mu
	for once(t, src, dst, &man, &saved, 1+rnd.IntN(3), cuts < 6 || skipped == 0 && cuts < 40, &skipped, pace) {
		cuts++
	}
	t.Logf("%d power cuts, %d names not copied again", cuts, skipped)
	if cuts == 0 || skipped == 0 {
		t.Error("nothing was ever resumed")
	}
	dst.remount(t, unix.MS_RDONLY)
	sameSharing(t, src.dir, dst.dir)
	rep, err := Verify(t.Context(), src.dir, dst.dir, Options{Hashes: openManifest(t, man.b.Bytes())})
	if err != nil || !rep.Equal() {
		t.Errorf("verify: %v, differences: %v", err, rep.Differences)
	}
}

// TestPrecheckOfSharedExtents checks the findings, and which trees fit on which targets.
func TestPrecheckOfSharedExtents(t *testing.T) {
	src := newDisk(t, "xfs", 512<<20)
	apply(t, src.dir, file("a", 0o600, noise(1, 2<<20)), clone("a", "b", 0, 0, 0), link("a", "c"))
	src.remount(t, unix.MS_RDONLY)
	can := Caps{Reflink: true, FreeBytes: 3 << 20, TimeMax: 1 << 40, TimeMin: -1 << 40, Nanoseconds: true, FileSize: 1 << 60, Links: 9, DevMajor: 9}
	for _, c := range []struct {
		reflink bool
		free    int64
		want    map[string]Severity
	}{
		{true, 3 << 20, map[string]Severity{"tree.shared": Info, "tree.sharedspace": Info}},
		{true, 1 << 10, map[string]Severity{"tree.shared": Info, "tree.space": Fail}},
		{false, 3 << 20, map[string]Severity{"tree.shared": Loss, "tree.space": Fail}},
		{false, 9 << 20, map[string]Severity{"tree.shared": Loss}},
	} {
		can.Reflink, can.FreeBytes = c.reflink, c.free
		got := findings(t, src.dir, can)
		delete(got, "tree.identity")
		for id, sev := range c.want {
			if f, ok := got[id]; !ok || f.Severity != sev || f.Detail == "" || f.Fix == "" {
				t.Errorf("%+v: %s is %+v", c, id, f)
			}
			delete(got, id)
		}
		if len(got) > 0 {
			t.Errorf("%+v: also %v", c, got)
		}
	}
	if !probe(t, newDisk(t, "btrfs", 128<<20)).Reflink || probe(t, newDisk(t, "xfs", 320<<20, "-m", "reflink=0")).Reflink || probe(t, newDisk(t, "ext4", 32<<20)).Reflink {
		t.Error("who can share is not what mkfs said")
	}
}

// TestSharesIsAMap compares the index with a map of single blocks, and checks that all waiters are returned.
func TestSharesIsAMap(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 5))
	s := newShares()
	type loc struct {
		file uint32
		off  int64
	}
	model := map[int64]loc{}
	const block = 4096
	for round := range 3000 {
		phys := (1<<bucketBits/block - 300 + rnd.Int64N(2000)) * block // about a border
		n := 1 + rnd.Int64N(60)
		e := extent{off: rnd.Int64N(1000) * block, phys: phys, len: n * block}
		x, wait := s.plan([]extent{e}, waiter{d: &dir{}})
		if wait {
			t.Fatal("waits for no one")
		}
		got := map[int64]loc{}
		for _, h := range x.have {
			for k := int64(0); k < h.end-h.off; k += block {
				got[e.phys+h.off-e.off+k] = loc{h.file, h.from + k}
			}
		}
		for k := int64(0); k < n; k++ {
			p := phys + k*block
			want, ok := model[p]
			if ok != (got[p] != loc{}) || got[p] != want {
				t.Fatalf("round %d: block %#x is %+v, want %+v", round, p, got[p], want)
			}
			if !ok {
				model[p] = loc{x.mine, e.off + k*block}
			}
		}
		if x.mine == 0 {
			continue
		}
		d := &dir{}
		if _, wait := s.plan([]extent{{phys: phys, len: n * block}}, waiter{d: d, name: "w"}); !wait || d.pending.Load() != 1 {
			t.Fatalf("round %d: a file under way is not waited for", round)
		}
		if ws := s.publish(x.mine, &linkRec{hlen: 8}); len(ws) != 1 || ws[0].name != "w" {
			t.Fatalf("round %d: waiting: %v", round, ws)
		}
	}
}

func TestSharesFitTheBudget(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s := newShares()
	for i := range int64(shareMost + 1000) {
		x, _ := s.plan([]extent{{phys: (i*7919%(1<<21) + 1) * 8192, len: 4096}}, waiter{d: &dir{}})
		if x.mine != 0 {
			s.publish(x.mine, &linkRec{hlen: 8})
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	held := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("%d extents of %d files: %d MiB", s.n, len(s.files), held>>20)
	if s.n > shareMost || held > 64<<20 {
		t.Errorf("%d bytes for %d extents", held, s.n)
	}
	runtime.KeepAlive(s)
}

// TestStoredSharesAreBounded checks that an absurd extent in a manifest costs neither time nor memory.
func TestStoredSharesAreBounded(t *testing.T) {
	for _, sum := range []Sum{{1 << 20, 1 << 61}, {1 << 62, 1 << 63}, {^uint64(0), 4096}, {0, 4096}, {4096, 0}} {
		s := newShares()
		s.loadBlock(&block{recs: []record{{kind: kindShared, name: "f", ino: 12, sum: sum}}}, 0, 100)
		if s.n > 0 || len(s.files) > 1 {
			t.Errorf("%x: %d ranges of %d files", sum, s.n, len(s.files)-1)
		}
	}
}

// TestStoredShares checks that only the extents of complete files of an interrupted copy are used.
func TestStoredShares(t *testing.T) {
	in := inode{0, 77}
	e := record{kind: kindShared, name: "f", ino: 12, size: 8192, sum: Sum{1 << 20, 4096}, nlink: 1}
	f := record{kind: kindFile, name: "f", ino: 12, size: 99999, nlink: 1}
	for _, c := range []struct {
		recs [][]record
		ok   bool
	}{
		{[][]record{{e}, {f}}, true},
		{[][]record{{f, e}}, true},
		{[][]record{{e}}, false},
		{[][]record{{e}, {{kind: kindPartial, name: "f", ino: 12, size: 99999, nlink: 1}}}, false},
		{[][]record{{e}, {{kind: kindFile, name: "f", ino: 13, size: 99999, nlink: 1}}}, false},
		{[][]record{{f}, {e}, {{kind: kindDamaged, name: "f", ino: 12, size: 99999, nlink: 1}}}, false},
	} {
		var buf bytes.Buffer
		w := manifestWriter{w: &buf}
		for _, rs := range c.recs {
			if err := w.write(in, "some/dir", rs); err != nil {
				t.Fatal(err)
			}
		}
		s := newShares()
		m, err := indexManifest(bytes.NewReader(buf.Bytes()), int64(buf.Len()), true, s.loadBlock)
		if err != nil || m.size != int64(buf.Len()) {
			t.Fatal(err)
		}
		defer m.Close()
		x, _ := s.plan([]extent{{off: 4096, phys: 1 << 20, len: 8192}}, waiter{d: &dir{}})
		if len(x.have) != 1 || x.have[0].span != (span{4096, 8192}) || x.have[0].from != 8192 || x.mine == 0 {
			t.Fatalf("plan: %+v", x)
		}
		path, size, err := m.completeFile(storedPlace(s.file(x.have[0].file)))
		if (err == nil) != c.ok || c.ok && (path != "some/dir/f" || size != 99999) {
			t.Errorf("%v: %q, %d, %v", c.recs, path, size, err)
		}
		s.distrust()
		if y, _ := s.plan([]extent{{phys: 1 << 20, len: 4096}}, waiter{d: &dir{}}); len(y.have) > 0 {
			t.Errorf("distrusted, and still given: %+v", y)
		}
	}
}
