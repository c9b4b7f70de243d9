package pkg

import (
	"strings"
	"testing"
)

// TestLaw tests the test: each snippet breaks exactly one law, or none when want is "".
func TestLaw(t *testing.T) {
	const blank = "package x\n"
	for _, c := range []struct{ name, file, src, want string }{
		// Rooms.
		{"a spelling room alone", "pkg/md/a.go", blank + `import "encoding/binary"; var _ = binary.LittleEndian`, "package-level var _"},
		{"spelling imports spelling", "pkg/md/a.go", blank + `import _ "migrate-init/pkg/gpt"`, "pkg/md (spell) imports pkg/gpt (spell)"},
		{"a spelling room resolves paths", "cpio/a.go", blank + `import _ "migrate-init/pkg/rootfs"`, ""},
		{"machine resolves paths", "pkg/machine/a.go", blank + `import _ "migrate-init/pkg/rootfs"`, ""},
		{"plan resolves paths", "pkg/plan/a.go", blank + `import _ "migrate-init/pkg/rootfs"`, "what decides knows no format"},
		{"the resolver stands on nothing", "pkg/rootfs/a.go", blank + `import _ "migrate-init/cpio"`, "it stands on nothing"},
		{"boot imports plan", "boot/a.go", blank + `import _ "migrate-init/pkg/plan"`, "boot (spell) imports pkg/plan (decide)"},
		{"plan imports a format", "pkg/plan/a.go", blank + `import _ "migrate-init/pkg/md"`, "what decides knows no format"},
		{"survey imports a format", "pkg/survey/a.go", blank + `import _ "migrate-init/pkg/md"`, ""},
		{"survey imports boot", "pkg/survey/a.go", blank + `import _ "migrate-init/boot"`, ""},
		{"survey imports cpio", "pkg/survey/a.go", blank + `import _ "migrate-init/cpio"`, "what looks must not"},
		{"survey imports machine", "pkg/survey/a.go", blank + `import _ "migrate-init/pkg/machine"`, "what looks must not"},
		{"stage imports machine", "pkg/stage/a.go", blank + `import _ "migrate-init/pkg/machine"`, ""},
		{"stage imports image", "pkg/stage/a.go", blank + `import _ "migrate-init/pkg/image"`, "pkg/stage (do, in order) imports pkg/image (build)"},
		{"stage imports cmd", "pkg/stage/a.go", blank + `import _ "migrate-init/cmd/migrate-init"`, "imports cmd (tell)"},
		{"machine imports md", "pkg/machine/a.go", blank + `import _ "migrate-init/pkg/md"`, "knows nothing about migrations"},
		{"tree imports plan", "pkg/tree/a.go", blank + `import _ "migrate-init/pkg/plan"`, "stand alone"},
		{"distro imports machine", "pkg/distro/a.go", blank + `import _ "migrate-init/pkg/machine"`, ""},
		{"distro imports stage", "pkg/distro/a.go", blank + `import _ "migrate-init/pkg/stage"`, "a family is argv"},
		{"image imports elf", "pkg/image/a.go", blank + `import _ "migrate-init/pkg/elf"`, ""},
		{"image imports machine", "pkg/image/a.go", blank + `import _ "migrate-init/pkg/machine"`, "an image is plan and host files"},
		{"pid1 imports stage", "pkg/pid1/a.go", blank + `import _ "migrate-init/pkg/stage"`, ""},
		{"pid1 imports tree", "pkg/pid1/a.go", blank + `import _ "migrate-init/pkg/tree"`, "done by the stages of the mode"},
		{"stage imports pid1", "pkg/stage/a.go", blank + `import _ "migrate-init/pkg/pid1"`, "imports pkg/pid1"},
		{"cmd imports everything", "cmd/migrate-init/a.go", blank + `import _ "migrate-init/pkg/stage"`, ""},
		{"cmd imports the lab", "cmd/migrate-init/a.go", blank + `import _ "migrate-init/qemu-tests/lab"`, "the test room is not one"},
		{"cmd imports the made-up machine", "cmd/migrate-init/a.go", blank + `import _ "migrate-init/pkg/sim"`, "the test room is not one"},
		{"stage imports the made-up machine", "pkg/stage/a.go", blank + `import _ "migrate-init/pkg/sim"`, "pkg/stage (do, in order) imports pkg/sim (prove)"},
		{"the made-up machine imports stage", "pkg/sim/a.go", blank + `import _ "migrate-init/pkg/stage"`, "only tests import it"},
		{"the lab imports itself", "qemu-tests/lab/a.go", blank + `import _ "migrate-init/qemu-tests/lab/wire"`, ""},
		{"the lab decides", "qemu-tests/lab/a.go", blank + `import _ "migrate-init/pkg/plan"`, "as a user would"},
		{"import of no room", "cmd/migrate-init/a.go", blank + `import _ "migrate-init/pkg/cleverness"`, "it is no room"},
		{"a directory without a row", "pkg/cleverness/a.go", blank, "in no room"},
		{"a test there needs a row too", "pkg/cleverness/a_test.go", blank, "in no room"},
		{"below a room", "pkg/md/sub/a.go", blank + `import _ "migrate-init/pkg/md"`, ""},
		{"not a room by a shared prefix", "pkg/mdx/a.go", blank, "in no room"},

		// Tests.
		{"a test runs programs and keeps state", "pkg/plan/a_test.go", blank + `import (_ "os/exec"; _ "syscall"; _ "log"); var x int`, ""},
		{"a test imports a room that its room may not", "pkg/plan/a_test.go", blank + `import _ "migrate-init/pkg/md"`, "a test of pkg/plan (decide) imports pkg/md (spell)"},
		{"a test imports what its room may", "pkg/stage/a_test.go", blank + `import _ "migrate-init/pkg/machine"`, ""},
		{"a test's own column", "pkg/mkfs/a_test.go", blank + `import _ "migrate-init/pkg/probe"`, ""},
		{"the column is for tests only", "pkg/mkfs/a.go", blank + `import _ "migrate-init/pkg/probe"`, "pkg/mkfs (spell) imports pkg/probe (spell)"},
		{"a test outside its package", "pkg/md/a_test.go", "package md_test\n" + `import _ "migrate-init/pkg/md"`, ""},
		{"a test imports a test room of pkg", "pkg/md/a_test.go", blank + `import _ "migrate-init/pkg/fixtures"`, ""},
		{"only a test does", "pkg/md/a.go", blank + `import _ "migrate-init/pkg/fixtures"`, "pkg/md (spell) imports pkg/fixtures (prove)"},
		{"a test imports the lab", "cmd/migrate-init/a_test.go", blank + `import _ "migrate-init/qemu-tests/lab"`, "a test of cmd (tell) imports qemu-tests (prove)"},
		{"a test in the lab decides", "qemu-tests/a_test.go", blank + `import _ "migrate-init/pkg/plan"`, "as a user would"},
		{"an exemption", "qemu-tests/raid1_zero_test.go", blank + `import _ "migrate-init/pkg/plan"`, ""},
		{"an exemption is for one room", "qemu-tests/raid1_zero_test.go", blank + `import _ "migrate-init/pkg/survey"`, "as a user would"},
		{"the bench measures engines", "qemu-tests/bench/a_test.go", blank + `import _ "migrate-init/pkg/tree"`, ""},
		{"the bench itself does not", "qemu-tests/bench/a.go", blank + `import _ "migrate-init/pkg/tree"`, "qemu-tests/bench (prove) imports pkg/tree"},
		{"a dot import in a test", "pkg/md/a_test.go", blank + `import . "bytes"; var _ = Clone`, "a dot import hides"},

		// Programs and system calls.
		{"exec in stage", "pkg/stage/a.go", blank + `import _ "os/exec"`, "only pkg/machine runs programs"},
		{"exec in cmd", "cmd/migrate-init/a.go", blank + `import _ "os/exec"`, "only pkg/machine runs programs"},
		{"exec in machine", "pkg/machine/a.go", blank + `import _ "os/exec"`, ""},
		{"exec in tree", "pkg/tree/a.go", blank + `import _ "os/exec"`, "only pkg/machine runs programs"},
		{"exec in the lab", "qemu-tests/lab/a.go", blank + `import _ "os/exec"`, ""},
		{"exec by os", "pkg/stage/a.go", blank + `import sys "os"; func f() { sys.StartProcess("", nil, nil) }`, "os.StartProcess"},
		{"syscall in cmd", "cmd/migrate-init/a.go", blank + `import _ "syscall"`, "make system calls"},
		{"unix in survey", "pkg/survey/a.go", blank + `import _ "golang.org/x/sys/unix"`, "make system calls"},
		{"unix in extent", "pkg/extent/a.go", blank + `import _ "golang.org/x/sys/unix"`, ""},
		{"cgo", "pkg/machine/a.go", blank + `import "C"`, "silently left out"},
		{"build tags hide nothing", "pkg/plan/a.go", "//go:build never\n\n" + blank + `import _ "syscall"`, "make system calls"},

		// Files.
		{"write a file", "pkg/stage/a.go", blank + `import "os"; func f() { os.WriteFile("", nil, 0) }`, "os.WriteFile: only pkg/machine"},
		{"write a file in cmd", "cmd/migrate-init/a.go", blank + `import "os"; func f() { os.WriteFile("", nil, 0) }`, "os.WriteFile"},
		{"remove as a value", "pkg/stage/a.go", blank + `import sys "os"; var _ func(string) error = sys.RemoveAll`, "os.RemoveAll"},
		{"write a file in machine", "pkg/machine/a.go", blank + `import "os"; func f() { os.WriteFile("", nil, 0) }`, ""},
		{"rename in tree", "pkg/tree/a.go", blank + `import "os"; func f() { os.Rename("", "") }`, ""},
		{"remove in a test", "pkg/stage/a_test.go", blank + `import "os"; func f() { os.Remove("") }`, ""},
		{"make a directory in the lab", "qemu-tests/lab/a.go", blank + `import "os"; func f() { os.Mkdir("", 0) }`, ""},
		{"read a file", "pkg/survey/a.go", blank + `import "os"; func f() { os.ReadFile(""); os.Open("") }`, ""},
		{"open to read", "pkg/survey/a.go", blank + `import "os"; func f() { os.OpenFile("", os.O_RDONLY|os.O_EXCL, 0) }`, ""},
		{"open to write", "pkg/survey/a.go", blank + `import "os"; func f() { os.OpenFile("", os.O_RDONLY|(os.O_APPEND), 0) }`, "os.OpenFile"},
		{"open as a variable says", "pkg/survey/a.go", blank + `import "os"; func f(n int) { os.OpenFile("", n, 0) }`, "os.OpenFile"},
		{"open as a number says", "pkg/survey/a.go", blank + `import "os"; func f() { os.OpenFile("", 1, 0) }`, "os.OpenFile"},
		{"OpenFile as a value", "pkg/survey/a.go", blank + `import "os"; func f() any { return os.OpenFile }`, "os.OpenFile"},
		{"truncate a file", "pkg/survey/a.go", blank + `func f(x interface{ Truncate(int64) }) { x.Truncate(0) }`, "method Truncate"},
		{"truncate a time", "pkg/survey/a.go", blank + `import "time"; func f(x time.Time) { x.Truncate(2*time.Second) }`, ""},
		{"a method of os.Root", "pkg/survey/a.go", blank + `import "os"; func f(r *os.Root) { r.MkdirAll("", 0) }`, "method MkdirAll"},
		{"another package's Remove", "pkg/survey/a.go", blank + `import "migrate-init/pkg/plan"; func f() { plan.Remove() }`, ""},
		{"files by exemption", "pkg/copy/state.go", blank + `import "os"; func f() { os.Remove("") }`, ""},

		// Talking, sleeping, weight.
		{"log", "cmd/migrate-init/a.go", blank + `import _ "log"`, "a global with its own format"},
		{"slog", "cmd/migrate-init/a.go", blank + `import _ "log/slog"`, ""},
		{"http", "pkg/image/a.go", blank + `import _ "net/http"`, "has a budget"},
		{"print", "pkg/stage/a.go", blank + `import "fmt"; func f() { fmt.Println() }`, "only cmd talks"},
		{"print under another name", "pkg/stage/a.go", blank + `import say "fmt"; func f() { say.Printf("") }`, "only cmd talks"},
		{"print as a value", "pkg/stage/a.go", blank + `import "fmt"; func f() any { return fmt.Print }`, "only cmd talks"},
		{"print in cmd", "cmd/migrate-init/a.go", blank + `import "fmt"; func f() { fmt.Println() }`, ""},
		{"fprint", "pkg/stage/a.go", blank + `import "fmt"; func f() { fmt.Fprintln(nil) }`, ""},
		{"builtin print", "pkg/stage/a.go", blank + `func f() { println() }`, "the builtin"},
		{"own print", "pkg/stage/a.go", blank + `func f(println func()) { println() }`, ""},
		{"dot import", "pkg/stage/a.go", blank + `import . "fmt"; func f() { Println() }`, "a dot import hides"},
		{"sleep", "pkg/machine/a.go", blank + `import "time"; func f() { time.Sleep(1) }`, "wait for the event"},
		{"sleep in cmd", "cmd/migrate-init/a.go", blank + `import "time"; func f() { time.Sleep(1) }`, "wait for the event"},
		{"sleep in the lab", "qemu-tests/lab/a.go", blank + `import "time"; func f() { time.Sleep(1) }`, ""},
		{"another sleep", "pkg/machine/a.go", blank + `type t struct{}; func (t) Sleep(int) {}; func f(time t) { time.Sleep(1) }`, ""},

		// State.
		{"init", "pkg/plan/a.go", blank + `func init() {}`, "func init"},
		{"a method named init", "pkg/plan/a.go", blank + `type t int; func (t) init() {}`, ""},
		{"init in a test", "pkg/plan/a_test.go", blank + `func init() {}`, ""},
		{"const", "pkg/plan/a.go", blank + `const x = 1`, ""},
		{"var", "pkg/plan/a.go", blank + `var x = 1`, "package-level var x"},
		{"var without a value", "pkg/plan/a.go", blank + `var x, y int`, "package-level var x, y"},
		{"table", "pkg/plan/a.go", blank + `var table = map[string]int{}`, "package-level var table"},
		{"error", "pkg/plan/a.go", blank + `import "errors"; var ErrX = errors.New("x")`, ""},
		{"errors in a group", "pkg/plan/a.go", blank + "import (\n\"errors\"\n\"fmt\"\n)\nvar (\nErrX = errors.New(\"x\")\nErrY = fmt.Errorf(\"y: %w\", ErrX)\n)", ""},
		{"a guest among errors", "pkg/plan/a.go", blank + "import \"errors\"\nvar (\nErrX = errors.New(\"x\")\nn = 0\n)", "package-level var n"},
		{"another errors.New", "pkg/plan/a.go", blank + `import errors "migrate-init/pkg/plan/own"; var ErrX = errors.New("x")`, "package-level var ErrX"},
		{"assertion", "pkg/plan/a.go", blank + `type t int; var _ interface{} = t(0)`, ""},
		{"side effect under _", "pkg/plan/a.go", blank + `var _ = f(); func f() int { return 0 }`, "package-level var _"},
		{"excused", "cmd/migrate-init/a.go", blank + "var version = \"dev\" //nolint:gochecknoglobals // the linker writes it", ""},
		{"excused above", "cmd/migrate-init/a.go", blank + "//nolint:gochecknoglobals // the linker writes it\nvar version = \"dev\"", ""},
		{"excused without a reason", "cmd/migrate-init/a.go", blank + "var version = \"dev\" //nolint:gochecknoglobals", "package-level var version"},
		{"excused from another law", "cmd/migrate-init/a.go", blank + "var version = \"dev\" //nolint:revive // a reason that is long", "package-level var version"},
		{"one excuse for a group", "pkg/plan/a.go", blank + "//nolint:gochecknoglobals // for all of them\nvar (\na = 1\n)", "package-level var a"},
		{"embedded text", "pkg/md/a.go", blank + "import _ \"embed\"\n//go:embed a.txt\nvar text string", ""},
		{"embedded bytes", "pkg/md/a.go", blank + "import _ \"embed\"\n//go:embed a.txt\nvar text []byte", "package-level var text"},

		// Names that have a home.
		{"a filesystem type", "pkg/stage/a.go", blank + `func f(s string) bool { return s == "ext4" }`, "filesystem type \"ext4\": ask the table"},
		{"a filesystem type in a list", "pkg/image/a.go", blank + "func f() []string { return []string{`xfs`} }", "filesystem type \"xfs\""},
		{"a filesystem type in plan", "pkg/plan/a.go", blank + `const x = "btrfs"`, "filesystem type"},
		{"a filesystem type at home", "pkg/plan/fstype.go", blank + `const x = "btrfs"`, ""},
		{"a filesystem type in an engine", "pkg/extent/a.go", blank + `const x = "xfs"`, ""},
		{"a filesystem type where it is spelled", "pkg/probe/a.go", blank + `const x = "vfat"`, ""},
		{"a filesystem type in a sentence", "pkg/stage/a.go", blank + `const x = "an ext4 of 3 GiB"`, ""},
		{"a filesystem type in a test", "pkg/stage/a_test.go", blank + `const x = "ext4"`, ""},
		{"a boot loader", "pkg/stage/a.go", blank + `const x = "grub"`, "boot loader \"grub\": ask the boot loader's row"},
		{"a boot loader's format", "boot/a.go", blank + `const x = "extlinux"`, ""},
		{"a generator", "pkg/survey/a.go", blank + `const x = "dracut"`, "generator or family \"dracut\""},
		{"a family", "pkg/image/a.go", blank + `const x = "debian"`, "ask the family's or the initramfs generator's row"},
		{"a family at home", "pkg/distro/a.go", blank + `const x = "debian"`, ""},

		// What a reader cannot look up. The names are in two pieces, or this file would break the law too.
		{"notes elsewhere", "pkg/md/a.go", blank + "// f (failures" + ".md, 3) does it.\nfunc f() {}", "comment cites"},
		{"a numbered promise", "pkg/md/a.go", "// Package x keeps promise" + " 4.\npackage x", "comment cites"},
		{"a design in a test", "pkg/md/a_test.go", blank + "/* as design" + " 8 has it */", "comment cites"},
		{"an issue in a message", "pkg/stage/a.go", blank + "const x = \"see issue" + " 7\"", "string cites"},
		{"a path of this machine", "qemu-tests/lab/a.go", blank + "const x = `/wo" + "rk/main`", "string cites"},
		{"a document of the repository", "pkg/stage/a.go", blank + "// As docs/commit.md says.\nconst x = \"docs/layout.md\"", ""},
		{"a page with the name of notes elsewhere", "pkg/stage/a.go", blank + "// As docs/failures" + ".md says.", ""},
		{"a promise without a number", "pkg/stage/a.go", blank + "// It keeps its promises.\n", ""},

		// Names.
		{"util", "pkg/md/util/a.go", "package util", "package named util"},
		{"types by directory", "pkg/md/types/a.go", "package md", "package named types"},
		{"common in a test", "pkg/md/a_test.go", "package common_test", "package named common"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := judge(t, c.file, []byte(c.src)).out
			switch {
			case c.want == "" && len(got) > 0:
				t.Errorf("lawful, but: %s", strings.Join(got, "\n"))
			case c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)):
				t.Errorf("offences %q, want exactly one with %q", got, c.want)
			}
		})
	}
}
