package tree

import (
	"bytes"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// TestAhead compares what is read ahead with a plain read, for files with sizes around each limit. Files that are not taken are
// closed.
func TestAhead(t *testing.T) {
	for _, fs := range []string{"ext4", "xfs", "btrfs"} {
		t.Run(fs, func(t *testing.T) {
			d := newDisk(t, fs, 512<<20)
			sizes := []int{0, 1, 511, 512, 4095, 4096, 4097, aheadSize - 1, aheadSize, aheadSize + 1, 1 << 20}
			var es []entry
			data := map[string][]byte{}
			for i, n := range sizes {
				name := fmt.Sprintf("file-%02d", i)
				data[name] = noise(uint64(i), n)
				apply(t, d.dir, file(name, 0o600, data[name]))
				es = append(es, entry{name: name, typ: unix.DT_REG})
			}
			apply(t, d.dir, file("linked", 0o600, noise(99, 100)), link("linked", "linked-too"), mknod("fifo", unix.S_IFIFO|0o600, 0, 0))
			es = append(es, entry{name: "linked", typ: unix.DT_REG}, entry{name: "gone", typ: unix.DT_REG}, entry{name: "fifo", typ: unix.DT_REG})
			d.remount(t, unix.MS_RDONLY)
			dir := mustRoot(t, d.dir)
			before := fdsLeft(t)
			w := newWorker()
			for round := range 2 {
				w.ahead.fill(dir, statfsMagic(t, d.dir), es, w.xattr, func(name string) bool { return name != "file-01" })
				for name, want := range data {
					if round == 1 && len(want) < 4096 {
						continue // for drain
					}
					s := w.ahead.take(name)
					if name == "file-01" {
						if s != nil {
							t.Errorf("%s: not wanted, and there", name)
						}
						continue
					}
					if s == nil || s.m.size != int64(len(want)) {
						t.Fatalf("%s: %+v", name, s)
					}
					small := len(want) > 0 && len(want) <= aheadSize && s.m.direct
					if s.read != small || s.read && !bytes.Equal(s.room[:s.got], want) {
						t.Errorf("%s of %d bytes: read %v, %d bytes, equal %v", name, len(want), s.read, s.got, bytes.Equal(s.room[:s.got], want))
					}
					if w.ahead.take(name) != nil {
						t.Errorf("%s: taken twice", name)
					}
					_ = unix.Close(s.fd)
				}
				if s := w.ahead.take("linked"); s == nil || s.read {
					t.Errorf("a file with two names: %+v", s)
				} else {
					_ = unix.Close(s.fd)
				}
				if w.ahead.take("gone") != nil || w.ahead.take("fifo") != nil {
					t.Error("what is no file was opened ahead")
				}
			}
			w.close()
			if after := fdsLeft(t); after != before {
				t.Errorf("%d files are open, %d before", after, before)
			}
			w.ahead.fill(dir, statfsMagic(t, d.dir), es, w.xattr, func(string) bool { return true })
			if w.ahead.take("file-02") != nil {
				t.Error("after its end it reads on")
			}
		})
	}
}

func statfsMagic(t *testing.T, dir string) int64 {
	t.Helper()
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		t.Fatal(err)
	}
	return int64(s.Type)
}

// TestAheadTellsTheSize checks that a wrong size in the inode is detected also for a file that was read ahead.
func TestAheadTellsTheSize(t *testing.T) {
	for _, got := range []int{99, 101} {
		j := &fileJob{meta: meta{stat: stat{size: 100}}, early: make([]byte, got), path: func() string { return "x" }, c: &copier{diskMode: &diskMode{}}}
		if err := j.copySmall(nil); err == nil {
			t.Errorf("%d bytes of a file of 100: no error", got)
		}
	}
}
