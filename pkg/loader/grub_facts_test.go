package loader

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"migrate-init/boot"
	"migrate-init/pkg/plan"
)

const testCfg = `if [ -s $prefix/grubenv ]; then
  load_env
fi
if [ "${next_entry}" ] ; then
   set default="${next_entry}"
   set next_entry=
   save_env next_entry
fi
menuentry 'Debian' { linux /boot/vmlinuz root=UUID=1 ro
}
if [ -f  ${config_directory}/custom.cfg ]; then
  source ${config_directory}/custom.cfg
fi
`

// debian is a system with GRUB, and what is known of its machine before the boot loader is looked at.
func debian() (fstest.MapFS, *plan.Facts) {
	env := boot.NewGrubenv()
	root := fstest.MapFS{
		"boot/grub/grub.cfg": {Data: []byte(testCfg)},
		"boot/grub/grubenv":  {Data: env.Bytes()},
	}
	return root, &plan.Facts{Firmware: "bios", Boot: plan.Boot{Dir: "/boot"}, Rules: plan.Rules{Loaders: Known().Rules()},
		Devices: []plan.Device{
			{Name: "vda2", Path: "/dev/vda2", Kind: plan.KindPart, Contents: []plan.Content{{Kind: plan.ContentFS, Type: "ext4", UUID: "1"}}},
			{Name: "md0", Path: "/dev/md0", Kind: plan.KindArray, Contents: []plan.Content{{Kind: plan.ContentFS, Type: "ext4", UUID: "2"}}},
		},
		Mounts: []plan.Mount{{Target: "/", Device: "vda2"}}}
}

// look does what survey does.
func look(root fstest.MapFS, f *plan.Facts) *plan.Facts {
	for _, l := range f.Rules.Loaders {
		if b, problems, found := l.Look(root, f); found {
			b.Loader = l.Name
			f.Boot, f.Problems = b, problems
			break
		}
	}
	return f
}

// refusal is what a plan for a machine is refused with, "" for nothing.
func refusal(f *plan.Facts) string {
	l := f.Rules.Loader(f.Boot.Loader)
	if l.OneShot == nil {
		return "no way to schedule by " + f.Boot.Loader
	}
	why, refused := l.OneShot(f)
	switch {
	case len(refused) == 0 && why != "":
		return ""
	case len(refused) == 0:
		return "no reason is given"
	case refused[0].Subject == "" || refused[0].Detail == "" || refused[0].Fix == "":
		return "a refusal without subject, detail or fix"
	}
	return refused[0].String()
}

