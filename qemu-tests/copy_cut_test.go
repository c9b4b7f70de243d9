package qemutests

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"migrate-init/qemu-tests/lab"
	"migrate-init/qemu-tests/lab/manifest"
)

// copyCut is one copy by `migrate-init copy` whose power is cut again and again.
type copyCut struct {
	t      *testing.T
	config lab.Config
	l      *lab.Lab
	ctx    context.Context
	source string // image files
	target string
	data   int64 // bytes in use by the source's regular files
}

// copyLoad is what is copied, and how. The source is throttled so that neither the number of cuts nor the share that is
// copied again hangs on how busy the machine is. The target is not: there a sync would take as long as all that the
// guest's cache holds, and a cut every few seconds would leave no time for any.
type copyLoad struct {
	cuts       int
	files      int
	large, big int           // files, and their size in MiB
	rate       int64         // of the source, bytes a second
	from, to   time.Duration // from the first progress to the cut
}

// TestCopy is about the command that administrators copy with.
func TestCopy(t *testing.T) {
	t.Run("PowerCut3", func(t *testing.T) {
		if full() {
			t.Skip("SKIPPED: PowerCut20 does the same and more")
		}
		copyPowerCut(t, copyLoad{cuts: 3, files: 600, large: 3, big: 48, rate: 24 << 20, from: 1500 * time.Millisecond, to: 3 * time.Second})
	})
	t.Run("Verity", copyVerity)
	t.Run("PowerCut20", func(t *testing.T) {
		if !full() {
			t.Skip("SKIPPED: takes minutes; make qemu-tests runs it, PowerCut3 is the quick one")
		}
		copyPowerCut(t, copyLoad{cuts: 20, files: 3000, large: 8, big: 48, rate: 12 << 20, from: 500 * time.Millisecond, to: 3 * time.Second})
	})
}

// copyPowerCut kills the machine at random moments of one copy. The copy must end equal to its source, and each restart
// copy less than a tenth of it again, on average.
func copyPowerCut(t *testing.T, load copyLoad) {
	l, _, dir := open(t)
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Minute)
	t.Cleanup(cancel)
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("MIGRATE_INIT_SEED"); s != "" {
		if _, err := fmt.Sscan(s, &seed); err != nil {
			t.Fatalf("MIGRATE_INIT_SEED: %v", err)
		}
	}
	t.Logf("random moments: MIGRATE_INIT_SEED=%d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))

	c := &copyCut{t: t, l: l, ctx: ctx, source: filepath.Join(dir, "source.raw"), target: filepath.Join(dir, "target.raw")}
	before := c.makeDisks(load)
	config, err := l.MiniInitramfs(ctx, dir, lab.Mini{Modules: []string{"ext4"},
		Files: []lab.File{{Path: "/bin/migrate-init", Host: tool(t), Mode: 0o755}}})
	if err != nil {
		t.Fatal(err)
	}
	c.config = config
	c.config.Append += " no_timer_check" // as for the md oracle

	var read, written, worst int64
	for i := range load.cuts {
		delay := load.from + time.Duration(rnd.Int64N(int64(load.to-load.from)))
		r, w := c.cut(i, load.rate, delay)
		read, written, worst = read+r, written+w, max(worst, r)
	}
	last, w := c.finish()
	written += w
	c.compare(before)

	// The last run verifies too, so it says itself what it copied. What the guests read to mount and to look ahead counts.
	share := func(bytes int64) float64 { return 100 * float64(bytes-c.data) / float64(c.data) / float64(load.cuts) }
	byReads, byWrites := share(read+last.Copied.Bytes), share(written)
	t.Logf("measured: %d bytes of data, %d power cuts; the runs that were cut read %d (at most %d in one), the last one copied %d and found %d names done",
		c.data, load.cuts, read, worst, last.Copied.Bytes, last.Copied.Resumed)
	t.Logf("measured: copied again per restart, on average: %.2f %% of the data by the source's reads; %.2f %% by the target's writes (%d bytes)", byReads, byWrites, written)
	// What a cut costs is a matter of seconds; a short copy with few cuts tells nothing of its share.
	if full() && (byReads >= 10 || byWrites >= 10) {
		t.Errorf("a restart copies %.2f %% again by reads, %.2f %% by writes: want less than 10 %%", byReads, byWrites)
	}
	// A copy that started again after each cut could keep the share low, too, where the cuts come fast.
	if !last.Resumed || last.Copied.Resumed == 0 || last.Copied.Bytes > c.data*19/20 {
		t.Errorf("the last run copied %d of %d bytes and resumed %d names: the runs before it left too little", last.Copied.Bytes, c.data, last.Copied.Resumed)
	}
}

