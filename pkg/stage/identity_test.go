package stage

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"migrate-init/boot"
	"migrate-init/pkg/distro"
	"migrate-init/pkg/loader"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/sim"
)

// spelledPlan is rewritePlan with labels that have to be escaped, and names that were seen when the plan was made.
func spelledPlan() *plan.Plan {
	p := rewritePlan()
	root, swap := p.Source.Filesystems()[0], p.Source.Swaps()[0]
	root.FS.Label, root.FS.Spec = "root disk", `/dev/disk/by-label/root\134x20disk`
	root.Also = []string{"/dev/disk/by-path/pci-1-part2", "/dev/disk/by-id/wwn-0x5-part2", "8:2", "PARTLABEL=srv~1", "PARTUUID=aaaaaaaa-0000-4000-8000-000000000001/PARTNROFF=1", "/dev/root"}
	swap.Also = []string{"LABEL=swap"}
	return p
}

// TestSpelled: a name of the old system becomes that of the new one however it is spelled and wherever it stands, and what
// is left would be found.
func TestSpelled(t *testing.T) {
	const root, swap = "bbbbbbbb-0000-4000-8000-000000000001", "bbbbbbbb-0000-4000-8000-000000000003"
	for _, name := range []string{`LABEL=root\040disk`, `LABEL=root\x20disk`, `LABEL="root\040disk"`, `LABEL='root\x20disk'`, `/dev/disk/by-label/root\x20disk`, `/dev/disk//by-label/root\x20disk`,
		"/dev/disk/by-path/pci-1-part2", "/dev/disk/by-id/wwn-0x5-part2", "ID=wwn-0x5-part2", "PARTLABEL=srv~1", `/dev/disk/by-partlabel/srv\x7e1`, "/dev/root", "/dev/vda2",
		"/dev/disk/by-uuid/" + strings.ToUpper(sim.OldRoot), "PARTUUID=AAAAAAAA-0000-4000-8000-000000000002", "/dev/disk/by-partuuid/aaaaaaaa-0000-4000-8000-000000000002"} {
		p := spelledPlan()
		tree := sim.Files(map[string]string{"etc/fstab": name + " / ext4 defaults 0 1\n", "etc/crypttab": "# x\nx " + name + " none luks\n"})
		effs, err := Rewrites(loader.Known(), p, tree, "/")
		if err != nil {
			t.Fatal(err)
		}
		apply(t, tree, effs)
		for file, line := range map[string]string{"etc/fstab": "=" + root + " / ", "etc/crypttab": "=" + root + " none"} {
			got := string(tree[file].Data)
			if spelled := strings.NewReplacer(`"`, "", "'", "").Replace(got); !strings.Contains(spelled, line) && !strings.Contains(spelled, "/"+line[1:]) {
				t.Errorf("%s: %s became %q", name, file, got)
			}
		}
		pr := &prover{p: p, root: tree, say: func(string) {}}
		for _, x := range pr.fstab() {
			if strings.Contains(x.Detail, "old system") {
				t.Errorf("%s: %s", name, x)
			}
		}
	}
	for value, want := range map[string]string{
		`"root=LABEL=root disk" quiet`:                                   "root=UUID=" + root + " quiet",
		`root=LABEL="root disk"`:                                         "root=UUID=" + root,
		`root=LABEL=root\x20disk ro`:                                     "root=UUID=" + root + " ro",
		`dyndbg="file a.c root=8:2 +p" root=8:2`:                         `dyndbg="file a.c root=8:2 +p" root=UUID=` + root,
		"root=PARTUUID=AAAAAAAA-0000-4000-8000-000000000001/PARTNROFF=1": "root=UUID=" + root,
		"root=PARTLABEL=srv~1 resume=LABEL=swap":                         "root=UUID=" + root + " resume=UUID=" + swap,
		"root=LABEL=root":                                                "root=LABEL=root",
		"root=PARTUUID=aaaaaaaa-0000-4000-8000-000000000001":             "root=PARTUUID=aaaaaaaa-0000-4000-8000-000000000001",
	} {
		r := &rewriter{p: spelledPlan(), ids: identities(spelledPlan())}
		if got := r.params(value); got != want {
			t.Errorf("%s became %s, want %s", value, got, want)
		}
	}
}

