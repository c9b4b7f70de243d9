package extent

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// mkxfs makes an xfs image from the words of opts.
func mkxfs(t testing.TB, opts string, mib int64) string {
	t.Helper()
	path := filepath.Join(scratch(t), "xfs.img")
	f, err := os.Create(path)
	must(t, err)
	must(t, f.Truncate(mib<<20))
	must(t, f.Close())
	cmd := exec.Command("mkfs.xfs", append(strings.Fields("-q -f "+opts), path)...)
	// These three make mkfs.xfs create filesystems that it considers too small for real use.
	cmd.Env = append(os.Environ(), "TEST_DIR=x", "TEST_DEV=x", "QA_CHECK_FS=x")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("mkfs.xfs %s: %v\n%s", opts, err, out)
	}
	return path
}

// mountLoop mounts an image; unmount may be called early.
func mountLoop(t testing.TB, path, opts string) (dir string, unmount func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOT TESTED: mounting needs root")
	}
	dir = t.TempDir()
	if out, err := exec.Command("mount", "-o", "loop,"+opts, path, dir).CombinedOutput(); err != nil {
		t.Skipf("SKIPPED, NOT TESTED: this kernel does not mount it: %s", out)
	}
	mounted := true
	unmount = func() {
		if mounted {
			run(t, "umount", dir)
			mounted = false
		}
	}
	t.Cleanup(unmount)
	return dir, unmount
}

// freespUsed returns the blocks that xfs_db does not list as free. xfs_db
// counts the blocks on each AGFL as free; count is their number.
func freespUsed(t testing.TB, path string) (used []Range, agfl int64) {
	t.Helper()
	field := func(where, name string) int64 {
		out := run(t, "xfs_db", "-r", "-c", where, "-c", "p "+name, path)
		n, err := strconv.ParseInt(strings.TrimSpace(out[strings.Index(out, "=")+1:]), 0, 64)
		must(t, err)
		return n
	}
	bs, agBlocks, agCount, blocks := field("sb 0", "blocksize"), field("sb 0", "agblocks"), field("sb 0", "agcount"), field("sb 0", "dblocks")
	for ag := range agCount {
		agfl += field(fmt.Sprintf("agf %d", ag), "flcount")
	}
	var free []Range
	for line := range strings.Lines(run(t, "xfs_db", "-r", "-c", "freesp -d", path)) {
		var ag, bno, n int64
		if k, _ := fmt.Sscan(line, &ag, &bno, &n); k != 3 {
			if strings.Contains(line, "from") {
				break // the histogram
			}
			continue
		}
		free = append(free, Range{ag*agBlocks + bno, n})
	}
	slices.SortFunc(free, func(a, b Range) int { return int(a.Offset - b.Offset) })
	list, next := rangeList{max: maxRanges}, int64(0)
	for _, f := range free {
		list.add(next*bs, (f.Offset-next)*bs)
		next = f.end()
	}
	list.add(next*bs, (blocks-next)*bs)
	return list.ranges, agfl * bs
}

// uncovered returns how much of outer is not in inner, and whether inner is within outer.
func uncovered(inner, outer []Range) (int64, bool) {
	i := 0
	for _, r := range inner {
		for i < len(outer) && outer[i].end() < r.end() {
			i++
		}
		if i == len(outer) || outer[i].Offset > r.Offset {
			return 0, false
		}
	}
	return total(outer) - total(inner), true
}

func TestXFSOracle(t *testing.T) {
	need(t, "mkfs.xfs", "xfs_db", "xfs_repair", "xfs_logprint")
	tree := t.TempDir()
	makeTree(t, tree, 2)
	for _, c := range []struct {
		opts  string
		mount bool
	}{
		{"-b size=1024 -m rmapbt=1 -d agcount=6 -l size=8m", true},
		{"-d agcount=3", true},
		{"-s size=4096 -b size=4096", true},
		{"-m reflink=0,bigtime=0,finobt=0 -i sparse=0,nrext64=0", true},
		{"-m crc=0 -b size=512 -d agcount=2", false},
		{"-m crc=0 -b size=4096 -l version=1", false},
	} {
		t.Run(strings.ReplaceAll(c.opts, " ", "_"), func(t *testing.T) {
			path := mkxfs(t, c.opts, 96)
			if c.mount {
				populateXFS(t, path, tree)
			}
			f, size := openImage(t, path)
			a, err := Read(f, size)
			must(t, err)
			want, agfl := freespUsed(t, path)
			if n, ok := uncovered(want, a.Ranges); !ok || n != agfl {
				t.Errorf("ranges are not xfs_db's and %d bytes of AGFL (in %t, %d more)\n%v\nxfs_db\n%v", agfl, ok, n, a.Ranges, want)
			}
			if n := len(a.Ranges); c.mount && n < 100 {
				t.Errorf("only %d ranges: not fragmented", n)
			}
			copied, _ := copyAndVerify(t, path)
			run(t, "xfs_repair", "-n", "-f", copied)
			if !c.mount {
				return
			}
			one, _ := mountLoop(t, path, "ro,norecovery,nouuid")
			two, _ := mountLoop(t, copied, "ro,norecovery,nouuid")
			sameTree(t, one, two)
		})
	}
}