// makeDisks fills the source and returns what it holds.
func (c *copyCut) makeDisks(load copyLoad) []manifest.Entry {
	c.t.Helper()
	room := int64(load.large*load.big+load.big)<<20 + int64(load.files)*12<<10
	for _, image := range []string{c.source, c.target} {
		if err := lab.Blank(image, room*5/4+128<<20); err != nil {
			c.t.Fatal(err)
		}
		c.command("mke2fs", "-q", "-t", "ext4", "-b", "4096", "-F", image)
	}
	c.mounted(c.source, "rw", func(dir string) {
		top := filepath.Join(dir, "srv")
		if err := manifest.Fixture(top, manifest.Size{Files: load.files, Big: int64(load.big) << 20}); err != nil {
			c.t.Fatal(err)
		}
		c.large(filepath.Join(top, "large"), load)
	})
	var all []manifest.Entry
	c.mounted(c.source, "ro,noload", func(dir string) {
		var err error
		if all, err = manifest.Read(dir, nil); err != nil {
			c.t.Fatal(err)
		}
	})
	for _, e := range all {
		if e.Mode&unix.S_IFMT == unix.S_IFREG && (e.Link == "" || e.Link == e.Path) {
			c.data += e.Blocks * 512
		}
	}
	c.t.Logf("source: %d names, %d bytes of data", len(all), c.data)
	return all
}

// large makes the files that a restart must not start again, one of them sparse, and a pair of hard links of some size.
func (c *copyCut) large(dir string, load copyLoad) {
	c.t.Helper()
	rnd := rand.NewChaCha8([32]byte{'l', 'a', 'r', 'g', 'e'})
	piece := make([]byte, 1<<20)
	write := func(name string, pieces, step int) {
		w, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			c.t.Fatal(err)
		}
		defer w.Close()
		for i := range pieces {
			_, _ = rnd.Read(piece)
			if _, err := w.WriteAt(piece, int64(i*step)<<20); err != nil {
				c.t.Fatal(err)
			}
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		c.t.Fatal(err)
	}
	for i := range load.large - 1 {
		write(fmt.Sprintf("whole-%d", i), load.big, 1)
	}
	write("sparse", load.big/2, 7)
	write("twice", 6, 1)
	if err := os.Link(filepath.Join(dir, "twice"), filepath.Join(dir, "twice-too")); err != nil {
		c.t.Fatal(err)
	}
}

func (c *copyCut) command(name string, args ...string) {
	c.t.Helper()
	if b, err := exec.CommandContext(c.ctx, name, args...).CombinedOutput(); err != nil {
		c.t.Fatalf("%s: %v\n%s", name, err, b)
	}
}

// mounted calls f with the directory where the host has mounted an image.
func (c *copyCut) mounted(image, options string, f func(dir string)) {
	c.t.Helper()
	dir := c.t.TempDir()
	c.command("mount", "-t", "ext4", "-o", "loop,"+options, image, dir)
	// Also when f ends the test.
	defer func() {
		if err := unix.Unmount(dir, 0); err != nil {
			_ = unix.Unmount(dir, unix.MNT_DETACH)
			c.t.Errorf("unmount %s: %v", image, err)
		}
	}()
	f(dir)
}

// start boots the guest with both filesystems mounted. rate is the source's; 0 does not throttle it.
func (c *copyCut) start(name string, rate int64) *lab.VM {
	c.t.Helper()
	config := c.config
	config.Name = name
	config.Disks = []lab.Disk{{File: c.source, Serial: "source", ReadOnly: true, BytesPerSecond: rate}, {File: c.target, Serial: "target"}}
	vm := boot(c.ctx, c.t, c.l, config)
	if _, err := vm.MustRun(soon(c.ctx, c.t), "mkdir -p /src /dst && mount -t ext4 -o ro,noload /dev/vda /src && mount -t ext4 /dev/vdb /dst"); err != nil {
		c.t.Fatal(err)
	}
	return vm
}

const copyCommand = "migrate-init copy --checkpoint 1s --json /src /dst"

