package image

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"migrate-init/cpio"
	"migrate-init/pkg/plan"
)

// over shows the files of one root above another.
type over struct {
	top  fstest.MapFS
	base fs.ReadLinkFS
}

func (o over) pick(name string) fs.ReadLinkFS {
	info, err := o.top.Lstat(name)
	if _, below := o.base.Lstat(name); err != nil || info.IsDir() && below == nil {
		return o.base
	}
	return o.top
}

func (o over) Open(name string) (fs.File, error)          { return o.pick(name).Open(name) }
func (o over) Lstat(name string) (fs.FileInfo, error)     { return o.pick(name).Lstat(name) }
func (o over) ReadLink(name string) (string, error)       { return o.pick(name).ReadLink(name) }
func (o over) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(o.pick(name), name) }

// hereWithModules is this machine with the kernel of the fixture: a container has none.
func hereWithModules(t testing.TB) fs.FS {
	t.Helper()
	for _, tool := range []string{"mke2fs", "e2fsck", "mkswap"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("SKIPPED: %v", err)
		}
	}
	top := fstest.MapFS{}
	for name, f := range aHost() {
		if strings.HasPrefix(name, modDir) || strings.HasPrefix(name, "boot/") || strings.HasPrefix(name, "opt/") || strings.HasPrefix(name, "proc/") || strings.HasPrefix(name, "sys/") {
			top[name] = f
		}
	}
	base, ok := os.DirFS("/").(fs.ReadLinkFS)
	if !ok {
		t.Fatal("os.DirFS reads no links")
	}
	if _, err := base.ReadLink("lib"); err != nil {
		t.Skip("SKIPPED: /usr is not merged here, and the fixture's is")
	}
	return over{top, base}
}

func run(t testing.TB, stdin []byte, argv ...string) string {
	t.Helper()
	if _, err := exec.LookPath(argv[0]); err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%.2000s", argv, err, out)
	}
	return string(out)
}

func TestHostTwiceSameBytes(t *testing.T) {
	root := hereWithModules(t)
	p := aPlan()
	p.Policy.OnFailure = "shell"
	if !bytes.Equal(packed(t, collect(t, input(t, root, p))), packed(t, collect(t, input(t, root, p)))) {
		t.Error("the same host gave two images")
	}
}

