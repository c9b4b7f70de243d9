package boot

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func spec() SnippetSpec {
	return SnippetSpec{
		PlanID: "20261121-abcd", BootFSUUID: "0a3407de-014b-458b-b5c1-848e92a327a3", BootModules: []string{"part_gpt", "ext2"},
		Kernel: "/boot/vmlinuz-6.1", Image: "/boot/migrate.img", Cmdline: `root=UUID=x ro dyndbg="file a.c +p" panic=30 -- -x`,
		Modules: []string{"part_gpt", "part_msdos", "diskfilter", "mdraid1x", "ext2"},
		Volume:  "mduuid/0123456789abcdef0123456789abcdef", NewPrefix: "/boot/grub", CanSaveEnv: true,
	}
}

const wantSnippet = `### BEGIN migrate-init 20261121-abcd
# Written by migrate-init schedule; migrate-init cancel removes exactly these lines.
menuentry 'migrate-init: migrate this system (20261121-abcd)' --id migrate-init-20261121-abcd {
	insmod part_gpt
	insmod ext2
	search --no-floppy --fs-uuid --set=root 0a3407de-014b-458b-b5c1-848e92a327a3
	linux /boot/vmlinuz-6.1 root=UUID=x ro 'dyndbg=file a.c +p' panic=30 -- -x
	initrd /boot/migrate.img
}
insmod part_gpt
insmod part_msdos
insmod diskfilter
insmod mdraid1x
insmod ext2
if [ "${migrate_init_handed}" != "20261121-abcd" -a -f '(mduuid/0123456789abcdef0123456789abcdef)/migrate-init/committed-20261121-abcd' -a -f '(mduuid/0123456789abcdef0123456789abcdef)/boot/grub/grub.cfg' ]; then
	menuentry 'migrate-init: the migrated system (20261121-abcd)' --id migrate-init-new-20261121-abcd {
		insmod part_gpt
		insmod part_msdos
		insmod diskfilter
		insmod mdraid1x
		insmod ext2
		set root=mduuid/0123456789abcdef0123456789abcdef
		set prefix='(mduuid/0123456789abcdef0123456789abcdef)/boot/grub'
		set migrate_init_handed=20261121-abcd
		export migrate_init_handed
		configfile '(mduuid/0123456789abcdef0123456789abcdef)/boot/grub/grub.cfg'
	}
	if [ "${boot_once}" != "true" -a "${default}" != "migrate-init-20261121-abcd" ]; then
		if [ -f '(mduuid/0123456789abcdef0123456789abcdef)/migrate-init/confirmed-20261121-abcd' ]; then
			set default=migrate-init-new-20261121-abcd
		else
			if [ "${migrate_init_tried}" != "20261121-abcd" ]; then
				set migrate_init_tried=20261121-abcd
				if save_env migrate_init_tried; then
					set default=migrate-init-new-20261121-abcd
				fi
			fi
		fi
	fi
fi
if [ "${default}" = "migrate-init-20261121-abcd" -o "${default}" = "migrate-init-new-20261121-abcd" ]; then
	if [ -z "${fallback}" ]; then
		set fallback=0
	fi
fi
### END migrate-init 20261121-abcd
`

