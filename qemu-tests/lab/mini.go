package lab

import (
	"bytes"
	"context"
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"migrate-init/cpio"
)

// Mini describes the small guest: a Debian kernel, an initramfs that is its whole system, the lab's agent as PID 1. It is
// up in a few seconds, and VM.Run, Push and Pull work as in a full system; there is no systemd, no udev, and no root disk.
type Mini struct {
	Recipe  Recipe   // where kernel, modules and tools come from; Debian12 when empty
	Modules []string // loaded in this order after what they need; virtio disks and console come by themselves
	Tools   []string // absolute paths in the recipe's root ("/sbin/mdadm"), taken with their libraries; bash comes by itself
	Files   []File
}

// File is put into the small guest.
type File struct {
	Path string // absolute, in the guest
	Mode uint32 // permission bits; 0 is those of Host, or 0644
	Host string // a file of this machine; when empty, Data is used
	Data []byte
}

// Tree unpacks a recipe's root into the cache and returns the directory. It is shared: do not write to it.
func (l *Lab) Tree(ctx context.Context, r Recipe) (string, error) {
	tar, err := l.Root(ctx, r)
	if err != nil {
		return "", err
	}
	return l.cached(ctx, strings.TrimSuffix(filepath.Base(tar), ".tar.zst")+".tree", func(path string) error {
		return l.timed("unpack "+filepath.Base(tar), func() error {
			if err := os.Mkdir(path, 0o755); err != nil {
				return err
			}
			return command(ctx, nil, "tar", "--zstd", "-xpf", tar, "-C", path)
		})
	})
}

// Kernel is a bootable kernel of a recipe.
type Kernel struct {
	Version string
	Image   string // host path
	Initrd  string // host path of Debian's own, made when the root was
	Modules string // host path of lib/modules/VERSION
}

// Kernel finds the newest kernel of the recipe's root.
func (l *Lab) Kernel(ctx context.Context, r Recipe) (Kernel, error) {
	tree, err := l.Tree(ctx, r)
	if err != nil {
		return Kernel{}, err
	}
	images, _ := filepath.Glob(tree + "/boot/vmlinuz-*")
	if images == nil {
		return Kernel{}, fmt.Errorf("lab: no kernel in %s/boot", tree)
	}
	slices.Sort(images)
	image := images[len(images)-1]
	v := strings.TrimPrefix(filepath.Base(image), "vmlinuz-")
	return Kernel{Version: v, Image: image, Initrd: tree + "/boot/initrd.img-" + v, Modules: tree + "/usr/lib/modules/" + v}, nil
}

// MiniInitramfs writes the small guest's initramfs into dir and returns a Config that boots it. Disks are the caller's.
func (l *Lab) MiniInitramfs(ctx context.Context, dir string, m Mini) (Config, error) {
	if m.Recipe.Suite == "" {
		m.Recipe = Debian12()
	}
	k, err := l.Kernel(ctx, m.Recipe)
	if err != nil {
		return Config{}, err
	}
	agent, err := l.Agent(ctx)
	if err != nil {
		return Config{}, err
	}
	tree, err := l.Tree(ctx, m.Recipe)
	if err != nil {
		return Config{}, err
	}
	b := &bundle{tree: tree, have: map[string]bool{}}
	defer b.close()
	b.layout()
	b.host("init", agent, 0o755)
	b.host("bin/busybox", "/bin/busybox", 0o755)
	b.modules(k, append([]string{"virtio_pci", "virtio_blk", "virtio_console", "virtio_rng"}, m.Modules...))
	for _, t := range append([]string{"/bin/bash"}, m.Tools...) {
		b.tool(t)
	}
	for _, f := range m.Files {
		if f.Host != "" {
			b.host(f.Path, f.Host, f.Mode)
		} else {
			b.data(f.Path, f.Data, f.Mode)
		}
	}
	if b.err != nil {
		return Config{}, fmt.Errorf("lab: small initramfs: %w", b.err)
	}
	path := filepath.Join(dir, "mini.img")
	out, err := os.Create(path)
	if err != nil {
		return Config{}, err
	}
	defer out.Close()
	if err := cpio.WriteImage(out, b.entries, cpio.ImageOptions{Method: cpio.None}); err != nil {
		return Config{}, err
	}
	return Config{Name: "mini", Dir: dir, Kernel: k.Image, Initrd: path, Memory: 512, Append: words + " quiet"}, out.Close()
}

// TestBinary compiles a package's tests into dir, static, for running in a guest: "/t -test.v -test.run ...".
func TestBinary(ctx context.Context, dir, pkg string) (string, error) {
	path := filepath.Join(dir, strings.ReplaceAll(pkg, "/", "_")+".test")
	return path, command(ctx, []string{"CGO_ENABLED=0"}, "go", "test", "-c", "-trimpath", "-ldflags=-s -w", "-o", path, pkg)
}

// bundle collects the entries of the small initramfs; the first error sticks.
type bundle struct {
	tree    string
	have    map[string]bool
	entries []cpio.Entry
	open    []*os.File
	err     error
}

func (b *bundle) close() {
	for _, f := range b.open {
		_ = f.Close()
	}
}

func (b *bundle) fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

// merged moves a name to where it is on a system with merged /usr.
func merged(path string) string {
	p := strings.Trim(filepath.Clean(path), "/")
	for _, d := range []string{"bin/", "sbin/", "lib/", "lib64/"} {
		if strings.HasPrefix(p, d) {
			return "usr/" + p
		}
	}
	return p
}