func TestLsinitramfsOracle(t *testing.T) {
	img := collect(t, input(t, hereWithModules(t), aPlan()))
	file := filepath.Join(t.TempDir(), "migrate.img")
	if err := os.WriteFile(file, packed(t, img), 0o600); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, it := range img.List() {
		want = append(want, strings.TrimPrefix(it.Path, "/"))
	}
	got := strings.Fields(run(t, nil, "lsinitramfs", file))
	slices.Sort(got)
	for _, name := range want {
		if _, there := slices.BinarySearch(got, name); !there {
			t.Errorf("lsinitramfs does not show %s", name)
		}
	}
	parents := map[string]bool{}
	for _, name := range want {
		for dir := filepath.Dir(name); dir != "."; dir = filepath.Dir(dir) {
			parents[dir] = true
		}
	}
	got = slices.DeleteFunc(got, func(n string) bool { return parents[n] || n == "." })
	want = slices.DeleteFunc(want, func(n string) bool { return parents[n] })
	slices.Sort(want)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// The programs inside must start with nothing but what is inside.
func TestChrootOracle(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: chroot needs root")
	}
	p := aPlan()
	p.Policy.OnFailure, p.Moves[0].Engine = "shell", plan.EngineExtent
	image := packed(t, collect(t, input(t, hereWithModules(t), p)))
	dir := t.TempDir()
	extract(t, image, dir)
	disk := filepath.Join(dir, "tmp/disk")
	if err := os.WriteFile(disk, make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	// The init mounts /proc; without its list tune2fs refuses.
	if err := os.WriteFile(filepath.Join(dir, "proc/mounts"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, argv := range []string{"mke2fs -q -F -t ext4 /tmp/disk", "e2fsck -fn /tmp/disk", "tune2fs -L x /tmp/disk", "e2fsck -fp /tmp/disk", "resize2fs /tmp/disk", "mkswap -f /tmp/disk"} {
		run(t, nil, append([]string{"chroot", dir}, strings.Fields(argv)...)...)
	}
	if out := run(t, nil, "chroot", dir, "/bin/sh", "-c", "cat "+Marker); out != p.ID+"\n" {
		t.Errorf("marker is %q", out)
	}
}

// extract unpacks an image without its device nodes.
func extract(t testing.TB, image []byte, dir string) {
	t.Helper()
	a := unpacked(t, image)
	for _, e := range a.List() { // sorted, so parents come first
		to := filepath.Join(dir, e.Name)
		var err error
		switch {
		case e.IsDir():
			err = os.MkdirAll(to, fs.FileMode(e.Mode&0o777))
		case e.IsSymlink():
			err = os.Symlink(e.Link, to)
		case e.IsRegular():
			var data []byte
			if data, err = a.ReadFile(e.Name); err == nil {
				err = os.WriteFile(to, data, fs.FileMode(e.Mode&0o777))
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// BenchmarkBuild measures the image of the main scenario from an unpacked Debian root, as qemu-tests keep one in .cache
// (or at MIGRATE_INIT_TREE): time from plan to bytes, and MiB.
func BenchmarkBuild(b *testing.B) {
	in := debian(b)
	var size, files, plain int
	for b.Loop() {
		img := collect(b, in)
		size, files, plain = len(packed(b, img)), len(img.List()), 0
		for _, it := range img.items {
			plain += len(it.data)
		}
	}
	b.ReportMetric(float64(size)/(1<<20), "MiB")
	b.ReportMetric(float64(plain)/(1<<20), "MiB-unpacked")
	b.ReportMetric(float64(files), "files")
}

// debian is the main scenario on a real system that does not run.
func debian(b *testing.B) Input {
	b.Helper()
	tree := os.Getenv("MIGRATE_INIT_TREE")
	if tree == "" {
		found, err := filepath.Glob("../../.cache/root-*.tree")
		if err != nil || len(found) == 0 {
			b.Skip("SKIPPED: no Debian root in .cache, and MIGRATE_INIT_TREE is not set")
		}
		tree = found[0]
	}
	base, ok := os.DirFS(tree).(fs.ReadLinkFS)
	if !ok {
		b.Fatal("os.DirFS reads no links")
	}
	self := filepath.Join(b.TempDir(), "migrate-init")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", self, "migrate-init/cmd/migrate-init")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Skipf("SKIPPED: %v\n%s", err, out)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		b.Fatal(err)
	}
	kernels, err := os.ReadDir(filepath.Join(tree, "usr/lib/modules"))
	if err != nil || len(kernels) == 0 {
		b.Skipf("SKIPPED: no kernel in %s: %v", tree, err)
	}
	p := aPlan()
	p.Boot.Release = kernels[0].Name()
	p.Boot.Kernel, p.Drivers = "/boot/vmlinuz-"+p.Boot.Release, []string{"virtio_blk", "virtio_pci"}
	return input(b, over{fstest.MapFS{"opt/migrate-init": {Mode: 0o755, Data: program}}, base}, p)
}

// BenchmarkLevels compares what zstd's levels make of the same image.
func BenchmarkLevels(b *testing.B) {
	img := collect(b, debian(b))
	for name, l := range map[string]int{"fastest": 1, "default": 3, "better": 7, "best": 11} {
		b.Run(name, func(b *testing.B) {
			var n int
			for b.Loop() {
				var buf bytes.Buffer
				if err := cpio.WriteImage(&buf, img.entries(), cpio.ImageOptions{Level: l}); err != nil {
					b.Fatal(err)
				}
				n = buf.Len()
			}
			b.ReportMetric(float64(n)/(1<<20), "MiB")
		})
	}
}
