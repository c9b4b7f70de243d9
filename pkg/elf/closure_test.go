package elf

import (
	"bufio"
	"bytes"
	delf "debug/elf"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// spec describes a minimal ELF file with a dynamic section.
type spec struct {
	machine delf.Machine // 0 is x86-64
	interp  string
	needed  []string
	soname  string
	rpath   string
	runpath string
}

func (s spec) bytes() []byte {
	const base = 64 + 3*56
	strs := []byte{0}
	var dyn []uint64
	add := func(tag delf.DynTag, v string) {
		dyn = append(dyn, uint64(tag), uint64(len(strs)))
		strs = append(append(strs, v...), 0)
	}
	for _, n := range s.needed {
		add(delf.DT_NEEDED, n)
	}
	for tag, v := range map[delf.DynTag]string{delf.DT_SONAME: s.soname, delf.DT_RPATH: s.rpath, delf.DT_RUNPATH: s.runpath} {
		if v != "" {
			add(tag, v)
		}
	}
	interp := append([]byte(s.interp), 0)
	strsAt := uint64(base + len(interp))
	dynAt := strsAt + uint64(len(strs))
	dyn = append(dyn, uint64(delf.DT_STRTAB), strsAt, uint64(delf.DT_STRSZ), uint64(len(strs)), 0, 0)
	end := dynAt + uint64(8*len(dyn))
	if s.machine == 0 {
		s.machine = delf.EM_X86_64
	}
	var b bytes.Buffer
	w := func(v any) { _ = binary.Write(&b, binary.LittleEndian, v) }
	h := delf.Header64{Type: uint16(delf.ET_DYN), Machine: uint16(s.machine), Version: 1, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 3}
	copy(h.Ident[:], "\x7fELF\x02\x01\x01")
	w(h)
	w(delf.Prog64{Type: uint32(delf.PT_LOAD), Filesz: end, Memsz: end})
	w(delf.Prog64{Type: uint32(delf.PT_DYNAMIC), Off: dynAt, Vaddr: dynAt, Filesz: end - dynAt})
	if s.interp != "" {
		w(delf.Prog64{Type: uint32(delf.PT_INTERP), Off: base, Filesz: uint64(len(interp))})
	} else {
		w(delf.Prog64{})
	}
	b.Write(interp)
	b.Write(strs)
	w(dyn)
	return b.Bytes()
}

// host is a small system with a merged /usr, like Debian.
func host(extra map[string]any) fstest.MapFS {
	const ld = "/lib64/ld-linux-x86-64.so.2"
	all := map[string]any{
		"bin": "->usr/bin", "lib": "->usr/lib", "lib64": "->usr/lib64",
		"usr/lib64/ld-linux-x86-64.so.2":         "->/lib/x86_64-linux-gnu/ld-2.36.so",
		"usr/lib/x86_64-linux-gnu/ld-2.36.so":    spec{soname: "ld-linux-x86-64.so.2"},
		"usr/lib/x86_64-linux-gnu/libc.so.6":     spec{soname: "libc.so.6", needed: []string{"ld-linux-x86-64.so.2"}},
		"usr/lib/x86_64-linux-gnu/libext.so.2":   "->libext.so.2.4",
		"usr/lib/x86_64-linux-gnu/libext.so.2.4": spec{soname: "libext.so.2", needed: []string{"libc.so.6"}},
		"usr/lib/i386-linux-gnu/libonly32.so.1":  spec{machine: delf.EM_386},
		"etc/ld.so.conf":                         "include /etc/ld.so.conf.d/*.conf # more\n/opt/lib\n",
		"etc/ld.so.conf.d/i386.conf":             "/lib/i386-linux-gnu\n",
		"etc/ld.so.conf.d/x86.conf":              "# c\n/usr/local/lib\n/lib/x86_64-linux-gnu\n",
		"opt/lib/libopt.so.1":                    spec{soname: "libopt.so.1"},
		"usr/bin/tool":                           spec{interp: ld, needed: []string{"libext.so.2", "libc.so.6"}},
		"usr/bin/static":                         spec{},
		"usr/bin/sh":                             "->tool",
		"usr/bin/script":                         "#!/bin/sh -e\n",
		"usr/bin/env":                            spec{interp: ld, needed: []string{"libc.so.6"}},
		"usr/bin/python":                         "#! /usr/bin/env -S A=1 tool\n",
		"usr/bin/selfish":                        "#!/usr/bin/selfish\n",
		"usr/bin/text":                           "hello",
		"usr/bin/optional":                       spec{interp: ld, needed: []string{"libopt.so.1"}},
		"usr/bin/broken":                         spec{interp: ld, needed: []string{"libext.so.2", "libgone.so.9"}},
		"usr/bin/wrong":                          spec{interp: ld, needed: []string{"libonly32.so.1"}},
		"usr/bin/noloader":                       spec{interp: "/lib/ld-none.so", needed: nil},
		"app/bin/app":                            spec{interp: ld, needed: []string{"libapp.so"}, runpath: "$ORIGIN/../lib"},
		"app/lib/libapp.so":                      spec{needed: []string{"libdeep.so"}},
		"app/lib/libdeep.so":                     spec{},
		"app/bin/old":                            spec{interp: ld, needed: []string{"libapp.so"}, rpath: "/app/${LIB}"},
		"usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libext.so.2": spec{},
		"usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libfast.so":  spec{},
		"usr/bin/fast":  spec{interp: ld, needed: []string{"libfast.so"}},
		"loop":          "->loop",
		"usr/bin/climb": "->../../../../bin/static",
	}
	for k, v := range extra {
		all[k] = v
	}
	m := fstest.MapFS{}
	for name, v := range all {
		switch v := v.(type) {
		case spec:
			m[name] = &fstest.MapFile{Data: v.bytes(), Mode: 0o755}
		case string:
			if target, ok := strings.CutPrefix(v, "->"); ok {
				m[name] = &fstest.MapFile{Data: []byte(target), Mode: fs.ModeSymlink | 0o777}
			} else {
				m[name] = &fstest.MapFile{Data: []byte(v), Mode: 0o755}
			}
		}
	}
	return m
}

func show(files []File) []string {
	var s []string
	for _, f := range files {
		line := f.Path
		if f.Link != "" {
			line += " -> " + f.Link
		}
		if f.SearchDir != "" {
			line += " in " + f.SearchDir
		}
		s = append(s, line)
	}
	return s
}

func TestClosure(t *testing.T) {
	libc := []string{
		"/lib -> usr/lib", "/lib64 -> usr/lib64", "/usr/lib/x86_64-linux-gnu/ld-2.36.so",
		"/usr/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib64/ld-linux-x86-64.so.2 -> /lib/x86_64-linux-gnu/ld-2.36.so",
	}
	loader := []string{libc[0], libc[1], libc[2], libc[4]}
	ext := append([]string{"/usr/lib/x86_64-linux-gnu/libext.so.2 -> libext.so.2.4", "/usr/lib/x86_64-linux-gnu/libext.so.2.4"}, libc...)
	cases := []struct {
		tool   string
		dlopen []string
		want   []string
	}{
		{"/usr/bin/tool", nil, append([]string{"/usr/bin/tool"}, ext...)},
		{"bin/tool", nil, append([]string{"/bin -> usr/bin", "/usr/bin/tool"}, ext...)},
		{"/usr/bin/static", nil, []string{"/usr/bin/static"}},
		{"/usr/bin/climb", nil, []string{"/usr/bin/climb -> ../../../../bin/static", "/bin -> usr/bin", "/usr/bin/static"}},
		{"/usr/bin/script", nil, append([]string{"/bin -> usr/bin", "/usr/bin/script", "/usr/bin/sh -> tool", "/usr/bin/tool"}, ext...)},
		{"/usr/bin/python", nil, append([]string{"/usr/bin/env", "/usr/bin/python", "/usr/bin/tool"}, ext...)},
		{"/usr/bin/optional", nil, append([]string{"/usr/bin/optional", "/opt/lib/libopt.so.1 in /opt/lib"}, loader...)},
		{"/usr/bin/fast", nil, append([]string{"/usr/bin/fast", "/usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libfast.so"}, loader...)},
		{"/app/bin/old", nil, append([]string{"/app/bin/old", "/app/lib/libapp.so", "/app/lib/libdeep.so"}, loader...)},
		{"/usr/bin/env", []string{"libext.so.2"}, append([]string{"/usr/bin/env"}, ext...)},
		{"/usr/bin/env", []string{"/opt/lib/libopt.so.1"}, append([]string{"/usr/bin/env", "/opt/lib/libopt.so.1"}, libc...)},
	}
	for _, c := range cases {
		t.Run(c.tool, func(t *testing.T) {
			files, err := Closure(host(nil), []string{c.tool}, c.dlopen)
			if err != nil {
				t.Fatal(err)
			}
			got := show(files)
			slices.Sort(got)
			slices.Sort(c.want)
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
			for _, f := range files {
				if f.Why == "" {
					t.Errorf("%s: no reason", f.Path)
				}
			}
		})
	}
}

func TestClosureRefuses(t *testing.T) {
	for tool, want := range map[string]string{
		"/usr/bin/broken":   "tool /usr/bin/broken: library libgone.so.9, needed by /usr/bin/broken: not found in /lib/i386-linux-gnu:/usr/local/lib:/lib/x86_64-linux-gnu:/opt/lib:/usr/lib/x86_64-linux-gnu:/lib64:/usr/lib64:/lib:/usr/lib",
		"/usr/bin/wrong":    "/lib/i386-linux-gnu/libonly32.so.1 is for EM_386",
		"/usr/bin/noloader": "tool /usr/bin/noloader: loader /lib/ld-none.so: ",
		"/usr/bin/none":     "tool /usr/bin/none: ",
		"/usr/bin/text":     "neither an ELF file nor a script",
		"/usr/bin/selfish":  "more than 4 nested scripts",
		"/usr/bin":          "not a regular file",
		"/loop":             "too many symbolic links",
		"/usr/bin/tool/x":   "not a directory",
		// DT_RUNPATH does not apply to the dependencies of the library.
		"/app/bin/app": "library libdeep.so, needed by /app/lib/libapp.so: not found",
	} {
		files, err := Closure(host(nil), []string{tool}, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v; want an error with %q", tool, show(files), err, want)
		}
	}
	if _, err := Closure(host(nil), []string{"/usr/bin/none"}, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v is not fs.ErrNotExist", err)
	}
	var missing *MissingError
	if _, err := Closure(host(nil), []string{"/usr/bin/tool"}, []string{"libnone.so"}); !errors.As(err, &missing) {
		t.Errorf("%v is no MissingError", err)
	}
}

// Closure must agree with what the loader really does on this machine.
func TestLddOracle(t *testing.T) {
	if _, err := exec.LookPath("ldd"); err != nil {
		t.Skipf("SKIPPED, the oracle is not there: %v", err)
	}
	root, err := os.OpenRoot("/")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	fsys, ok := root.FS().(fs.ReadLinkFS)
	if !ok {
		t.Fatal("os.Root's FS reads no links")
	}
	compared := 0
	for _, name := range []string{"mke2fs", "e2fsck", "mdadm", "bash", "cryptsetup", "lvm", "python3", "git", "systemctl", "qemu-system-x86_64", "perl"} {
		tool, err := exec.LookPath(name)
		if err != nil {
			t.Logf("SKIPPED %s: %v", name, err)
			continue
		}
		out, err := exec.Command("ldd", tool).Output()
		if err != nil {
			t.Logf("SKIPPED %s: ldd: %v", name, err)
			continue
		}
		want := map[string]bool{realpath(t, tool): true}
		for sc := bufio.NewScanner(bytes.NewReader(out)); sc.Scan(); {
			for _, w := range strings.Fields(sc.Text()) {
				if strings.HasPrefix(w, "/") {
					want[realpath(t, w)] = true
				}
			}
		}
		files, err := Closure(fsys, []string{tool}, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := map[string]bool{}
		for _, f := range files {
			if f.Link == "" {
				got[f.Path] = true
			} else if target, err := os.Readlink(f.Path); err != nil || target != f.Link {
				t.Errorf("%s: %s -> %s; the host has %s, %v", name, f.Path, f.Link, target, err)
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: -ldd +ours:\n%s", name, d)
		}
		compared++
	}
	if compared == 0 {
		t.Skip("SKIPPED: no tool to compare")
	}
}

// The closure suffices: copied to another root, the tool runs with nothing else.
func TestChrootOracle(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: chroot needs root")
	}
	for _, argv := range [][]string{{"/sbin/mke2fs", "-V"}, {"/sbin/mdadm", "--version"}, {"/sbin/cryptsetup", "--version"}} {
		t.Run(argv[0], func(t *testing.T) {
			if _, err := os.Stat(argv[0]); err != nil {
				t.Skipf("SKIPPED: %v", err)
			}
			fsys := os.DirFS("/").(fs.ReadLinkFS) //nolint:errcheck // os.DirFS says it is one
			files, err := Closure(fsys, argv[:1], nil)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			for _, f := range files {
				to := filepath.Join(dir, f.Path)
				if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
					t.Fatal(err)
				}
				if f.Link != "" {
					err = os.Symlink(f.Link, to)
				} else {
					var data []byte
					if data, err = os.ReadFile(f.Path); err == nil {
						err = os.WriteFile(to, data, 0o755)
					}
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.Command("chroot", append([]string{dir}, argv...)...)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

func realpath(t *testing.T, p string) string {
	t.Helper()
	path, err := filepath.EvalSymlinks(p)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func FuzzObject(f *testing.F) {
	f.Add(spec{interp: "/lib64/ld.so", needed: []string{"liba.so", "libb.so"}, soname: "x", runpath: "$ORIGIN:/y"}.bytes())
	f.Add(spec{rpath: "/app/${LIB}"}.bytes()[:150])
	f.Add([]byte("#!/bin/sh"))
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := parseObject(bytes.NewReader(b))
		if err == nil && len(o.needed) > maxNeeded {
			t.Fatal("bound on names does not hold")
		}
		_, _ = Closure(host(map[string]any{"usr/bin/fuzz": string(b), "usr/lib/liba.so": string(b), "etc/ld.so.conf": string(b)}), []string{"/usr/bin/fuzz"}, nil)
	})
}
