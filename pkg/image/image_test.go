package image

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/rogpeppe/go-internal/txtar"

	"migrate-init/cpio"
	"migrate-init/pkg/kmod"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/sim"
)

var update = flag.Bool("update", false, "write the golden files")

func zstdOf(s string) []byte {
	e, err := zstd.NewWriter(nil)
	if err != nil {
		panic(err)
	}
	return e.EncodeAll([]byte(s), nil)
}

func unpacked(t testing.TB, image []byte) *cpio.Archive {
	t.Helper()
	a, err := cpio.Index(bytes.NewReader(image), cpio.IndexOptions{Keep: func(cpio.Entry) bool { return true }})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestContents(t *testing.T) {
	p := aPlan()
	p.Policy.OnFailure = "shell"
	img := collect(t, input(t, aHost(), p))
	var list strings.Builder
	for _, it := range img.List() {
		name := it.Path
		if it.Link != "" {
			name += " -> " + it.Link
		}
		size := fmt.Sprint(it.Size)
		if it.Path == PlanPath {
			size = "-" // the codec's business
		}
		fmt.Fprintf(&list, "%v %s %s  (%s)\n", it.Mode, size, name, it.Why)
	}
	a := unpacked(t, packed(t, img))
	got := &txtar.Archive{Comment: []byte("What is in the image of the main scenario; written by go test -update.\n\n")}
	add := func(name, data string) { got.Files = append(got.Files, txtar.File{Name: name, Data: []byte(data)}) }
	add("list", list.String())
	add("warnings", strings.Join(img.Warnings, "\n")+"\n")
	for _, f := range []string{"modules.dep", "modules.alias", "modules.softdep", "modules.builtin"} {
		data, err := a.ReadFile("/lib/modules/" + release + "/" + f)
		if err != nil {
			t.Fatal(err)
		}
		add(f, string(data))
	}
	golden := "testdata/main.txtar"
	if *update {
		if err := os.WriteFile(golden, txtar.Format(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(txtar.Format(got))); d != "" {
		t.Error(d)
	}
	if len(a.Dropped) > 0 {
		t.Errorf("the kernel would leave out %q", a.Dropped)
	}
	if data, _ := a.ReadFile("/lib/firmware/ata/packed.bin"); string(data) != "unpacked" {
		t.Errorf("firmware is %q", data)
	}
	for _, e := range a.List() {
		if e.UID != 0 || e.GID != 0 || e.MTime != p.Created.Unix() {
			t.Errorf("%s: owner %d:%d, time %d", e.Name, e.UID, e.GID, e.MTime)
		}
	}
	for name, want := range map[string][2]uint32{"dev/console": {5, 1}, "dev/null": {1, 3}, "dev/kmsg": {1, 11}} {
		if e, err := a.Lookup(name); err != nil || e.Mode&cpio.ModeType != cpio.ModeChar || e.RdevMajor != want[0] || e.RdevMinor != want[1] {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
}

// What the init will ask of the tables inside must lead to files inside.
func TestModulesInsideResolve(t *testing.T) {
	root := unpacked(t, packed(t, collect(t, input(t, aHost(), aPlan())))).FS()
	conf, err := kmod.ReadConfig(root)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := fs.Sub(root, "lib/modules/"+release)
	if err != nil {
		t.Fatal(err)
	}
	x, err := kmod.NewIndex(dir, conf)
	if err != nil {
		t.Fatal(err)
	}
	mods, err := x.Resolve("virtio_blk", "libata", "md_mod", "raid1", "ext4", "xfs", "fs-ext4", "md-personality-3")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range mods {
		names = append(names, m.Name)
		if _, err := fs.Stat(dir, m.Path); err != nil {
			t.Error(err)
		}
	}
	slices.Sort(names)
	if d := cmp.Diff([]string{"crc32c_generic", "ext4", "jbd2", "libata", "md_mod", "raid1", "virtio", "virtio_blk"}, names); d != "" {
		t.Error(d)
	}
	if got := x.Options("libata"); got != "noacpi=1" {
		t.Errorf("options of libata are %q", got)
	}
}

func TestCompressedModules(t *testing.T) {
	root := aHost()
	plain := root[modDir+"kernel/drivers/md/md-mod.ko"].Data
	delete(root, modDir+"kernel/drivers/md/md-mod.ko")
	root[modDir+"kernel/drivers/md/md-mod.ko.zst"] = &fstest.MapFile{Mode: 0o644, Data: zstdOf(string(plain))}
	dep := root[modDir+"modules.dep"]
	dep.Data = bytes.ReplaceAll(dep.Data, []byte("md-mod.ko"), []byte("md-mod.ko.zst"))
	packedModule := packed(t, collect(t, input(t, root, aPlan())))
	if !bytes.Equal(packedModule, packed(t, collect(t, input(t, aHost(), aPlan())))) {
		t.Error("compressed modules give another image than plain ones")
	}
}

func TestSameInputsSameBytes(t *testing.T) {
	img := collect(t, input(t, aHost(), aPlan()))
	once := packed(t, img)
	if !bytes.Equal(once, packed(t, img)) {
		t.Error("written twice, it differs")
	}
	root := aHost()
	for _, f := range root { // what must not matter
		f.Mode |= f.Mode & 0o400 >> 6
		f.ModTime = f.ModTime.Add(1e9)
	}
	if !bytes.Equal(once, packed(t, collect(t, input(t, root, aPlan())))) {
		t.Error("times and modes of the host are in the image")
	}
}

func TestPlanOf(t *testing.T) {
	image := packed(t, collect(t, input(t, aHost(), aPlan())))
	id, unpacked, err := PlanOf(bytes.NewReader(image))
	if err != nil || id != "6f1c" {
		t.Errorf("%q, %v", id, err)
	}
	var want int64
	for _, x := range collect(t, input(t, aHost(), aPlan())).List() {
		if x.Mode.IsRegular() {
			want += (x.Size + 4095) / 4096 * 4096
		}
	}
	if unpacked != want || want == 0 {
		t.Errorf("unpacked it takes %d bytes, the files %d", unpacked, want)
	}
	file := func(name, data string) cpio.Entry {
		return cpio.Entry{Name: name, Mode: cpio.ModeRegular | 0o644, Size: int64(len(data)), Body: strings.NewReader(data)}
	}
	archive := func(entries ...cpio.Entry) []byte {
		var b bytes.Buffer
		if err := cpio.WriteImage(&b, entries, cpio.ImageOptions{}); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	for name, c := range map[string]struct {
		image []byte
		want  string
	}{
		"empty":        {nil, "empty"},
		"text":         {[]byte("hello, world"), "neither a newc archive"},
		"cut":          {image[:len(image)/2], ""},
		"damaged":      {append(bytes.Clone(image[:len(image)-1]), image[len(image)-1]^1), ""},
		"other initrd": {archive(file("init", "x")), "no image of migrate-init"},
		"no plan":      {archive(file(Marker, "x")), "plan"},
		"broken plan":  {archive(file(Marker, "x"), file(PlanPath, "version = 2\nid = 'x'\n")), "seal"},
		"huge plan":    {archive(file(Marker, "x"), file(PlanPath, strings.Repeat("#", 5<<20))), "more than"},
	} {
		id, _, err := PlanOf(bytes.NewReader(c.image))
		if err == nil || id != "" || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %q, %v", name, id, err)
		}
	}
}

func TestRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(fstest.MapFS, *plan.Plan)
		want   []string // each is in the error
		lines  int      // refusals, when more than one
	}{
		{"missing tool", func(r fstest.MapFS, _ *plan.Plan) { delete(r, "usr/sbin/mke2fs") },
			[]string{"tool mke2fs: not found in /usr/sbin:", "makes ext4", "apt-get install e2fsprogs"}, 0},
		{"tool that is not executable", func(r fstest.MapFS, _ *plan.Plan) { r["usr/sbin/mkswap"].Mode = 0o644 },
			[]string{"tool mkswap: not found", "apt-get install util-linux"}, 0},
		{"missing tool of another family", func(r fstest.MapFS, p *plan.Plan) { delete(r, "usr/sbin/e2fsck"); p.Machine.Family = "suse" },
			[]string{"tool e2fsck: not found", "install the package e2fsprogs"}, 0},
		{"missing tool of the extent engine", func(r fstest.MapFS, p *plan.Plan) {
			delete(r, "usr/sbin/resize2fs")
			delete(r, "usr/sbin/tune2fs")
			p.Moves[0].Engine = plan.EngineExtent
		}, []string{"tool resize2fs: not found", "tool tune2fs: not found"}, 2},
		{"missing shell", func(r fstest.MapFS, p *plan.Plan) { delete(r, "usr/bin/sh"); p.Policy.OnFailure = "shell" },
			[]string{"tool sh: not found", "policy on_failure is shell", "apt-get install dash"}, 0},
		{"missing library", func(r fstest.MapFS, _ *plan.Plan) { delete(r, "usr/lib/x86_64-linux-gnu/libext2fs.so.2") },
			[]string{"tool /usr/sbin/mke2fs: library libext2fs.so.2", "not found in", "apt-get install --reinstall e2fsprogs"}, 3},
		{"unknown filesystem", func(_ fstest.MapFS, p *plan.Plan) { p.Target.Filesystems()[0].FS.Type = "f2fs" },
			[]string{"filesystem type f2fs: no program"}, 2},
		{"missing module", func(_ fstest.MapFS, p *plan.Plan) { p.Drivers = append(p.Drivers, "mpt3sas") },
			[]string{"module mpt3sas: not found", "kernel " + release, "driver of the planned disks", "linux-image-" + release}, 0},
		{"missing personality", func(r fstest.MapFS, p *plan.Plan) {
			dep := r[modDir+"modules.dep"]
			dep.Data = bytes.ReplaceAll(dep.Data, []byte("raid456.ko"), []byte("raid4.ko"))
			a := p.Target.Arrays()[0]
			a.On, a.MD.Level, a.MD.Chunk, a.MD.Devices = []plan.Ref{"part:p", "part:p", ""}, 5, 1<<16, []string{"m", "n", "o"}
			*p.Final.Node(a.Ref) = *a
		}, []string{"module raid456: not found", "array h:root, level 5"}, 0},
		{"missing module file", func(r fstest.MapFS, _ *plan.Plan) { delete(r, modDir+"kernel/fs/jbd2/jbd2.ko") },
			[]string{"module jbd2 of kernel " + release, "does not exist", "linux-image-" + release}, 0},
		{"module of another release", func(r fstest.MapFS, _ *plan.Plan) {
			r[modDir+"kernel/drivers/md/raid1.ko"].Data = sim.Module("6.1.0-8-test")
		},
			[]string{"module raid1:", `built for kernel "6.1.0-8-test", not ` + release}, 0},
		{"module without version", func(r fstest.MapFS, _ *plan.Plan) { r[modDir+"kernel/drivers/md/raid1.ko"].Data = sim.Module("") },
			[]string{`module raid1:`, `built for kernel ""`}, 0},
		{"module that is none", func(r fstest.MapFS, _ *plan.Plan) { r[modDir+"kernel/drivers/md/raid1.ko"].Data = []byte("text") },
			[]string{"module raid1 of kernel " + release}, 0},
		{"forbidden module", func(r fstest.MapFS, _ *plan.Plan) {
			r["etc/modprobe.d/b.conf"].Data = []byte("install ext4 /bin/false\n")
		},
			[]string{"module ext4: forbidden by", "remove that line from", "b.conf"}, 0},
		{"missing modules directory", func(r fstest.MapFS, p *plan.Plan) {
			p.Boot.Release = "6.1.0-7-test"
			r[strings.TrimPrefix(p.Boot.Kernel, "/")].Data = sim.KernelImage("6.1.0-7-test")
		}, []string{"directory /lib/modules/6.1.0-7-test for kernel 6.1.0-7-test: file does not exist", "--reinstall linux-image-6.1.0-7-test"}, 0},
		{"release that is a path", func(_ fstest.MapFS, p *plan.Plan) { p.Boot.Release = "../x" }, []string{`kernel release "../x": not a name`}, 0},
		{"missing tables", func(r fstest.MapFS, _ *plan.Plan) { delete(r, modDir+"modules.dep") },
			[]string{"modules.dep", "depmod " + release}, 0},
		{"kernel image of another release", func(r fstest.MapFS, p *plan.Plan) {
			r[strings.TrimPrefix(p.Boot.Kernel, "/")].Data = sim.KernelImage("6.1.0-8-test")
		}, []string{"kernel image /boot/vmlinuz-" + release + ": it is version 6.1.0-8-test, but the plan's modules are of " + release}, 0},
		{"missing kernel image", func(_ fstest.MapFS, p *plan.Plan) { p.Boot.Kernel = "/boot/gone" },
			[]string{"kernel image /boot/gone: file does not exist"}, 0},
		{"kernel image that is none", func(r fstest.MapFS, p *plan.Plan) { r[strings.TrimPrefix(p.Boot.Kernel, "/")].Data = []byte("x") },
			[]string{"kernel image /boot/vmlinuz-" + release + ": its version cannot be read"}, 0},
		{"dynamic program", func(r fstest.MapFS, _ *plan.Plan) { r["opt/migrate-init"].Data = sim.Program(sim.Loader, "libc.so.6") },
			[]string{"program /opt/migrate-init: not statically linked: it wants the loader " + sim.Loader, "CGO_ENABLED=0"}, 0},
		{"program that is gone", func(r fstest.MapFS, _ *plan.Plan) { delete(r, "opt/migrate-init") },
			[]string{"program /opt/migrate-init: file does not exist"}, 0},
		{"damaged firmware", func(r fstest.MapFS, _ *plan.Plan) { r["usr/lib/firmware/ata/packed.bin.zst"].Data = []byte("x") },
			[]string{"firmware ata/packed.bin, named by module libata", "packed.bin.zst"}, 0},
		{"missing modules of an overlay", func(_ fstest.MapFS, p *plan.Plan) {
			p.Overlays = []plan.Overlay{{On: "disk:old1", Size: 16 << 20}}
		}, []string{"module dm_snapshot: not found", "snapshots in memory of the sources", "linux-image-" + release}, 3},
		{"several at once", func(r fstest.MapFS, p *plan.Plan) {
			delete(r, "usr/sbin/mke2fs")
			delete(r, "usr/sbin/mkswap")
			p.Drivers = append(p.Drivers, "gone")
			p.Boot.Kernel = "/boot/gone"
			r["opt/migrate-init"].Data = []byte("#!/bin/sh\n")
		}, []string{"tool mke2fs", "tool mkswap", "module gone", "kernel image /boot/gone", "program /opt/migrate-init"}, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			root, p := aHost(), aPlan()
			c.change(root, p)
			img, err := Collect(input(t, root, p))
			if err == nil {
				t.Fatalf("no error, and %d files", len(img.List()))
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q is not in:\n%v", w, err)
				}
			}
			if n := strings.Count(err.Error(), "\n") + 1; n > max(1, c.lines) {
				t.Errorf("one cause, many refusals:\n%v", err)
			}
		})
	}
}

func TestRefusesAnotherPlansText(t *testing.T) {
	in := input(t, aHost(), aPlan())
	other := aPlan()
	other.ID = "other"
	in.PlanText = text(t, other)
	if _, err := Collect(in); err == nil || !strings.Contains(err.Error(), "plan: the text is that of other, not of 6f1c") {
		t.Error(err)
	}
	in.PlanText = nil
	if _, err := Collect(in); err == nil {
		t.Error("no text, and no error")
	}
	if _, err := Collect(Input{Plan: aPlan(), Root: struct{ fs.FS }{aHost()}}); err == nil || !strings.Contains(err.Error(), "symbolic links") {
		t.Error(err)
	}
}

// A driver that sysfs shows is taken for built in only where that can be known.
func TestDriverWithoutModule(t *testing.T) {
	for name, change := range map[string]func(fstest.MapFS){
		"another kernel runs": func(r fstest.MapFS) { r["proc/sys/kernel/osrelease"].Data = []byte("5.10.0\n") },
		"a loaded module":     func(r fstest.MapFS) { r["sys/module/pcieportdrv/initstate"] = &fstest.MapFile{Data: []byte("live\n")} },
		"unknown to sysfs":    func(r fstest.MapFS) { delete(r, "sys/module/pcieportdrv/uevent") },
	} {
		root := aHost()
		change(root)
		if _, err := Collect(input(t, root, aPlan())); err == nil || !strings.Contains(err.Error(), "module pcieportdrv: not found") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The loader in an image has no cache, so a library that only ld.so.conf leads to gets a link where it looks anyway.
func TestLibraryOfLdSoConf(t *testing.T) {
	root := aHost()
	root["etc/ld.so.conf"] = &fstest.MapFile{Data: []byte("/opt/lib\n")}
	root["opt/lib/libodd.so.1"] = &fstest.MapFile{Mode: fs.ModeSymlink | 0o777, Data: []byte("libodd.so.1.2")}
	root["opt/lib/libodd.so.1.2"] = &fstest.MapFile{Mode: 0o755, Data: sim.Program("")}
	root["usr/sbin/mkswap"].Data = sim.Program(sim.Loader, "libodd.so.1", "libc.so.6")
	a := unpacked(t, packed(t, collect(t, input(t, root, aPlan()))))
	e, err := a.Lookup("/usr/lib/x86_64-linux-gnu/libodd.so.1")
	if err != nil || e.Name != "opt/lib/libodd.so.1.2" {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestSplitUsr(t *testing.T) {
	root := aHost()
	for _, l := range []string{"lib", "lib64", "bin", "sbin"} {
		delete(root, l)
		for name, f := range root {
			if rest, ok := strings.CutPrefix(name, "usr/"+l+"/"); ok {
				delete(root, name)
				root[path.Join(l, rest)] = f
			}
		}
	}
	a := unpacked(t, packed(t, collect(t, input(t, root, aPlan()))))
	for _, name := range []string{"lib/modules/" + release + "/modules.dep", "sbin/mke2fs", "lib64/ld-linux-x86-64.so.2"} {
		if _, err := a.Lookup(name); err != nil {
			t.Error(err)
		}
	}
	if e, err := a.Lookup("lib"); err != nil || !e.IsDir() {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestCanonical(t *testing.T) {
	links := map[string]string{"/lib": "usr/lib", "/a": "/lib/b", "/usr/lib/b": "../../c", "/x": "y", "/y": "x"}
	for dir, want := range map[string]string{"/lib/modules": "/usr/lib/modules", "/a/d": "/c/d", "/": "/", "/usr/../lib": "/usr/lib"} {
		if got, err := canonical(dir, links); err != nil || got != want {
			t.Errorf("%s: %q, %v", dir, got, err)
		}
	}
	if _, err := canonical("/x/z", links); err == nil {
		t.Error("a loop of links has an end")
	}
}

func TestSettleKeepsNoSecondTruth(t *testing.T) {
	one := item{path: "/a", mode: cpio.ModeRegular, data: []byte("1"), why: "x"}
	two := item{path: "/a", mode: cpio.ModeRegular, data: []byte("2"), why: "y"}
	if got, err := merge([]item{one, one}); err != nil || len(got) != 1 {
		t.Error(got, err)
	}
	if _, err := merge([]item{one, two}); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestCompressionFollowsTheKernel(t *testing.T) {
	for config, want := range map[string]string{
		"":                                     "zstd",
		"CONFIG_RD_ZSTD=y\nCONFIG_RD_GZIP=y\n": "zstd",
		"# CONFIG_RD_ZSTD is not set\nCONFIG_RD_GZIP=y\n": "gzip",
		"CONFIG_BLK_DEV_INITRD=y\n":                       "cpio",
		"something else\n":                                "zstd",
	} {
		root := aHost()
		root["boot/config-"+release] = &fstest.MapFile{Mode: 0o644, Data: []byte(config)}
		image := packed(t, collect(t, input(t, root, aPlan())))
		if a := unpacked(t, image); len(a.Segments) != 1 || a.Segments[0].Format != want {
			t.Errorf("%q: %v, want %s", config, a.Segments, want)
		}
		if _, _, err := PlanOf(bytes.NewReader(image)); err != nil {
			t.Error(err)
		}
	}
}

func FuzzPlanOf(f *testing.F) {
	image := packed(f, collect(f, input(f, aHost(), aPlan())))
	f.Add(image)
	f.Add(image[:len(image)/2])
	var plain bytes.Buffer
	one := func(name, data string) cpio.Entry {
		return cpio.Entry{Name: name, Mode: cpio.ModeRegular | 0o644, Size: int64(len(data)), Body: strings.NewReader(data)}
	}
	if err := cpio.WriteImage(&plain, []cpio.Entry{one(Marker, "x"), one(PlanPath, "version = 2\n")}, cpio.ImageOptions{Method: cpio.None}); err != nil {
		f.Fatal(err)
	}
	f.Add(plain.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		if id, _, err := PlanOf(bytes.NewReader(data)); err != nil && id != "" {
			t.Errorf("id %q beside an error", id)
		}
	})
}