// cut starts or resumes the copy, cuts the power, and returns the bytes read from the source and written to the target.
func (c *copyCut) cut(i int, rate int64, delay time.Duration) (read, written int64) {
	c.t.Helper()
	vm := c.start(fmt.Sprintf("copy, cut %d", i+1), rate)
	up := vm.Uptime()
	seen := &spotter{want: regexp.MustCompile(`(?m)^\{"event":"progress","stage":"copy",`), found: make(chan struct{})}
	type end struct {
		lab.Result
		err error
	}
	ended := make(chan end, 1)
	go func() {
		r, err := vm.RunTo(c.ctx, copyCommand+" 2>&1", seen)
		ended <- end{r, err}
	}()
	select {
	case <-seen.found:
		time.Sleep(delay)
	case e := <-ended:
		c.t.Fatalf("cut %d: the copy ended before it said anything of progress: code %d, %v\n%s", i+1, e.Code, e.err, e.Out)
	}
	// Stopped, the guest does no more than it is asked about.
	if _, err := vm.QMP(soon(c.ctx, c.t), "stop", nil); err != nil {
		c.t.Fatal(err)
	}
	read, written = c.traffic(vm)
	if err := vm.Cut(); err != nil {
		c.t.Fatal(err)
	}
	e := <-ended
	if e.err == nil {
		c.t.Fatalf("cut %d: the copy had ended, with code %d, before the power was cut: it wants more data\n%s", i+1, e.Code, e.Out)
	}
	if resumed := strings.Contains(string(seen.text), "resuming an interrupted copy"); resumed != (i > 0) {
		c.t.Errorf("cut %d: resumed %v, and the copy said:\n%s", i+1, resumed, seen.text)
	}
	c.t.Logf("cut %2d: guest up %.1f s, cut at %.1f s, %.2f s after the first progress: read %5.1f MB, written %5.1f MB", i+1,
		up.Seconds(), vm.Uptime().Seconds(), delay.Seconds(), float64(read)/1e6, float64(written)/1e6)
	return read, written
}

// traffic is what QEMU has read from the source and written to the target.
func (c *copyCut) traffic(vm *lab.VM) (read, written int64) {
	c.t.Helper()
	b, err := vm.QMP(soon(c.ctx, c.t), "query-blockstats", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	var all []struct {
		Qdev  string
		Stats struct {
			Read    int64 `json:"rd_bytes"`
			Written int64 `json:"wr_bytes"`
		}
	}
	if err := json.Unmarshal(b, &all); err != nil {
		c.t.Fatal(err)
	}
	found := 0
	for _, d := range all {
		if strings.Contains(d.Qdev, "disk-source") {
			read, found = d.Stats.Read, found+1
		}
		if strings.Contains(d.Qdev, "disk-target") {
			written, found = d.Stats.Written, found+1
		}
	}
	if found != 2 || read == 0 {
		c.t.Fatalf("query-blockstats: source and target are not there, or were not used: %s", b)
	}
	return read, written
}

// lastCopy is what copy --json prints, as far as it is asked.
type lastCopy struct {
	Resumed          bool
	Copied, Verified struct{ Files, Dirs, Bytes, Resumed int64 }
}

// finish lets the copy end.
func (c *copyCut) finish() (last lastCopy, written int64) {
	c.t.Helper()
	vm := c.start("copy, at last", 0)
	ctx, cancel := context.WithTimeout(c.ctx, 10*time.Minute)
	defer cancel()
	r, err := vm.Run(ctx, copyCommand+" 2>/tmp/said")
	if err != nil {
		c.t.Fatal(err)
	}
	if r.Code != 0 {
		said, _ := vm.Pull(ctx, "/tmp/said")
		c.t.Fatalf("the last run ended with code %d:\n%s\n%s", r.Code, said, r.Out)
	}
	if err := json.Unmarshal([]byte(r.Out), &last); err != nil {
		c.t.Fatalf("copy --json: %v\n%s", err, r.Out)
	}
	if last.Verified.Files == 0 {
		c.t.Errorf("nothing was verified: %s", r.Out)
	}
	if _, err := vm.MustRun(ctx, "umount /dst /src"); err != nil {
		c.t.Fatal(err)
	}
	_, written = c.traffic(vm)
	c.t.Logf("the last run: %.1f s, %+v", r.Seconds, last)
	if err := vm.PowerOff(soon(c.ctx, c.t)); err != nil {
		c.t.Error(err)
	}
	return last, written
}

// compare holds the target against its source, on the host.
func (c *copyCut) compare(before []manifest.Entry) {
	c.t.Helper()
	c.command("e2fsck", "-fn", c.target)
	var after []manifest.Entry
	c.mounted(c.target, "ro,noload", func(dir string) {
		var err error
		if after, err = manifest.Read(dir, nil); err != nil {
			c.t.Fatal(err)
		}
	})
	diffs := manifest.Diff(before, after, nil)
	for _, d := range diffs[:min(20, len(diffs))] {
		c.t.Errorf("source and copy: %s", d)
	}
	if i := slices.IndexFunc(after, func(e manifest.Entry) bool { return strings.Contains(e.Path, "migrate-init") }); i >= 0 {
		c.t.Errorf("the copy left %s behind", after[i].Path)
	}
	c.t.Logf("manifest: %d names in the source, %d in the copy, %d differ; e2fsck finds nothing", len(before), len(after), len(diffs))
}

// spotter says when a line that matches has come by.
type spotter struct {
	want  *regexp.Regexp
	text  []byte
	found chan struct{}
	done  bool
}

// Write implements io.Writer.
func (s *spotter) Write(b []byte) (int, error) {
	s.text = append(s.text, b...)
	if !s.done && s.want.Match(s.text) {
		s.done = true
		close(s.found)
	}
	return len(b), nil
}