// TestOneShot: why GRUB could not keep an entry to one boot, and what to do.
func TestOneShot(t *testing.T) {
	cfg := func(old, new string) func(fstest.MapFS, *plan.Facts) {
		return func(root fstest.MapFS, _ *plan.Facts) {
			root["boot/grub/grub.cfg"] = &fstest.MapFile{Data: []byte(strings.ReplaceAll(testCfg, old, new))}
		}
	}
	instead := func(file string) func(fstest.MapFS, *plan.Facts) {
		return func(root fstest.MapFS, _ *plan.Facts) {
			delete(root, "boot/grub/grub.cfg")
			root[file] = &fstest.MapFile{}
		}
	}
	for name, c := range map[string]struct {
		change func(fstest.MapFS, *plan.Facts)
		want   []string
	}{
		"possible":   {func(fstest.MapFS, *plan.Facts) {}, nil},
		"no grubenv": {func(root fstest.MapFS, _ *plan.Facts) { delete(root, "boot/grub/grubenv") }, []string{"does not exist; create it: grub-editenv /boot/grub/grubenv create"}},
		"damaged grubenv": {func(root fstest.MapFS, _ *plan.Facts) {
			root["boot/grub/grubenv"] = &fstest.MapFile{Data: []byte("short")}
		}, []string{"is damaged", "grub-editenv"}},
		"no next_entry":   {cfg("save_env next_entry", "true"), []string{"does not honour next_entry", "update-grub"}},
		"no custom.cfg":   {cfg("source", "echo"), []string{"does not read custom.cfg", "41_custom"}},
		"broken grub.cfg": {cfg("menuentry 'Debian'", "menuentry 'Debian"), []string{"does not"}},
		"on an array":     {func(_ fstest.MapFS, f *plan.Facts) { f.Mounts[0].Device = "md0" }, nil},
		"on an array, no grubenv": {func(root fstest.MapFS, f *plan.Facts) {
			f.Mounts[0].Device = "md0"
			delete(root, "boot/grub/grubenv")
		}, nil},
		"on an array, no custom.cfg": {func(root fstest.MapFS, f *plan.Facts) {
			f.Mounts[0].Device = "md0"
			root["boot/grub/grub.cfg"] = &fstest.MapFile{Data: []byte(strings.ReplaceAll(testCfg, "source", "echo"))}
		}, []string{"does not read custom.cfg"}},
		"on an encrypted volume": {func(_ fstest.MapFS, f *plan.Facts) {
			f.Devices[0].Kind, f.Devices[0].Name = plan.KindDM, "dm-0"
			f.Devices = append(f.Devices, plan.Device{Name: "vda3", Path: "/dev/vda3", Kind: plan.KindPart, Holders: []string{"dm-0"}, Contents: []plan.Content{{Kind: plan.ContentLUKS, Type: "crypto_LUKS"}}})
			f.Mounts[0].Device = "dm-0"
		}, []string{"/dev/vda3, which is encrypted", "passphrase", "not encrypted"}},
		"not mounted":   {func(_ fstest.MapFS, f *plan.Facts) { f.Mounts[0].Device = "" }, []string{"is not known", "as root"}},
		"no filesystem": {func(_ fstest.MapFS, f *plan.Facts) { f.Devices[0].Contents = nil }, []string{"not one plain filesystem"}},
		"on btrfs":      {func(_ fstest.MapFS, f *plan.Facts) { f.Devices[0].Contents[0].Type = "btrfs" }, nil},
		"on f2fs":       {func(_ fstest.MapFS, f *plan.Facts) { f.Devices[0].Contents[0].Type = "f2fs" }, []string{"lies on f2fs", "not known to read"}},
		"UEFI":          {func(_ fstest.MapFS, f *plan.Facts) { f.Firmware = "efi" }, []string{"firmware efi", "not supported yet", "GRUB 2 on BIOS"}},
		"systemd-boot":  {instead("boot/loader/loader.conf"), []string{"by systemd-boot"}},
		"extlinux":      {instead("boot/extlinux/x"), []string{"by extlinux"}},
		"lilo":          {instead("etc/lilo.conf"), []string{"by lilo"}},
	} {
		t.Run(name, func(t *testing.T) {
			root, f := debian()
			c.change(root, f)
			got := refusal(look(root, f))
			if len(c.want) == 0 && got != "" {
				t.Errorf("refused: %s", got)
			}
			for _, w := range c.want {
				if !strings.Contains(got, w) {
					t.Errorf("got %q, want %q", got, w)
				}
			}
		})
	}
}

// TestOneShotMechanism: the first that works is taken, and says what kept the ones before it.
func TestOneShotMechanism(t *testing.T) {
	for name, c := range map[string]struct {
		change    func(*plan.Facts)
		once, why string
	}{
		"a plain partition": {func(*plan.Facts) {}, "next_entry", "GRUB can write its environment block /boot/grub/grubenv"},
		"an array":          {func(f *plan.Facts) { f.Mounts[0].Device = "md0" }, "block", "GRUB cannot write its environment block on /dev/md0 (md); GRUB clears a block on the new disk"},
		"a volume":          {func(f *plan.Facts) { f.Devices[0].Kind = plan.KindDM }, "block", "on /dev/vda2 (dm); "},
		"xfs":               {func(f *plan.Facts) { f.Devices[0].Contents[0].Type = "xfs" }, "block", "on xfs; "},
	} {
		root, f := debian()
		c.change(f)
		look(root, f)
		why, refused := grubOneShot(f)
		own, _ := grubPlan(f)
		if len(refused) > 0 || own["once"] != c.once || !strings.Contains(why, c.why) || grubNeedsBlock(f) != (c.once == "block") {
			t.Errorf("%s: by %q because %q, refused %v", name, own["once"], why, refused)
		}
	}
}

