package pkg

import (
	"bytes"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "migrate-init"

// room is a row of the law. A directory belongs to the room with the longest path that it starts with.
type room struct {
	path string
	verb string
	may  []string // rooms of ours that it may import; its own subdirectories always
	test []string // rooms that its tests may import beyond those
	why  string
	pass pass
}

// pass lists what a room may do that others may not.
type pass struct {
	anyRoom bool // import every room but the test room
	exec    bool // os/exec, os.StartProcess
	syscall bool // syscall, golang.org/x/sys
	write   bool // change files by package os
	print   bool // fmt.Print, Printf, Println
	test    bool // part of the tests: sleeping and large imports are its own affair
}

// exemption lets one file do what its room may not. An exemption that no file needs is an error.
type exemption struct {
	file, may, why string // may is a room to import, or files, to change them
}

func exemptions() []exemption {
	const direct = "it boots by hand, without a boot loader that could write, what `schedule` would have armed: the kernel, image and command line of the plan"
	return []exemption{
		{"qemu-tests/raid1_zero_test.go", "pkg/plan", direct},
		{"qemu-tests/raid1_zero_test.go", "pkg/stage", direct},
		{"pkg/copy/state.go", files, "the state of a copy into a directory of a running system, which the engine appends to as it goes"},
	}
}

// rooms is the house as a table: a room tells, decides, looks, does or spells, and its row says what it may know of the
// others. A new room is a new row. Tests may import what their room may and the test rooms of pkg, and run programs as
// their judges.
func rooms() []room {
	spelling := []string{"pkg/md", "pkg/lvm", "pkg/luks", "pkg/zfs", "pkg/gpt", "pkg/probe", "pkg/fstab", "pkg/conf", "pkg/kmod", "pkg/elf", "pkg/mkfs"}
	const spells = "a spelling room turns bytes into values and back; what it needs from another room comes as an argument"
	judges := map[string][]string{
		"pkg/mkfs": {"pkg/probe"}, // sees whether what was made is what was asked for
		"pkg/lvm":  {"pkg/probe"}, // reads a label by its own code, and must see the same PV
	}
	var out []room
	for _, s := range append([]string{"boot", "cpio"}, spelling...) {
		out = append(out, room{path: s, verb: "spell", may: []string{"pkg/rootfs"}, test: judges[s], why: spells})
	}
	// Whoever looks into a root resolves paths in it, and there must be one answer to where a path leads.
	out = append(out, room{path: "pkg/rootfs", verb: "spell", why: "everything that meets a root stands on it, so it stands on nothing"})
	return append(out,
		room{path: "pkg", verb: "map", why: "it is the map and holds no code"},
		// A test compares the facts that others start from with a look at the made-up machine, by the program's own rows.
		room{path: "pkg/plan", verb: "decide", test: []string{"pkg/survey", "pkg/distro", "pkg/loader"}, why: "what decides knows no format and no machine, so that every decision is a pure function"},
		room{path: "pkg/survey", verb: "look", may: append([]string{"pkg/plan", "boot", "pkg/rootfs"}, spelling...), why: "what looks must not be able to change anything"},
		room{path: "pkg/stage", verb: "do, in order", may: append([]string{"pkg/plan", "pkg/survey", "pkg/machine", "pkg/copy", "pkg/tree", "pkg/extent", "pkg/distro", "pkg/loader", "pkg/rootfs", "boot", "cpio"}, spelling...),
			why: "stages act through machine and neither build images nor talk"},
		room{path: "pkg/machine", verb: "do, one verb", may: []string{"pkg/rootfs"}, pass: pass{exec: true, syscall: true, write: true}, why: "a verb of the machine knows nothing about migrations"},
		room{path: "pkg/copy", verb: "do, in bulk", may: []string{"pkg/machine", "pkg/tree", "pkg/extent", "pkg/crew"},
			why: "a copy is two sides, an engine and its checkpoints; which filesystems, and when, its two callers decide. It writes nothing itself but the state of a copy in a running system (state.go)"},
		room{path: "pkg/tree", verb: "do, in bulk", may: []string{"pkg/crew", "pkg/pace"}, pass: pass{syscall: true, write: true}, why: "the copy engines stand alone: `copy` and the benchmark use them without a plan"},
		room{path: "pkg/extent", verb: "do, in bulk", may: []string{"pkg/crew", "pkg/pace"}, pass: pass{syscall: true, write: true}, why: "the copy engines stand alone: `copy` and the benchmark use them without a plan"},
		room{path: "pkg/pace", verb: "do, in bulk", why: "a rate and a time left are arithmetic, and there must be one way to do it"},
		room{path: "pkg/crew", verb: "do, together", why: "goroutines that end in order are all that it knows"},
		room{path: "pkg/testns", verb: "prove", pass: pass{exec: true, syscall: true, test: true}, why: "only tests import it"},
		room{path: "pkg/sim", verb: "prove", may: append([]string{"pkg/plan", "pkg/survey", "pkg/machine", "pkg/tree", "boot", "cpio"}, spelling...), pass: pass{test: true},
			why: "only tests import it; theirs import the stages, the images and the program, so that it must not"},
		room{path: "pkg/distro", verb: "do, in a chroot", may: []string{"pkg/plan", "pkg/machine", "pkg/rootfs", "boot", "pkg/conf"}, why: "a family is argv, files and questions for a plan, and reads its own settings, nothing else"},
		room{path: "pkg/loader", verb: "do, boot loaders", may: append([]string{"pkg/plan", "pkg/machine", "pkg/rootfs", "boot"}, spelling...),
			why: "a boot loader is effects and proofs for a plan; what carries them out does not know which one it is"},
		room{path: "pkg/image", verb: "build", may: []string{"pkg/plan", "cpio", "pkg/kmod", "pkg/elf", "pkg/mkfs", "pkg/rootfs"}, why: "an image is plan and host files, the same bytes every time"},
		room{path: "pkg/pid1", verb: "tell and do", may: []string{"pkg/stage", "pkg/plan", "pkg/machine", "boot"}, test: []string{"pkg/copy"},
			why: "PID 1 is a process with consoles and a policy; the work is done by the stages of the mode that it runs"},
		room{path: "pkg/cut", verb: "prove", may: []string{"pkg/machine"}, why: "it is a machine that loses its power; only a test build of cmd imports it"},
		room{path: "cmd", verb: "tell", pass: pass{anyRoom: true, print: true}, why: "it wires the rooms; the test room is not one of them"},
		room{path: "qemu-tests", verb: "prove", may: append([]string{"boot", "cpio"}, spelling...), pass: pass{exec: true, syscall: true, print: true, test: true},
			why: "it drives the binary as a user would; it may read formats, but never calls what decides or does"},
		room{path: "qemu-tests/bench", verb: "prove", test: []string{"pkg/tree", "pkg/extent"}, pass: pass{exec: true, syscall: true, print: true, test: true},
			why: "it measures; only its driver calls the engines, to measure them without the program around"},
		room{path: "qemu-tests/mdguest", verb: "prove", test: []string{"pkg/machine", "pkg/md"}, pass: pass{exec: true, syscall: true, print: true, test: true},
			why: "Go tests inside a VM: pkg/md's superblocks, and machine's way to start them, before the kernel and mdadm"},
		room{path: "pkg/fixtures", verb: "prove", pass: pass{test: true}, why: "only tests import it"},
	)
}

func roomOf(dir string) *room {
	var best *room
	for _, r := range rooms() {
		// pkg is a room only for itself: what lies below must have a row.
		if dir == r.path || r.path != "pkg" && strings.HasPrefix(dir, r.path+"/") {
			if best == nil || len(r.path) > len(best.path) {
				best = &r
			}
		}
	}
	return best
}

// TestRooms reads every Go file of the module, whatever its build tags, and fails with the law that it breaks.
func TestRooms(t *testing.T) {
	root := ".."
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil || !bytes.HasPrefix(mod, []byte("module "+module+"\n")) {
		t.Fatalf("go.mod: not that of module %s (%v)", module, err)
	}
	seen, used := map[string]bool{}, map[exemption]bool{}
	var all []string
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && p != root && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" || name == "vendor") {
			return filepath.SkipDir
		}
		if d.IsDir() || path.Ext(p) != ".go" {
			return nil
		}
		src, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		all = append(all, name)
		if r := roomOf(path.Dir(name)); r != nil {
			seen[r.path] = true
		}
		j := judge(t, name, src)
		for _, o := range j.out {
			t.Errorf("%s", o)
		}
		for _, e := range j.used {
			used[e] = true
		}
		if n := bytes.Count(src, []byte("\n")); n > 400 {
			t.Logf("%s: %d lines; above 400 look again whether it is one thing", name, n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range exemptions() {
		if !used[e] {
			t.Errorf("exemption of %s for %s: nothing needs it any more; remove it", e.file, e.may)
		}
	}
	for name := range allowed() {
		if !slices.Contains(all, name) {
			t.Errorf("%s is not there any more: remove its line from pkg/law_names_test.go", name)
		}
	}
	// A walk that finds nothing would pass forever.
	for _, want := range []string{"cmd", "boot", "cpio", "pkg", "pkg/plan", "pkg/stage", "pkg/machine", "pkg/md"} {
		if !seen[want] {
			t.Errorf("room %s: no Go file was read", want)
		}
	}
}

// TestLawIsConsistent keeps the table itself honest.
func TestLawIsConsistent(t *testing.T) {
	var paths []string
	for _, r := range rooms() {
		if slices.Contains(paths, r.path) {
			t.Errorf("room %s: two rows", r.path)
		}
		if r.why == "" || r.verb == "" {
			t.Errorf("room %s: no reason or no verb", r.path)
		}
		paths = append(paths, r.path)
	}
	for _, r := range rooms() {
		for _, m := range slices.Concat(r.may, r.test) {
			if !slices.Contains(paths, m) {
				t.Errorf("room %s: may import %s, which is no room", r.path, m)
			}
		}
	}
}

func judge(t *testing.T, name string, src []byte) *judgement {
	t.Helper()
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, name, src, parser.ParseComments)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return &judgement{}
	}
	j := &judgement{set: set, name: name, file: f, room: roomOf(path.Dir(name)), test: strings.HasSuffix(name, "_test.go")}
	j.judge()
	return j
}
