package kmod

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func tiny(t testing.TB, conf string) *Index {
	t.Helper()
	c := &Config{}
	if err := c.parse("t.conf", []byte(conf)); err != nil {
		t.Fatal(err)
	}
	x, err := NewIndex(os.DirFS("testdata/tiny"), c)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestResolve(t *testing.T) {
	cases := []struct {
		ask  string
		conf string
		want string
	}{
		{ask: "raid1", want: "md_mod raid1"},
		{ask: "md-mod raid1 md_mod", want: "md_mod raid1"},
		{ask: "md-level-5", want: "libcrc32c xor raid6_pq md_mod async_tx async_xor async_pq raid456"},
		{ask: "btrfs", want: "blake2b_generic xxhash_generic libcrc32c xor raid6_pq btrfs"},
		{ask: "pci:v00008086d00002922sv00001AF4sd00001100bc01sc06i01", want: "libahci ahci"},
		{ask: "virtio:d00000002v00001AF4", want: "virtio_blk"},
		{ask: "ext4 fs-ext4 loop block-major-7-12", want: ""},
		{ask: "front", want: "front back"},
		{ask: "back", want: "front back"},
		{ask: "raid1", conf: "softdep raid1 pre: virtio-blk nonexistent post: ahci", want: "virtio_blk md_mod raid1 libahci ahci"},
		{ask: "virtio:d00000002v1", conf: "blacklist virtio-blk", want: ""},
		{ask: "virtio-blk", conf: "blacklist virtio-blk", want: "virtio_blk"},
		{ask: "disk", conf: "alias disk virtio-blk", want: "virtio_blk"},
		{ask: "virtio:d00000002v1", conf: "install virtio_blk /bin/true", want: ""},
		{ask: "btrfs", conf: "install xxhash_generic /bin/false", want: "blake2b_generic libcrc32c xor raid6_pq btrfs"},
	}
	for _, c := range cases {
		t.Run(c.ask+" "+c.conf, func(t *testing.T) {
			got, err := tiny(t, c.conf).Resolve(strings.Fields(c.ask)...)
			if err != nil {
				t.Fatal(err)
			}
			var n []string
			for _, m := range got {
				n = append(n, m.Name)
			}
			if s := strings.Join(n, " "); s != c.want {
				t.Errorf("Resolve(%s) = %s, want %s", c.ask, s, c.want)
			}
		})
	}
}

func TestResolveRefuses(t *testing.T) {
	cases := []struct{ ask, conf, cmdline, want string }{
		{ask: "nonesuch", want: "module nonesuch: not found"},
		{ask: "needy", want: "module gone: not found, and needy depends on it"},
		{ask: "a", want: "cycle a -> b -> a"},
		{ask: "raid1", conf: "softdep md_mod pre: raid1", want: "cycle raid1 -> md_mod -> raid1"},
		{ask: "raid1", cmdline: "quiet module_blacklist=foo,raid1", want: "forbidden by module_blacklist=foo,raid1"},
		{ask: "raid1", cmdline: "rd.driver.blacklist=md-mod", want: "module md_mod (raid1 depends on it): forbidden"},
		{ask: "raid1", conf: "\ninstall raid1 /sbin/modprobe -i raid1; echo", want: "t.conf:2: install raid1 /sbin/modprobe -i raid1; echo"},
		{ask: "pci:v1", want: "module pci:v1: not found"},
	}
	for _, c := range cases {
		t.Run(c.ask+" "+c.conf+c.cmdline, func(t *testing.T) {
			x := tiny(t, c.conf)
			x.conf.Cmdline(strings.Fields(c.cmdline))
			got, err := x.Resolve(c.ask)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Resolve(%s) = %v, %v; want an error with %q", c.ask, got, err, c.want)
			}
		})
	}
	var missing *MissingError
	if _, err := tiny(t, "").Resolve("needy"); !errors.As(err, &missing) || missing.By != "needy" {
		t.Errorf("error is %#v, want a MissingError", err)
	}
}