func TestGRUBSnippet(t *testing.T) {
	got, err := GRUBSnippet(spec())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(wantSnippet, string(got)); d != "" {
		t.Error(d)
	}
	scriptCheck(t, got)

	s := spec()
	s.CanSaveEnv, s.Unrestricted, s.Volume, s.NewPrefix, s.Cmdline = false, true, "mduuid/ff", "/grub", ""
	got, err = GRUBSnippet(s)
	if err != nil {
		t.Fatal(err)
	}
	scriptCheck(t, got)
	for _, want := range []string{
		" --unrestricted --id migrate-init-20261121-abcd {", " --unrestricted --id migrate-init-new-20261121-abcd {",
		"\t\tset default=migrate-init-new-20261121-abcd\n\tfi\nfi\n",
		"set root=mduuid/ff\n", "configfile '(mduuid/ff)/grub/grub.cfg'", "linux /boot/vmlinuz-6.1\n",
	} {
		if !strings.Contains(string(got), want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	if strings.Contains(string(got), "save_env") {
		t.Error("save_env without CanSaveEnv")
	}
}

const wantBlock = `insmod part_gpt
insmod ext2
set migrate_init_block=
if [ "${migrate_init_handed}" != "20261121-abcd" ]; then
	if search --no-floppy --fs-uuid --set=migrate_init_block --hint=hd1,gpt2 --hint=hd0,gpt2 4a3407de-014b-458b-b5c1-848e92a327a3; then
		if [ -f "(${migrate_init_block})/grubenv" ]; then
			set migrate_init_next=
			load_env --file "(${migrate_init_block})/grubenv" migrate_init_next
			if [ "${migrate_init_next}" = "20261121-abcd" ]; then
				set migrate_init_next=
				if save_env --file "(${migrate_init_block})/grubenv" migrate_init_next; then
					load_env --file "(${migrate_init_block})/grubenv" migrate_init_next
					if [ -z "${migrate_init_next}" -a "${boot_once}" != "true" ]; then
						set default=migrate-init-20261121-abcd
					fi
				fi
			fi
		fi
	fi
fi
`

// blockSpec is that of a machine whose GRUB cannot write its own block.
func blockSpec() SnippetSpec {
	s := spec()
	s.CanSaveEnv, s.BootHints = false, []string{"mduuid/ff"}
	s.BlockFS, s.BlockModules, s.BlockHints = blockUUID, []string{"part_gpt", "ext2"}, []string{"hd1,gpt2", "hd0,gpt2"}
	return s
}

func TestSnippetOfBlock(t *testing.T) {
	got, err := GRUBSnippet(blockSpec())
	if err != nil {
		t.Fatal(err)
	}
	scriptCheck(t, got)
	for _, want := range []string{wantBlock, "search --no-floppy --fs-uuid --set=root --hint=mduuid/ff 0a3407de",
		"load_env --file \"(${migrate_init_block})/grubenv\" migrate_init_tried\n", "if save_env --file \"(${migrate_init_block})/grubenv\" migrate_init_tried; then"} {
		if !strings.Contains(string(got), want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	// With a GRUB that can write its own block, the other one only starts the migration again.
	s := blockSpec()
	s.CanSaveEnv = true
	if got, err = GRUBSnippet(s); err != nil || !strings.Contains(string(got), wantBlock) || !strings.Contains(string(got), "if save_env migrate_init_tried; then") {
		t.Errorf("%v\n%s", err, got)
	}
	scriptCheck(t, got)
}

// scriptCheck runs GRUB's own parser.
func scriptCheck(t testing.TB, script []byte) {
	t.Helper()
	tool, err := exec.LookPath("grub-script-check")
	if err != nil {
		t.Log("SKIPPED the oracle: grub-script-check is missing (package grub-common)")
		return
	}
	file := filepath.Join(t.TempDir(), "custom.cfg")
	if err := os.WriteFile(file, script, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(tool, file).CombinedOutput(); err != nil {
		t.Errorf("grub-script-check: %v: %s\n%s", err, out, script)
	}
}

func TestGRUBSnippetRefusals(t *testing.T) {
	for want, edit := range map[string]func(*SnippetSpec){
		"plan id":          func(s *SnippetSpec) { s.PlanID = "a b" },
		"filesystem UUID":  func(s *SnippetSpec) { s.BootFSUUID = "" },
		"kernel \"vm":      func(s *SnippetSpec) { s.Kernel = "vmlinuz" },
		"image":            func(s *SnippetSpec) { s.Image = "" },
		"without parenthe": func(s *SnippetSpec) { s.Volume = "(hd0)" },
		"volume of the":    func(s *SnippetSpec) { s.Volume = "" },
		"hint":             func(s *SnippetSpec) { s.BlockHints = []string{"(hd0)"} },
		"module name":      func(s *SnippetSpec) { s.Modules = []string{"ext2; reboot"} },
		"not allowed":      func(s *SnippetSpec) { s.Kernel = "/a\nb" },
		"cannot pass on":   func(s *SnippetSpec) { s.Cmdline = `a=b\c` },
	} {
		s := spec()
		edit(&s)
		if _, err := GRUBSnippet(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestSnippetRoundTrip(t *testing.T) {
	lines, err := GRUBSnippet(spec())
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		old := []byte(rapid.StringMatching(`(set a=b|### BEGIN /etc|\n|\r\n| |#){0,9}`).Draw(t, "old"))
		with, err := InsertSnippet(old, lines)
		if err != nil {
			t.Fatal(err)
		}
		if id, err := SnippetPlan(with); err != nil || id != "20261121-abcd" {
			t.Fatalf("plan %q, %v", id, err)
		}
		rest, found, err := RemoveSnippet(with)
		if err != nil || !found || !bytes.Equal(rest, old) {
			t.Fatalf("%q became %q, %v, %v", old, rest, found, err)
		}
		// What the administrator appends later stays, on lines of its own.
		rest, _, err = RemoveSnippet(append(with, "later\n"...))
		want := string(old)
		if want != "" && !strings.HasSuffix(want, "\n") {
			want += "\n"
		}
		if err != nil || string(rest) != want+"later\n" {
			t.Fatalf("%q became %q, %v", old, rest, err)
		}
	})
}

func TestSnippetDamage(t *testing.T) {
	lines, err := GRUBSnippet(spec())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := InsertSnippet(lines, lines); !errors.Is(err, ErrSnippetPresent) {
		t.Errorf("a second one: %v", err)
	}
	if _, err := InsertSnippet(nil, []byte("set x=y\n")); err == nil {
		t.Error("something else was inserted")
	}
	if rest, found, err := RemoveSnippet([]byte("a\n")); found || err != nil || string(rest) != "a\n" {
		t.Errorf("none: %q %v %v", rest, found, err)
	}
	for want, data := range map[string][]byte{
		"no end":    lines[:len(lines)-20],
		"second":    append(bytes.Clone(lines), lines...),
		"its begin": []byte(snippet.end() + "x\n"),
		"plan id":   []byte(snippet.begin() + "\n"),
	} {
		if _, _, err := RemoveSnippet(data); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func FuzzSnippet(f *testing.F) {
	lines, err := GRUBSnippet(spec())
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("set a=b"), []byte("later\n"))
	f.Add([]byte("a\r\n"), []byte(nil))
	f.Add(lines, []byte("x"))
	f.Add([]byte(snippet.begin()+"x\n"), []byte(snippet.end()+"x\n"))
	f.Fuzz(func(t *testing.T, old, later []byte) {
		with, err := InsertSnippet(old, lines)
		if err != nil {
			return
		}
		if rest, found, err := RemoveSnippet(with); err != nil || !found || !bytes.Equal(rest, old) {
			t.Fatalf("%q became %q, %v, %v", old, rest, found, err)
		}
		// Lines that the administrator added after it are never lost; if they form a second snippet, nothing is removed.
		rest, found, err := RemoveSnippet(slices.Concat(with, later))
		if err == nil && (!found || !bytes.HasPrefix(rest, old) || !bytes.HasSuffix(rest, later)) {
			t.Fatalf("%q and %q became %q, %v", old, later, rest, found)
		}
	})
}
