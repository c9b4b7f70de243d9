package boot

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// debianConfig has the structure of a file by grub-mkconfig 2.06 on Debian.
const debianConfig = `# DO NOT EDIT; default="${next_entry}"
if [ -s $prefix/grubenv ]; then
  set have_grubenv=true
  load_env
fi
if [ "${next_entry}" ] ; then
   set default="${next_entry}"
   set next_entry=
   save_env next_entry
   set boot_once=true
else
   set default="0"
fi
function load_video {
  if [ x$feature_all_video_module = xy ]; then insmod all_video; fi
}
search --no-floppy --fs-uuid --set=root  0A3407DE-014b-458b-b5c1-848e92a327a3
set timeout=5
menuentry 'Debian GNU/Linux' --class debian $menuentry_id_option 'gnulinux-simple-0a3407de-014b-458b-b5c1-848e92a327a3' {
	load_video
	set root='hd0,gpt2'
	if [ x$feature_platform_search_hint = xy ]; then
	  search --no-floppy --fs-uuid --set=root --hint-bios=hd0,gpt2 --hint='mduuid/0123456789abcdef0123456789ABCDEF'  0a3407de-014b-458b-b5c1-848e92a327a3
	fi
	linux	/boot/vmlinuz-6.1 root=UUID=0a3407de-014b-458b-b5c1-848e92a327a3 ro dyndbg="a b" \
 resume=/dev/disk/by-uuid/11111111-2222-3333-4444-555555555555 # words
	initrd	/boot/early.img /boot/initrd.img-6.1
}
submenu 'Advanced' $menuentry_id_option 'advanced' {
	menuentry 'It'\''s {old}' --unrestricted --id "old-${x}" {
		linux16 /vmlinuz root=/dev/sda1
	}
	menuentry "no id" { linux /v; initrd /i; }
}
if [ -f  ${config_directory}/custom.cfg ]; then
  source ${config_directory}/custom.cfg
fi
`

func TestGRUBConfig(t *testing.T) {
	c, err := ParseGRUBConfig([]byte(debianConfig))
	if err != nil {
		t.Fatal(err)
	}
	scriptCheck(t, []byte(debianConfig))
	const root, md, swap = "0a3407de-014b-458b-b5c1-848e92a327a3", "0123456789abcdef0123456789abcdef", "11111111-2222-3333-4444-555555555555"
	want := GRUBConfig{
		SourcesCustom: true, LoadsEnv: true, NextEntry: true, Timeout: "5", Defaults: []string{"${next_entry}", "0"},
		Entries: []GRUBEntry{
			{
				Title: "Debian GNU/Linux", ID: "gnulinux-simple-" + root, Line: 19, Kernel: "/boot/vmlinuz-6.1",
				Cmdline: "root=UUID=" + root + ` ro "dyndbg=a b" resume=/dev/disk/by-uuid/` + swap, Initrds: []string{"/boot/early.img", "/boot/initrd.img-6.1"},
			},
			{Title: "It's {old}", ID: "old-${x}", Submenus: []string{"advanced"}, Line: 30, Kernel: "/vmlinuz", Cmdline: "root=/dev/sda1", Unrestricted: true},
			{Title: "no id", Submenus: []string{"advanced"}, Line: 33, Kernel: "/v", Initrds: []string{"/i"}},
		},
		Mentions: []Mention{
			{MentionUUID, root, 17}, {MentionSearch, strings.Replace(root, "0a3407de", "0A3407DE", 1), 17},
			{MentionUUID, root, 19}, {MentionVolume, "hd0,gpt2", 21},
			{MentionMD, md, 23}, {MentionUUID, root, 23}, {MentionSearch, root, 23},
			{MentionRoot, "UUID=" + root, 25}, {MentionUUID, root, 25},
			{MentionResume, "/dev/disk/by-uuid/" + swap, 26}, {MentionDevice, "/dev/disk/by-uuid/" + swap, 26}, {MentionUUID, swap, 26},
			{MentionRoot, "/dev/sda1", 31}, {MentionDevice, "/dev/sda1", 31},
		},
	}
	if d := cmp.Diff(want, c); d != "" {
		t.Error(d)
	}
}

// One changed word makes each result false.
func TestGRUBConfigAnswers(t *testing.T) {
	for _, c := range []struct {
		old, new string
		want     string
	}{
		{"", "", "custom=true next=true bls=false users=false"},
		{"save_env next_entry", "save_env other", "custom=true next=false bls=false users=false"},
		{"set next_entry=", "set other=", "custom=true next=false bls=false users=false"},
		{`set default="${next_entry}"`, `set default='${next_entry}'`, "custom=true next=false bls=false users=false"},
		{"  load_env", "  # load_env", "custom=true next=false bls=false users=false"},
		{"  source ", "  echo ", "custom=false next=true bls=false users=false"},
		{"set timeout=5", "insmod blscfg; blscfg", "custom=true next=true bls=true users=false"},
		{"set timeout=5", `set superusers="root"`, "custom=true next=true bls=false users=true"},
	} {
		g, err := ParseGRUBConfig([]byte(strings.Replace(debianConfig, c.old, c.new, 1)))
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("custom=%v next=%v bls=%v users=%v", g.SourcesCustom, g.NextEntry, g.BLS, g.Superusers); got != c.want {
			t.Errorf("%s -> %s: %s, want %s", c.old, c.new, got, c.want)
		}
	}
}