func TestPathsAndOptions(t *testing.T) {
	x := tiny(t, "options raid1  foo=1\noptions raid1 bar=\"a  b\" \\\n baz")
	x.conf.Cmdline([]string{"root=/dev/md0", "raid1.max=3", "md-mod.start_ro=1", "raid1.flag", "raid1.s=x y"})
	order, err := x.Resolve("raid1")
	var paths []string
	for _, m := range order {
		paths = append(paths, m.Path)
	}
	if d := cmp.Diff([]string{"kernel/drivers/md/md-mod.ko.xz", "kernel/drivers/md/raid1.ko.xz"}, paths); d != "" || err != nil {
		t.Errorf("Resolve: %v\n%s", err, d)
	}
	if got, want := x.Options("raid1"), `foo=1 bar="a  b"  baz max=3 flag s="x y"`; got != want {
		t.Errorf("options of raid1 are %s, want %s", got, want)
	}
	soft, err := x.Resolve("btrfs", "xxhash_generic")
	var softly []string
	for _, m := range soft {
		if m.Soft {
			softly = append(softly, m.Name)
		}
	}
	if d := cmp.Diff([]string{"blake2b_generic"}, softly); d != "" || err != nil {
		t.Errorf("soft modules: %v\n%s", err, d)
	}
	want := Module{Name: "md_mod", Path: "kernel/drivers/md/md-mod.ko.xz", Options: "start_ro=1", Why: "needed by raid1"}
	if d := cmp.Diff(want, order[0]); d != "" {
		t.Error(d)
	}
}