// TestLook: what is chosen for the next boot, and whose plans have entries.
func TestLook(t *testing.T) {
	root, f := debian()
	f = look(root, f)
	g, err := grubFactsOf(f)
	want := grubFacts{Env: "/boot/grub/grubenv", Custom: "/boot/grub/custom.cfg", LoadsEnv: true, Prefix: "/boot"}
	if b := f.Boot; err != nil || g != want || b.Loader != "grub" || b.Config != "/boot/grub/grub.cfg" || b.Device != "vda2" || b.NextEntry != "" || b.Armed != "" || len(b.PlanEntries) > 0 || len(f.Problems) > 0 {
		t.Errorf("%+v, %v, %+v, %v", g, err, b, f.Problems)
	}
	for entry, armed := range map[string]string{"memtest": "", boot.MigrateEntryID("id"): "id"} {
		f.Boot.Armed = ""
		env := boot.NewGrubenv()
		if err := env.Set("next_entry", entry); err != nil {
			t.Fatal(err)
		}
		root["boot/grub/grubenv"] = &fstest.MapFile{Data: env.Bytes()}
		_, f := debian() // what an earlier look saw would stay in it
		if b := look(root, f).Boot; b.NextEntry != entry || b.Armed != armed {
			t.Errorf("entry %s: %+v", entry, b)
		}
	}
	f.Mounts = append(f.Mounts, plan.Mount{Target: "/boot", Device: "vda2"})
	f.Mounts[0].Device = "md0"
	if g, err := grubFactsOf(look(root, f)); err != nil || g.Prefix != "" || f.Boot.Device != "vda2" {
		t.Errorf("/boot of its own: %+v on %s, %v", g, f.Boot.Device, err)
	}
}

// TestLookProblems: what cannot be read is said.
func TestLookProblems(t *testing.T) {
	for name, c := range map[string]struct{ file, text, noun, want string }{
		"broken snippet":  {"boot/grub/custom.cfg", "### BEGIN migrate-init x\n### BEGIN migrate-init y\n# BEGIN migrate-init\n", "/boot/grub/custom.cfg", ""},
		"broken grub.cfg": {"boot/grub/grub.cfg", "menuentry 'x", "/boot/grub/grub.cfg", "quote"},
	} {
		root, f := debian()
		root[c.file] = &fstest.MapFile{Data: []byte(c.text)}
		look(root, f)
		if !slices.ContainsFunc(f.Problems, func(p plan.Problem) bool { return p.Subject == c.noun && strings.Contains(p.Err, c.want) }) {
			t.Errorf("%s: %v", name, f.Problems)
		}
	}
}

// TestSettings: a plan's settings are those of the facts, drift is told, and what is not exactly a setting is refused.
func TestSettings(t *testing.T) {
	root, f := debian()
	f = look(root, f)
	own, dir := grubPlan(f)
	p := &plan.Plan{ID: "p", Boot: plan.Booting{Loader: "grub", Own: own}}
	if _, err := Known().Of(p); err != nil || dir != "/boot/grub" {
		t.Fatalf("%s: %v", dir, err)
	}
	drift := func() (out []string) {
		list, err := grubDrift(p, f)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range list {
			if x.Is != x.Was {
				out = append(out, x.What)
			}
		}
		return out
	}
	if d := drift(); len(d) > 0 {
		t.Errorf("as planned, and yet: %q", d)
	}
	p.Boot.Own = maps.Clone(own)
	p.Boot.Own["custom"], p.Boot.Own["env"], p.Boot.Own["prefix"] = "/boot/other.cfg", "/boot/env", ""
	if d := drift(); !slices.Equal(d, []string{"environment block", "custom.cfg", "path of kernels"}) {
		t.Errorf("drift: %q", d)
	}
	for name, change := range map[string]func(map[string]string){
		"missing":      func(m map[string]string) { delete(m, "env") },
		"unknown":      func(m map[string]string) { m["later"] = "x" },
		"not absolute": func(m map[string]string) { m["custom"] = "" },
	} {
		p.Boot.Own = maps.Clone(own)
		change(p.Boot.Own)
		if _, err := Known().Of(p); err == nil || !strings.Contains(err.Error(), "make a new one") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The first stages of GRUB on a BIOS count in sectors of 512 bytes; a plan for a disk of others warns by this column.
func TestGrubSector(t *testing.T) {
	if l := Known().Rules(); l[0].Name != "grub" || l[0].Sector != 512 {
		t.Errorf("%s boots from sectors of up to %d bytes", l[0].Name, l[0].Sector)
	}
}