func (b *bundle) layout() {
	for _, d := range []string{"usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "proc", "sys", "dev", "run", "tmp", "mnt", "root", "etc", "applets", "lab"} {
		b.entries = append(b.entries, cpio.Entry{Name: d, Mode: cpio.ModeDir | 0o755, Nlink: 2})
	}
	for _, d := range []string{"bin", "sbin", "lib", "lib64"} {
		b.entries = append(b.entries, cpio.Entry{Name: d, Mode: cpio.ModeSymlink | 0o777, Link: "usr/" + d, Size: int64(len(d) + 4), Nlink: 1})
	}
	// The kernel opens it for PID 1 before anything is mounted.
	b.entries = append(b.entries, cpio.Entry{Name: "dev/console", Mode: cpio.ModeChar | 0o600, RdevMajor: 5, RdevMinor: 1, Nlink: 1})
	b.data("etc/passwd", []byte("root:x:0:0:root:/root:/bin/sh\n"), 0o644)
}

func (b *bundle) data(path string, data []byte, mode uint32) {
	name := merged(path)
	if b.have[name] {
		return
	}
	b.have[name] = true
	if mode == 0 {
		mode = 0o644
	}
	b.entries = append(b.entries, cpio.Entry{Name: name, Mode: cpio.ModeRegular | mode, Nlink: 1,
		Size: int64(len(data)), Body: bytes.NewReader(data)})
}

func (b *bundle) host(path, from string, mode uint32) {
	name := merged(path)
	if b.have[name] || b.err != nil {
		return
	}
	b.have[name] = true
	f, err := os.Open(from)
	if err != nil {
		b.fail(err)
		return
	}
	b.open = append(b.open, f)
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		b.fail(err)
		return
	}
	if mode == 0 {
		mode = st.Mode & 0o7777
	}
	b.entries = append(b.entries, cpio.Entry{Name: name, Mode: cpio.ModeRegular | mode, Nlink: 1, Size: st.Size, Body: f})
}

// find gives the host path of a file of the tree, whose absolute symlinks are the tree's own.
func (b *bundle) find(path string) (string, error) {
	p := filepath.Join(b.tree, path)
	for range 10 {
		to, err := os.Readlink(p)
		if err != nil {
			break
		}
		if filepath.IsAbs(to) {
			p = filepath.Join(b.tree, to)
		} else {
			p = filepath.Join(filepath.Dir(p), to)
		}
	}
	_, err := os.Stat(p)
	return p, err
}

// tool takes a program or library under its own name, and the libraries it names, with theirs.
func (b *bundle) tool(path string) {
	if b.have[merged(path)] || b.err != nil {
		return
	}
	from, err := b.find(merged(path))
	if err != nil {
		b.fail(err)
		return
	}
	b.host(path, from, 0)
	f, err := elf.Open(from)
	if err != nil {
		return // a script
	}
	defer f.Close()
	if f.Section(".interp") != nil {
		b.tool("/lib64/ld-linux-x86-64.so.2")
	}
	libs, err := f.ImportedLibraries()
	if err != nil {
		b.fail(fmt.Errorf("%s: %w", path, err))
		return
	}
	for _, lib := range libs {
		found := false
		for _, d := range []string{"/usr/lib/x86_64-linux-gnu/", "/usr/lib/", "/usr/lib64/", "/usr/lib/x86_64-linux-gnu/systemd/"} {
			if _, err := b.find(d + lib); err == nil {
				b.tool(d + lib)
				found = true
				break
			}
		}
		if !found {
			b.fail(fmt.Errorf("library %s of %s is not in the root", lib, path))
		}
	}
}

// modules takes kernel modules with what modules.dep says they need, and lists them in loading order for the agent.
func (b *bundle) modules(k Kernel, names []string) {
	dep, err := os.ReadFile(k.Modules + "/modules.dep")
	if err != nil {
		b.fail(err)
		return
	}
	builtin, _ := os.ReadFile(k.Modules + "/modules.builtin")
	needs := map[string][]string{} // by module name: its file, then what it needs, nearest first
	for _, line := range strings.Split(string(dep), "\n") {
		if file, rest, ok := strings.Cut(line, ":"); ok {
			needs[moduleName(file)] = append([]string{file}, strings.Fields(rest)...)
		}
	}
	inside := map[string]bool{}
	for _, file := range strings.Fields(string(builtin)) {
		inside[moduleName(file)] = true
	}
	var order []string
	for _, n := range names {
		files, ok := needs[moduleName(n)]
		if !ok {
			if !inside[moduleName(n)] {
				b.fail(fmt.Errorf("kernel %s has no module %s", k.Version, n))
			}
			continue
		}
		for _, f := range slices.Backward(files) {
			in := "/usr/lib/modules/" + k.Version + "/" + f
			if !slices.Contains(order, in) {
				order = append(order, in)
				b.host(in, filepath.Join(k.Modules, f), 0o644)
			}
		}
	}
	b.data("lab/modules", []byte(strings.Join(order, "\n")+"\n"), 0o644)
}

func moduleName(file string) string {
	n, _, _ := strings.Cut(filepath.Base(file), ".ko")
	return strings.ReplaceAll(n, "-", "_")
}