func TestReadConfig(t *testing.T) {
	c, err := ReadConfig(fstest.MapFS{
		"etc/modprobe.d/b.conf":     {Data: []byte("options m from=etc\n# note\nblacklist x-y\nnonsense\nalias short\n")},
		"lib/modprobe.d/b.conf":     {Data: []byte("options m from=lib")},
		"usr/lib/modprobe.d/a.conf": {Data: []byte("options m first=1\nsoftdep m pre: a b post: c\n")},
		"etc/modprobe.d/README":     {Data: []byte("not read")},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		Options:   map[string][]string{"m": {"first=1", "from=etc"}},
		SoftDeps:  []SoftDep{{Module: "m", Pre: []string{"a", "b"}, Post: []string{"c"}}},
		Blacklist: map[string]string{"x_y": "etc/modprobe.d/b.conf:3"},
		Ignored:   []string{"etc/modprobe.d/b.conf:4: nonsense", "etc/modprobe.d/b.conf:5: alias short"},
	}
	if d := cmp.Diff(want, c); d != "" {
		t.Error(d)
	}
}

// Lines are joined as in kmod: nothing comes between them, and a backslash before anything else is only removed.
func TestContinuedLines(t *testing.T) {
	c := &Config{}
	const text = "options m list=1,\\\n2,\\\n3 path=a\\b\noptions n\\\n x=1 \\\n\n# note \\\noptions hidden y=1\nblacklist last\\"
	if err := c.parse("t.conf", []byte(text)); err != nil {
		t.Fatal(err)
	}
	want := &Config{
		Options:   map[string][]string{"m": {"list=1,2,3 path=ab"}, "n": {"x=1"}},
		Blacklist: map[string]string{"last": "t.conf:9"},
	}
	if d := cmp.Diff(want, c); d != "" {
		t.Error(d)
	}
	// Two million continuations: quadratic time would take minutes here.
	if err := (&Config{}).parse("t.conf", []byte(strings.Repeat("\\\n", 2<<20))); err != nil {
		t.Error(err)
	}
	if err := (&Config{}).parse("t.conf", []byte(strings.Repeat("x\\\n", 1<<20+1))); !errors.Is(err, bufio.ErrTooLong) {
		t.Errorf("a line of more than 1 MiB: %v", err)
	}
}

// modprobe shows how it reads the same lines.
func TestConfigOracle(t *testing.T) {
	if _, err := exec.LookPath("modprobe"); err != nil {
		t.Skipf("SKIPPED, the oracle is not there: %v", err)
	}
	const text = "options m-a list=1,\\\n2,\\\n3 path=a\\b \"q  q\"\noptions n\\\n  x=1 \\\n\n# note \\\noptions hidden y=1\nblack\\\nlist x-y\n" +
		"softdep s pre: a b\nsoftdep p post: c\nalias net-[a-f]-* m-a\ninstall i /bin/echo\\\n $x \n"
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "t.conf"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("modprobe", "-C", dir, "-d", dir, "-S", "none", "-c").Output()
	if len(out) == 0 {
		t.Fatalf("modprobe -c: %v", err)
	}
	c := &Config{}
	if err := c.parse("t.conf", []byte(text)); err != nil {
		t.Fatal(err)
	}
	var ours []string
	for m, o := range c.Options {
		ours = append(ours, "options "+m+" "+strings.Join(o, " "))
	}
	for m := range c.Blacklist {
		ours = append(ours, "blacklist "+m)
	}
	for _, d := range c.SoftDeps {
		for kind, list := range map[string][]string{" pre: ": d.Pre, " post: ": d.Post} {
			if list != nil {
				ours = append(ours, "softdep "+d.Module+kind+strings.Join(list, " "))
			}
		}
	}
	for _, a := range c.Aliases {
		ours = append(ours, "alias "+a.Pattern+" "+a.Module)
	}
	for _, i := range c.Installs {
		ours = append(ours, "install "+i.Module+" "+i.Command)
	}
	want := map[string]bool{}
	for l := range strings.Lines(string(out)) {
		want[strings.Join(strings.Fields(l), " ")] = true // it also prints lines from the kernel's own command line
	}
	for _, o := range ours {
		if !want[strings.Join(strings.Fields(o), " ")] {
			t.Errorf("%q is not among\n%s", o, out)
		}
	}
	if len(ours) != 7 || want["options hidden y=1"] {
		t.Errorf("%q of\n%s", ours, out)
	}
}

// Like modprobe, ReadConfig skips hidden files, directories and dangling links. None of them hides a file elsewhere.
func TestReadConfigPassesOver(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"etc/modprobe.d/.hidden.conf": "blacklist a\n", "etc/modprobe.d/dir.conf/x": "", "usr/lib/modprobe.d/dir.conf": "blacklist b\n",
		"usr/lib/modprobe.d/gone.conf": "blacklist c\n", "usr/lib/modprobe.d/masked.conf": "blacklist d\n",
	} {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{"gone.conf": "nowhere", "masked.conf": os.DevNull} {
		if err := os.Symlink(target, filepath.Join(root, "etc/modprobe.d", name)); err != nil {
			t.Fatal(err)
		}
	}
	c, err := ReadConfig(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"b": "usr/lib/modprobe.d/dir.conf:1", "c": "usr/lib/modprobe.d/gone.conf:1"}
	if d := cmp.Diff(want, c.Blacklist); d != "" {
		t.Error(d)
	}
}

func TestNewIndexRefuses(t *testing.T) {
	for want, fsys := range map[string]fstest.MapFS{
		"depmod":       {},
		"no colon":     {"modules.dep": {Data: []byte("kernel/a.ko")}},
		"leads out":    {"modules.dep": {Data: []byte("../../etc/a.ko:")}},
		"not an alias": {"modules.dep": {}, "modules.alias": {Data: []byte("alias onlyone")}},
	} {
		if _, err := NewIndex(fsys, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want one with %q", err, want)
		}
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, alias string
		want           bool
	}{
		{"", "", true}, {"", "a", false}, {"a", "", false}, {"*", "", true}, {"*", "abc", true},
		{"a*c", "abbc", true}, {"a*c", "abcd", false}, {"a*b*c", "axbxbc", true}, {"a?c", "abc", true}, {"a?c", "ac", false},
		{"usb:v0[1-3]*", "usb:v02p", true}, {"usb:v0[1-3]*", "usb:v04p", false}, {"[!a]b", "xb", true}, {"[!a]b", "ab", false},
		{"[]a]", "]", true}, {"[]a]", "a", true}, {"[a-]", "-", true}, {"[a", "[a", true}, {`\*`, "*", true}, {`\*`, "x", false},
		{"pci:v*d*sv*sd*bc01sc06i01*", "pci:v00008086d00002922sv0sd1bc01sc06i01", true},
		{strings.Repeat("a*", 40) + "b", strings.Repeat("a", 5000), false},
	} {
		if got := match(c.pattern, c.alias); got != c.want {
			t.Errorf("Match(%q, %q) = %v", c.pattern, c.alias, got)
		}
	}
}

func TestName(t *testing.T) {
	for in, want := range map[string]string{
		"kernel/drivers/md/md-mod.ko.zst": "md_mod", "snd-hda-intel": "snd_hda_intel", "x.ko": "x", "a.ko.gz": "a", "ko": "ko",
	} {
		if got := Name(in); got != want {
			t.Errorf("Name(%s) = %s, want %s", in, got, want)
		}
	}
}

// modulesRoot returns a root with depmod's binary indexes: an unpacked kernel package in MIGRATE_INIT_MODULES_ROOT, the
// host, or the Debian that the QEMU scenarios unpacked.
func modulesRoot(t *testing.T) (root, release string) {
	t.Helper()
	if _, err := exec.LookPath("modprobe"); err != nil {
		t.Skipf("SKIPPED, the oracle is not there: %v", err)
	}
	roots := []string{os.Getenv("MIGRATE_INIT_MODULES_ROOT")}
	if roots[0] == "" {
		made, _ := filepath.Glob("../../.cache/root-*.tree")
		roots = append([]string{"/"}, made...)
	}
	for _, root := range roots {
		root, err := filepath.Abs(root)
		if err != nil {
			t.Fatal(err)
		}
		if found, _ := filepath.Glob(filepath.Join(root, "lib/modules/*/modules.dep.bin")); len(found) > 0 {
			return root, filepath.Base(filepath.Dir(found[0]))
		}
	}
	t.Skipf("SKIPPED: no modules.dep.bin below lib/modules of %v", roots)
	return "", ""
}

// Resolve and modprobe must agree on every module of a real kernel.
func TestModprobeOracle(t *testing.T) {
	root, release := modulesRoot(t)
	x, err := NewIndex(os.DirFS(filepath.Join(root, "lib/modules", release)), nil)
	if err != nil {
		t.Fatal(err)
	}
	repeated := map[string]int{}
	if soft, err := os.ReadFile(filepath.Join(root, "lib/modules", release, "modules.softdep")); err == nil {
		_ = lines("modules.softdep", soft, func(_ int, s string) error {
			repeated[Name(strings.Fields(s)[1])]++
			return nil
		})
	}
	ask := []string{"md-level-1", "fs-btrfs", "fs-xfs", "fs-ext4", "crypto-crc32c", "virtio:d00000002v00001AF4", "pci:v00008086d00002922sv00001AF4sd00001100bc01sc06i01"}
	for name := range x.modules {
		ask = append(ask, name)
	}
	slices.Sort(ask[7:])
	if os.Getenv("MIGRATE_INIT_MODULES_ROOT") == "" && len(ask) > 600 {
		ask = ask[:600] // each takes a process
	}
	for _, name := range ask {
		cmd := exec.Command("modprobe", "-d", root, "-S", release, "-C", os.DevNull, "--show-depends", "-q", name)
		out, err := cmd.Output()
		var want []string
		for sc := bufio.NewScanner(bytes.NewReader(out)); sc.Scan(); {
			f := strings.Fields(sc.Text())
			if len(f) >= 2 && f[0] == "insmod" {
				if n := Name(path.Base(f[1])); !slices.Contains(want, n) {
					want = append(want, n)
				}
			}
		}
		mods, ours := x.Resolve(name)
		if (err != nil) != (ours != nil) {
			t.Errorf("%s: modprobe says %v, we say %v", name, err, ours)
			continue
		}
		var got []string
		for _, m := range mods {
			got = append(got, m.Name)
		}
		// modprobe uses only the first softdep line of a module, Resolve all of them.
		if slices.ContainsFunc(got, func(m string) bool { return repeated[m] > 1 }) {
			for _, w := range want {
				if !slices.Contains(got, w) {
					t.Errorf("%s: modprobe loads %s, we do not", name, w)
				}
			}
			continue
		}
		slices.Sort(got)
		slices.Sort(want)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: files to load (-modprobe +ours):\n%s", name, d)
		}
	}
	t.Logf("%d names compared with modprobe on %s", len(ask), release)
}

func mapFS(files map[string]string) fstest.MapFS {
	m := fstest.MapFS{}
	for name, text := range files {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return m
}