// GRUB reads a word with '=' that is not a command as an assignment.
func TestBareAssignments(t *testing.T) {
	const text = "default=\"${saved_entry}\"\ntimeout=3\nsuperusers=root; root=(hd0,msdos1)\nif load_env; then default=1; fi\nmenuentry $\"Title\" --id=x { linux /v root=/dev/sda1 }\n"
	c, err := ParseGRUBConfig([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	scriptCheck(t, []byte(text))
	want := GRUBConfig{
		LoadsEnv: true, Superusers: true, Timeout: "3", Defaults: []string{"${saved_entry}", "1"},
		Entries: []GRUBEntry{{Title: "Title", ID: "x", Kernel: "/v", Cmdline: "root=/dev/sda1", Line: 5}},
		Mentions: []Mention{
			{MentionVolume, "(hd0,msdos1)", 3}, {MentionRoot, "/dev/sda1", 5}, {MentionDevice, "/dev/sda1", 5},
		},
	}
	if d := cmp.Diff(want, c); d != "" {
		t.Error(d)
	}
}

func TestGRUBConfigRefusals(t *testing.T) {
	for want, in := range map[string]string{
		"line 2: single": "a\nb 'c\n", "line 1: double": "a\"b", "line 2: brace": "\nmenuentry x {\n", "line 3: closing": "\n\n}",
	} {
		if _, err := ParseGRUBConfig([]byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
	}
}

// ParseGRUBConfig understands what GRUBSnippet writes.
func TestSnippetIsRead(t *testing.T) {
	snippet, err := GRUBSnippet(spec())
	if err != nil {
		t.Fatal(err)
	}
	c, err := ParseGRUBConfig(snippet)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Entries) != 2 || c.Entries[0].ID != MigrateEntryID(spec().PlanID) || c.Entries[1].ID != newSystemEntryID(spec().PlanID) {
		t.Fatalf("entries %+v", c.Entries)
	}
	a, b := ParseCmdline(spec().Cmdline), ParseCmdline(c.Entries[0].Cmdline)
	if d := cmp.Diff(words(a), words(b)); d != "" {
		t.Errorf("command line: %s", d)
	}
}

func words(c Cmdline) []string {
	var out []string
	for _, p := range c.Params {
		out = append(out, p.Word())
	}
	return append(out, c.Init...)
}

// A quoted word is one word of the same text, also between others.
func TestGRUBQuote(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching("[ -~\t\u00e9]{0,12}").Draw(t, "s")
		q, err := grubQuote(s)
		if err != nil {
			t.Fatal(err)
		}
		tokens, err := grubLex("a " + q + " b\n")
		if err != nil || len(tokens) != 4 || tokens[1].word.text != s || tokens[1].word.vars {
			t.Fatalf("%q was spelled %s and read %+v, %v", s, q, tokens, err)
		}
	})
	for _, s := range []string{"a\nb", "a\x00", "a\r"} {
		if _, err := grubQuote(s); err == nil {
			t.Errorf("%q accepted", s)
		}
	}
}

// The scripts of grub.d that need no disk, as this machine has them.
func TestGRUBConfigOracle(t *testing.T) {
	const header, custom = "/etc/grub.d/00_header", "/etc/grub.d/41_custom"
	if _, err := os.Stat(header); err != nil {
		t.Skip("SKIPPED: /etc/grub.d is missing (package grub-common)")
	}
	var all []byte
	for _, script := range []string{header, custom} {
		cmd := exec.Command("/bin/sh", script)
		cmd.Env = append(os.Environ(), "pkgdatadir=/usr/share/grub", "GRUB_TERMINAL_OUTPUT=console", "GRUB_TIMEOUT=5", "grub_lang=C")
		out, err := cmd.Output()
		if err != nil {
			t.Skipf("SKIPPED: %s does not run here: %v", script, err)
		}
		all = append(all, out...)
	}
	scriptCheck(t, all)
	c, err := ParseGRUBConfig(all)
	if err != nil {
		t.Fatal(err)
	}
	if !c.SourcesCustom || !c.LoadsEnv || !c.NextEntry {
		t.Errorf("%+v of\n%s", c, all)
	}
}

// FuzzGRUBKernelArgs follows a command line through GRUB (grub-core/lib/cmdline.c joins the arguments) to the kernel.
func FuzzGRUBKernelArgs(f *testing.F) {
	f.Add(spec().Cmdline)
	f.Add("a \"b c\" d=\"e f\" \"g=h i\" -- \"\" x=$y {z}")
	f.Fuzz(func(t *testing.T, cmdline string) {
		args, err := grubKernelArgs(cmdline)
		if err != nil {
			return
		}
		c, err := ParseGRUBConfig([]byte("menuentry x {\nlinux /v " + args + "\n}\n"))
		if err != nil || len(c.Entries) != 1 {
			t.Fatalf("%q: %+v, %v", args, c, err)
		}
		// An empty word means nothing to the kernel, and GRUB passes on none.
		some := func(c Cmdline) []string { return slices.DeleteFunc(words(c), func(s string) bool { return s == "" }) }
		if d := cmp.Diff(some(ParseCmdline(cmdline)), some(ParseCmdline(c.Entries[0].Cmdline))); d != "" {
			t.Fatalf("%q through GRUB as %s: %s", cmdline, args, d)
		}
	})
}

func FuzzGRUBConfig(f *testing.F) {
	f.Add([]byte(debianConfig))
	f.Add([]byte("a ${b\n\"$x${\" \\\n{ } ; menuentry { submenu"))
	f.Add([]byte("/dev//dev//dev/x mduuid/mduuid/00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseGRUBConfig(data)
		if err != nil {
			return
		}
		for _, e := range c.Entries {
			if e.Line < 1 || e.Line > 1+strings.Count(string(data), "\n") {
				t.Fatalf("line %d", e.Line)
			}
		}
		if rest, found, err := RemoveSnippet(data); err == nil && !found && string(rest) != string(data) {
			t.Fatal("nothing found and bytes changed")
		}
	})
}