// populateXFS fills and fragments it, over a few mounts, so that the log has
// several unmount records. One page a file and every second removed makes
// the b-tree more than a leaf with blocks of 1 KiB.
func populateXFS(t testing.TB, path, tree string) {
	t.Helper()
	for round := range 3 {
		dir, unmount := mountLoop(t, path, "nouuid")
		sub := filepath.Join(dir, fmt.Sprint(round))
		run(t, "cp", "-a", tree, sub)
		for i := range 1500 {
			must(t, os.WriteFile(filepath.Join(sub, fmt.Sprintf("small%d", i)), make([]byte, 4000), 0o600))
		}
		run(t, "sync", "-f", dir)
		for i := 0; i < 1500; i += 2 {
			must(t, os.Remove(filepath.Join(sub, fmt.Sprintf("small%d", i))))
		}
		unmount()
	}
}

// TestXFSLogOracle checks that Read reports a dirty log exactly when xfs_logprint does.
func TestXFSLogOracle(t *testing.T) {
	need(t, "mkfs.xfs", "xfs_logprint")
	for _, c := range []struct{ mkfs, mount string }{
		{"-b size=1024 -d agcount=2 -l size=4m", "nouuid"},
		{"-d agcount=2 -l size=8m,su=64k", "nouuid,logbsize=256k"}, // records with several header blocks
	} {
		t.Run(strings.ReplaceAll(c.mkfs, " ", "_"), func(t *testing.T) { logOracle(t, c.mkfs, c.mount) })
	}
}

func logOracle(t *testing.T, mkfs, mount string) {
	path := mkxfs(t, mkfs, 64)
	dir, unmount := mountLoop(t, path, mount)
	clean, dirtyN := 0, 0
	check := func() {
		t.Helper()
		f, size := openImage(t, path)
		_, err := Read(f, size)
		want := strings.Contains(run(t, "xfs_logprint", "-t", path), "<DIRTY>")
		if got := errors.Is(err, ErrDirty); got != want || !want && err != nil {
			t.Errorf("xfs_logprint says dirty %t, Read: %v", want, err)
		}
		if want {
			dirtyN++
		} else {
			clean++
		}
	}
	for round := range 8 {
		// Every change of a time is logged: this fills the log several times over.
		for pass := range 2 + round%3 {
			for i := range 2500 {
				name := filepath.Join(dir, strconv.Itoa(i))
				if round == 0 && pass == 0 {
					must(t, os.WriteFile(name, nil, 0o600))
				}
				at := time.Unix(int64(round), int64(pass))
				must(t, os.Chtimes(name, at, at))
			}
			if pass > 0 {
				run(t, "sync", "-f", dir)
				check()
			}
		}
		run(t, "sync", "-f", dir)
		check()
		unmount()
		check()
		dir, unmount = mountLoop(t, path, mount)
	}
	unmount()
	f, size := openImage(t, path)
	b := make([]byte, 4096)
	must(t, readFull(f, b, 0))
	s, err := parseXFSSuper(b, size)
	must(t, err)
	l := xfsLog{r: f, start: s.logBlock, n: s.logSize / logBlock}
	if _, cycle, err := l.head(); err != nil || cycle < 2 {
		t.Errorf("log is in cycle %d (%v): it did not wrap", cycle, err)
	}
	if clean < 8 || dirtyN < 6 {
		t.Errorf("%d clean and %d dirty logs: too few of one to tell", clean, dirtyN)
	}
}