// TestOldIdentity: what names the old system is found in any text, and what does not is not.
func TestOldIdentity(t *testing.T) {
	p := spelledPlan()
	for text, want := range map[string]string{
		`GRUB_CMDLINE_LINUX="\"root=LABEL=root disk\""`: `LABEL=root\040disk`,
		`x=/dev/disk/by-label/root\\x20disk`:            `LABEL=root\040disk`,
		"search --label 'root disk' --set root":         `LABEL=root\040disk`,
		"root=8:2 ro":                                   "8:2",
		"root=PARTLABEL=srv~1":                          "PARTLABEL=srv~1",
		"RESUME=LABEL=swap":                             "LABEL=swap",
		"/dev/disk/by-path/pci-1-part2":                 "/dev/disk/by-path/pci-1-part2",
		"/dev/disk/by-path/pci-1-part22 root=18:2 LABEL=roots /dev/vda22 PARTLABEL=srv~12": "",
		"UUID=1" + sim.OldRoot: "",
	} {
		if got := oldIdentity(p, []byte(text)); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// TestTexts: every text that is searched is rewritten, and the other way round; what people put aside is neither.
func TestTexts(t *testing.T) {
	p := rewritePlan()
	sys, err := distro.Of(p)
	if err != nil {
		t.Fatal(err)
	}
	l, err := loader.Known().Of(p)
	if err != nil {
		t.Fatal(err)
	}
	const old = "X=UUID=" + sim.OldRoot + "\n"
	tree := sim.Files(map[string]string{"etc/fstab": "UUID=" + sim.OldRoot + " / ext4 defaults 0 1\n"})
	var asked []string
	for _, x := range texts(l, sys) {
		name := strings.ReplaceAll(x.Pattern, "*", "a")
		if slices.Contains(asked, name) {
			t.Errorf("%s: twice", x.Pattern)
		}
		asked = append(asked, name)
		if x.by != byProgram {
			tree[name] = &fstest.MapFile{Data: []byte(old), Mode: 0o755}
		}
	}
	tree["etc/crypttab"] = &fstest.MapFile{Data: []byte("x UUID=" + sim.OldRoot + " none luks\n")}
	tree["etc/mdadm/mdadm.conf"] = &fstest.MapFile{Data: []byte("MAILADDR root\n")}
	tree["boot/loader/entries/d.conf.bak"] = &fstest.MapFile{Data: []byte(old)}
	tree["boot/grub/grubenv"] = &fstest.MapFile{Data: boot.NewGrubenv().Bytes()}
	effs, err := Rewrites(loader.Known(), p, tree, "/")
	if err != nil {
		t.Fatal(err)
	}
	pr := &prover{p: p, sys: sys, loader: l, root: tree, say: func(string) {}}
	if found := pr.settings(); len(found) == 0 {
		t.Error("nothing is found before it is rewritten")
	}
	apply(t, tree, effs)
	if found := append(pr.settings(), pr.leftovers()...); len(found) > 0 {
		t.Errorf("what is searched was not rewritten: %v", found)
	}
	if string(tree["boot/loader/entries/d.conf.bak"].Data) != old {
		t.Error("a file that was put aside changed")
	}
}

// TestSettingsSpelled: settings that name a device by label, in the syntax of each file.
func TestSettingsSpelled(t *testing.T) {
	const root, swap = "bbbbbbbb-0000-4000-8000-000000000001", "bbbbbbbb-0000-4000-8000-000000000003"
	for name, c := range map[string][2]string{
		"etc/initramfs-tools/conf.d/resume": {"RESUME=LABEL=swap\n", "RESUME=UUID=" + swap + "\n"},
		"etc/default/grub":                  {`GRUB_CMDLINE_LINUX='"root=LABEL=root disk" resume=/dev/disk/by-label/swap'` + "\n", `GRUB_CMDLINE_LINUX='root=UUID=` + root + ` resume=UUID=` + swap + "'\n"},
		"etc/kernel/cmdline":                {`root=LABEL=root\x20disk ro`, "root=UUID=" + root + " ro"},
		"boot/loader/entries/d.conf":        {"title Debian\noptions root=LABEL=root\\x20disk ro\n", "title Debian\noptions root=UUID=" + root + " ro\n"},
		"etc/systemd/system/x.mount":        {"[Mount]\nWhat=/dev/disk/by-label/root\\x20disk\nWhere=/x\n", "[Mount]\nWhat=/dev/disk/by-uuid/" + root + "\nWhere=/x\n"},
	} {
		tree := sim.Files(map[string]string{"etc/fstab": "", name: c[0]})
		effs, err := Rewrites(loader.Known(), spelledPlan(), tree, "/")
		if err != nil {
			t.Fatal(err)
		}
		apply(t, tree, effs)
		if got := string(tree[name].Data); got != c[1] {
			t.Errorf("%s: %q became %q, want %q", name, c[0], got, c[1])
		}
	}
}

// TestForcedPartition: GRUB's settings that make a partition the root are emptied, also where the partition is gone.
func TestForcedPartition(t *testing.T) {
	tree := sim.Files(map[string]string{"etc/fstab": "", "etc/default/grub.d/40-force-partuuid.cfg": "GRUB_FORCE_PARTUUID=deadbeef-0000-4000-8000-000000000000\n", "etc/default/grub": "GRUB_DEVICE_PARTUUID=x\n"})
	effs, err := Rewrites(loader.Known(), rewritePlan(), tree, "/")
	if err != nil {
		t.Fatal(err)
	}
	apply(t, tree, effs)
	for name, want := range map[string]string{"etc/default/grub.d/40-force-partuuid.cfg": "GRUB_FORCE_PARTUUID=\"\"\n", "etc/default/grub": "GRUB_DEVICE_PARTUUID=\"\"\n"} {
		if got := string(tree[name].Data); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// TestLabelInUse: the new root has the label of the old one only where nothing finds a filesystem by it.
func TestLabelInUse(t *testing.T) {
	for file, text := range map[string]string{
		"":                                "",
		"etc/default/grub.d/note.txt":     "root=LABEL=rootfs\n",
		"etc/default/grub.d/a.cfg":        "# root=LABEL=rootfs\n",
		"etc/crypttab":                    "x LABEL=rootfs none luks\n",
		"etc/default/grub":                "GRUB_CMDLINE_LINUX='\"root=LABEL=rootfs\"'\n",
		"etc/default/grub.d/b.cfg":        "GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX root=/dev/disk/by-label/rootfs\"\n",
		"etc/grub.d/40_custom":            "#!/bin/sh\nexec tail -n +3 $0\nmenuentry x {\n\tsearch --no-floppy --label --set=root rootfs\n}\n",
		"boot/grub/custom.cfg":            "search -l rootfs\n",
		"etc/initramfs-tools/conf.d/root": "ROOT=LABEL=rootfs\n",
		"boot/loader/entries/d.conf":      "options root=LABEL=rootfs\n",
		"etc/systemd/system/x.mount":      "[Mount]\nWhat=/dev/disk/by-label/rootfs\n",
	} {
		w := newWorld(t)
		if file != "" {
			w.Trees[sim.OldRoot][file] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
		}
		p, _ := planned(t, w, nil)
		want := ""
		if text == "" || strings.HasPrefix(text, "# ") || strings.HasSuffix(file, ".txt") {
			want = "rootfs"
		}
		if got := p.Target.MountedAt("/").FS.Label; got != want {
			t.Errorf("%s: the new root has the label %q, want %q", file, got, want)
		}
	}
}

// TestLabelEscaped: a system that finds its root by a label, escaped as udev does, moves; the new root has no label that the
// old system could find instead.
func TestLabelEscaped(t *testing.T) {
	m := sim.Install(t, sim.Layout{DiskSize: 1024 * sim.MiB, Parts: []sim.Part{
		{Kind: "bios_grub", Size: sim.MiB},
		{Kind: "linux", Size: 700 * sim.MiB, UUID: sim.OldRoot, Label: "root disk", Mount: "/", Fstab: `/dev/disk/by-label/root\x20disk / ext4 errors=remount-ro 0 1` + "\n"},
		{Kind: "swap", Size: 100 * sim.MiB, UUID: sim.OldSwap, Fstab: "UUID=" + sim.OldSwap + " none swap sw 0 0\n"},
	}})
	m.Rules = rules()
	w := &world{m}
	p, text := planned(t, w, nil)
	if got, was := p.Target.Filesystems()[0].FS.Label, p.Source.Filesystems()[0].FS.Label; got != "" || was != "root disk" {
		t.Errorf("label %q, was %q", got, was)
	}
	if err := w.migrate(p, text, sim.Fault{}); err != nil {
		t.Fatal(err)
	}
	if got := string(w.Trees[p.Boot.Root]["etc/fstab"].Data); !strings.Contains(got, "UUID="+p.Boot.Root+" / ext4") && !strings.Contains(got, "by-uuid/"+p.Boot.Root+" / ext4") {
		t.Errorf("fstab is\n%s", got)
	}
}
