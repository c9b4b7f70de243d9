package stage

import (
	"bytes"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"

	"migrate-init/boot"
	"migrate-init/pkg/loader"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/sim"
)

// rewritePlan is a plan of fixed identities for tables of files: / and /srv, and swap.
func rewritePlan() *plan.Plan {
	const a1, a2 = "a1a1a1a1:00000000:00000000:00000001", "a1a1a1a1:00000000:00000000:00000002"
	target := plan.Graph{
		{Ref: "disk:new1", Layer: plan.Layer{Disk: &plan.Disk{ByID: "/dev/disk/by-id/virtio-NEW"}}},
		{Ref: "md:" + a1, Layer: plan.Layer{MD: &plan.MD{Name: "server:root", Level: 1, Metadata: "1.2"}}},
		{Ref: "md:" + a2, Layer: plan.Layer{MD: &plan.MD{Name: "server:srv", Level: 1, Metadata: "1.2"}}},
		{Ref: "fs:bbbbbbbb-0000-4000-8000-000000000001", Layer: plan.Layer{FS: &plan.FS{Type: "ext4", Mount: "/"}}},
		{Ref: "fs:bbbbbbbb-0000-4000-8000-000000000002", Layer: plan.Layer{FS: &plan.FS{Type: "ext4", Mount: "/srv"}}},
		{Ref: "swap:bbbbbbbb-0000-4000-8000-000000000003", Layer: plan.Layer{Swap: &plan.Swap{}}},
	}
	return &plan.Plan{ID: testPlan, To: "raid1", Machine: plan.Host{Family: "debian", Initrd: "initramfs-tools"},
		Source: plan.Graph{
			{Ref: "disk:old1", Layer: plan.Layer{Disk: &plan.Disk{}}},
			{Ref: "fs:" + sim.OldRoot, On: []plan.Ref{"part:aaaaaaaa-0000-4000-8000-000000000002"}, Was: "/dev/vda2", Layer: plan.Layer{FS: &plan.FS{Type: "ext4", Label: "rootfs", Spec: "UUID=" + sim.OldRoot, Mount: "/"}}},
			{Ref: "fs:" + sim.OldSrv, On: []plan.Ref{"part:aaaaaaaa-0000-4000-8000-000000000003"}, Was: "/dev/vda3", Layer: plan.Layer{FS: &plan.FS{Type: "ext4", Label: "data", Spec: "LABEL=data", Mount: "/srv"}}},
			{Ref: "swap:" + sim.OldSwap, On: []plan.Ref{"part:aaaaaaaa-0000-4000-8000-000000000004"}, Was: "/dev/vda4", Layer: plan.Layer{Swap: &plan.Swap{Spec: "/dev/vda4"}}},
		},
		Target: target, Final: target,
		Moves: []plan.Move{{From: "fs:" + sim.OldRoot, To: "fs:bbbbbbbb-0000-4000-8000-000000000001"}, {From: "fs:" + sim.OldSrv, To: "fs:bbbbbbbb-0000-4000-8000-000000000002"},
			{From: "swap:" + sim.OldSwap, To: "swap:bbbbbbbb-0000-4000-8000-000000000003", Engine: plan.EngineMake}},
		Boot: plan.Booting{Loader: "grub", Kernel: "/boot/vmlinuz-6.1", Mount: "/", BootFS: sim.OldRoot,
			Own: map[string]string{"dir": "/boot/grub", "custom": "/boot/grub/custom.cfg", "env": "/boot/grub/grubenv", "prefix": "/boot", "once": "next_entry"}},
	}
}

// apply carries out effects on files of a tree.
func apply(t *testing.T, tree fstest.MapFS, effs []machine.Effect) {
	t.Helper()
	if tree["boot/grub"] == nil {
		tree["boot/grub"] = &fstest.MapFile{Mode: fs.ModeDir | 0o755} // what boots has it
	}
	w := &world{&sim.Machine{TB: t, Root: tree}}
	if err := doAll(w, effs); err != nil {
		t.Fatal(err)
	}
}

// TestRewrites applies the rewriting to testdata/rewrite/NAME.txtar: files "in/..." become "out/...", and a second time changes nothing.
func TestRewrites(t *testing.T) {
	for _, name := range []string{"debian", "odd", "settings"} {
		t.Run(name, func(t *testing.T) {
			a, err := txtar.ParseFile("testdata/rewrite-" + name + ".txtar")
			if err != nil {
				t.Fatal(err)
			}
			tree, got := fstest.MapFS{}, &txtar.Archive{Comment: a.Comment}
			for _, f := range a.Files {
				if in, ok := strings.CutPrefix(f.Name, "in/"); ok {
					tree[in] = &fstest.MapFile{Data: bytes.Clone(f.Data), Mode: 0o644}
					got.Files = append(got.Files, f)
				}
			}
			env := boot.NewGrubenv()
			for _, kv := range [][2]string{{"saved_entry", "gnulinux-simple-" + strings.ToUpper(sim.OldRoot)}, {"next_entry", boot.MigrateEntryID(testPlan)}, {boot.TriedVariable, testPlan}} {
				if err := env.Set(kv[0], kv[1]); err != nil {
					t.Fatal(err)
				}
			}
			tree["boot/grub/grubenv"] = &fstest.MapFile{Data: env.Bytes(), Mode: 0o644}
			p := rewritePlan()
			tree[strings.TrimPrefix(ScheduledKernel(p), "/")] = &fstest.MapFile{}
			tree[strings.TrimPrefix(ScheduledImage(p), "/")] = &fstest.MapFile{}
			before := values(tree)
			effs, err := Rewrites(loader.Known(), p, tree, "/")
			if err != nil {
				t.Fatal(err)
			}
			apply(t, tree, effs)
			got.Files = append(got.Files, changes(before, tree)...)
			golden(t, "rewrite-"+name, got)
			if again, err := Rewrites(loader.Known(), p, tree, "/"); err != nil || len(again) > 0 {
				t.Errorf("a second time: %v, %v", again, err)
			}
		})
	}
}

func values(tree fstest.MapFS) map[string]fstest.MapFile {
	out := map[string]fstest.MapFile{}
	for n, f := range tree {
		out[n] = *f
	}
	return out
}

// changes lists what became otherwise, as files of an archive.
func changes(before map[string]fstest.MapFile, tree fstest.MapFS) []txtar.File {
	var out []txtar.File
	for n := range before {
		if tree[n] == nil {
			out = append(out, txtar.File{Name: "gone/" + n})
		}
	}
	for n, f := range tree {
		was, there := before[n]
		if there && was.Mode == f.Mode && bytes.Equal(was.Data, f.Data) {
			continue
		}
		name, data := "out/"+n, bytes.Clone(f.Data)
		switch {
		case f.Mode.IsDir():
			name = "dir/" + n
		case f.Mode&fs.ModeSymlink != 0:
			name, data = "link/"+n, append(data, '\n')
		case len(data) == 1024:
			data = append(bytes.TrimRight(data, "#"), '\n')
		}
		out = append(out, txtar.File{Name: fmt.Sprintf("%s (%04o)", name, f.Mode.Perm()), Data: data})
	}
	slices.SortFunc(out, func(a, b txtar.File) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// TestRewritesCut: however many of the effects were carried out, the rest follows, and the end is the same.
func TestRewritesCut(t *testing.T) {
	p := rewritePlan()
	start := func() fstest.MapFS {
		a, err := txtar.ParseFile("testdata/rewrite-debian.txtar")
		if err != nil {
			t.Fatal(err)
		}
		tree := fstest.MapFS{}
		for _, f := range a.Files {
			if in, ok := strings.CutPrefix(f.Name, "in/"); ok {
				tree[in] = &fstest.MapFile{Data: bytes.Clone(f.Data), Mode: 0o644}
			}
		}
		for _, n := range []string{ScheduledKernel(p), ScheduledImage(p), ScheduleFile} {
			tree[strings.TrimPrefix(n, "/")] = &fstest.MapFile{}
		}
		return tree
	}
	want := start()
	all, err := Rewrites(loader.Known(), p, want, "/")
	if err != nil {
		t.Fatal(err)
	}
	apply(t, want, all)
	for n := range all {
		tree := start()
		apply(t, tree, all[:n])
		rest, err := Rewrites(loader.Known(), p, tree, "/")
		if err != nil {
			t.Fatal(err)
		}
		apply(t, tree, rest)
		if d := sim.Diff(want, tree); d != "" {
			t.Errorf("after %v: %s", all[max(0, n-1)], d)
		}
	}
}

// TestRewritesLinks: a settings file that is a link is rewritten where it is, inside the root, and the link stays.
func TestRewritesLinks(t *testing.T) {
	tree := sim.Files(map[string]string{"srv/etc/grub": "GRUB_CMDLINE_LINUX=root=/dev/vda2\n", "etc/fstab": "", "boot/grub/x": ""})
	tree["etc/default/grub"] = &fstest.MapFile{Data: []byte("/data/grub"), Mode: fs.ModeSymlink | 0o777}
	tree["etc/default"] = &fstest.MapFile{Mode: fs.ModeDir | 0o755}
	tree["data"] = &fstest.MapFile{Data: []byte("srv/etc"), Mode: fs.ModeSymlink | 0o777}
	tree["etc/initramfs-tools/conf.d/nowhere"] = &fstest.MapFile{Data: []byte("/gone"), Mode: fs.ModeSymlink | 0o777}
	effs, err := Rewrites(loader.Known(), rewritePlan(), tree, "/t")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range effs {
		if w, ok := e.(machine.WriteFile); ok && w.Path == "/t/srv/etc/grub" {
			if got := string(w.Data); got != "GRUB_CMDLINE_LINUX=root=UUID=bbbbbbbb-0000-4000-8000-000000000001\n" {
				t.Errorf("%q", got)
			}
			return
		}
	}
	t.Errorf("no effect on the file behind the links: %v", effs)
}

// TestRewritesRefuses: what only running a file could tell is left alone, unless it is of the old system.
func TestRewritesRefuses(t *testing.T) {
	for grub, want := range map[string]string{
		"GRUB_CMDLINE_LINUX=\"$X crashkernel=1G\"\n":                                     "",
		"if true; then GRUB_CMDLINE_LINUX=quiet; fi\n":                                   "",
		"GRUB_CMDLINE_LINUX=\"$X root=UUID=" + sim.OldRoot + "\"\n":                      "",
		"# GRUB_DEVICE=/dev/vda2\nGRUB_CMDLINE_LINUX=\"$X\"\n":                           "",
		"GRUB_CMDLINE_LINUX=\"$X root=/dev/vda2\"\n":                                     "names /dev/vda2 of the old system",
		"GRUB_CMDLINE_LINUX=\"$X root=PARTUUID=AAAAAAAA-0000-4000-8000-000000000002\"\n": "names aaaaaaaa-0000-4000-8000-000000000002 of the old system",
		"GRUB_CMDLINE_LINUX=\"unterminated\n":                                            "",
		"GRUB_CMDLINE_LINUX=\"unterminated root=/dev/vda2\n":                             "name it by UUID there",
	} {
		_, err := Rewrites(loader.Known(), rewritePlan(), sim.Files(map[string]string{"etc/default/grub": grub}), "/")
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "/etc/default/grub")) {
			t.Errorf("%q: %v, want %q", grub, err, want)
		}
	}
}

// TestRewritesMdadm: what would keep mdadm from a new member is replaced, through links too; what is of others stays.
func TestRewritesMdadm(t *testing.T) {
	p := rewritePlan()
	p.Final = plan.Graph{{Ref: "disk:new1", Was: "/dev/sdb", Layer: plan.Layer{Disk: &plan.Disk{}}}, {Ref: "disk:old1", Was: "/dev/nvme0n1", Layer: plan.Layer{Disk: &plan.Disk{}}}}
	for _, on := range []plan.Ref{"disk:new1", "disk:old1"} {
		p.Final = append(p.Final, plan.Node{Ref: "part:1" + on, On: []plan.Ref{on}, Layer: plan.Layer{Part: &plan.Part{Number: 1, Role: plan.RoleBIOSGrub}}},
			plan.Node{Ref: "part:3" + on, On: []plan.Ref{on}, Layer: plan.Layer{Part: &plan.Part{Number: 3, Role: plan.RoleRaid}}})
	}
	const ours = "ARRAY /dev/md/root metadata=1.2 UUID=a1a1a1a1:00000000:00000000:00000001\nARRAY /dev/md/srv metadata=1.2 UUID=a1a1a1a1:00000000:00000000:00000002\n"
	for _, c := range []struct{ before, after, refused string }{
		{"DEVICE /dev/sda* /dev/sdb*\n", "DEVICE partitions containers\n" + ours + "HOMEHOST server\n", ""}, // not after another disk is found first
		{"DEVICE containers # c\nHOMEHOST <ignore>\n", "DEVICE partitions containers # c\nHOMEHOST <ignore> server\n" + ours, ""},
		{"DEVICE /dev/sd*[0-9] /dev/nvme*\nHOMEHOST server\n", "DEVICE /dev/sd*[0-9] /dev/nvme*\nHOMEHOST server\n" + ours, ""},
		{"HOMEHOST server\nARRAY /dev/md/data UUID=deadbeef:00000000:00000000:00000000 # mine\n" + ours + ours,
			"HOMEHOST server\nARRAY /dev/md/data UUID=deadbeef:00000000:00000000:00000000 # mine\n" + ours, ""},
		{"HOMEHOST server\nARRAY /dev/md/root devices=/dev/sda1,/dev/sdb1\n", "HOMEHOST server\n" + ours, ""},
		{"HOMEHOST server\nARRAY /dev/md0 name=server:root\n", "HOMEHOST server\nARRAY /dev/md0 name=server:root\n" + ours, "line 2, which names no UUID"},
		{"HOMEHOST server\nARRAY /dev/md0 name=root\n", "HOMEHOST server\nARRAY /dev/md0 name=root\n" + ours, "line 2, which names no UUID"},
		{"HOMEHOST server\nARRAY /dev/md/root metadata=1.2 UUID=deadbeef:00000000:00000000:00000000\n", "HOMEHOST server\nARRAY metadata=1.2 UUID=deadbeef:00000000:00000000:00000000\n" + ours, ""},
		{"HOMEHOST server\nARRAY /dev/md/srv UUID=deadbeef:0:0:0 UUID=a1a1a1a1:00000000:00000000:00000001\n", "HOMEHOST server\nARRAY /dev/md/root metadata=1.2 UUID=a1a1a1a1:00000000:00000000:00000001\nARRAY /dev/md/srv metadata=1.2 UUID=a1a1a1a1:00000000:00000000:00000002\n", ""},
		{"HOMEHOST server\nARRAY /dev/md/a UUID=deadbeef:00000000:00000000:00000000\nARRAY /dev/md/a UUID=deadbeef:00000000:00000000:00000001\n",
			"HOMEHOST server\nARRAY /dev/md/a UUID=deadbeef:00000000:00000000:00000000\nARRAY /dev/md/a UUID=deadbeef:00000000:00000000:00000001\n" + ours, "line 2 and line 3 give two arrays one device name, /dev/md/a"},
		{"HOMEHOST server\nDEVICE /dev/sd[!a-y]* /dev/sdb* /dev/nvme*\n", "HOMEHOST server\nDEVICE /dev/sd[!a-y]* /dev/sdb* /dev/nvme*\n" + ours, ""},
		{"HOMEHOST server\nDEVICE /dev/sd[!b]* /dev/nvme*\n", "HOMEHOST server\nDEVICE partitions containers\n" + ours, ""},
		{"HOMEHOST server\nARRAY /dev/md0 devices=/dev/sd*\n", "HOMEHOST server\nARRAY /dev/md0 devices=/dev/sd*\n" + ours, "line 2, which names no UUID"},
	} {
		tree := sim.Files(map[string]string{"etc/mdadm.conf": c.before, "etc/fstab": "UUID=" + sim.OldRoot + " / ext4 defaults 0 1\nLABEL=data /srv/ ext4 defaults 0 2\n"})
		tree["etc/mdadm/mdadm.conf"] = &fstest.MapFile{Data: []byte("../mdadm.conf"), Mode: fs.ModeSymlink | 0o777}
		tree["etc/mdadm"] = &fstest.MapFile{Mode: fs.ModeDir | 0o755}
		effs, err := Rewrites(loader.Known(), p, tree, "/")
		if err != nil {
			t.Fatal(err)
		}
		pr, err := newProver(loader.Known(), p, tree)
		if err != nil {
			t.Fatal(err)
		}
		pr.rewritten(effs)
		if err := pr.mdadm().Err(); (err == nil) != (c.refused == "") || err != nil && !strings.Contains(err.Error(), c.refused) {
			t.Errorf("%q: %v, want %q", c.before, err, c.refused)
		}
		apply(t, tree, effs)
		if got := string(tree["etc/mdadm.conf"].Data); got != c.after {
			t.Errorf("%q became\n%s\nwant\n%s", c.before, got, c.after)
		}
		if tree["etc/mdadm/mdadm.conf"].Mode&fs.ModeSymlink == 0 {
			t.Error("the link is gone")
		}
	}
}

// TestMdadmFiles: the file that mdadm reads is the one that is rewritten, and the lines of its directory count.
func TestMdadmFiles(t *testing.T) {
	const ours = "ARRAY /dev/md/root metadata=1.2 UUID=a1a1a1a1:00000000:00000000:00000001\nARRAY /dev/md/srv metadata=1.2 UUID=a1a1a1a1:00000000:00000000:00000002\n"
	for name, c := range map[string]struct {
		files            map[string]string
		written, refused string
	}{
		"none":              {nil, "etc/mdadm/mdadm.conf", ""},
		"the usual one":     {map[string]string{"etc/mdadm/mdadm.conf": "MAILADDR x\n", "etc/mdadm.conf": "ARRAY /dev/md/root UUID=deadbeef:00000000:00000000:00000000\n"}, "etc/mdadm/mdadm.conf", ""},
		"the other alone":   {map[string]string{"etc/mdadm.conf": "MAILADDR x\n"}, "etc/mdadm.conf", ""},
		"a directory":       {map[string]string{"etc/mdadm/mdadm.conf.d/a.conf": "ARRAY /dev/md/root UUID=deadbeef:00000000:00000000:00000000\n"}, "etc/mdadm/mdadm.conf", "line 1 and /etc/mdadm/mdadm.conf.d/a.conf line 1 give two arrays one device name, /dev/md/root"},
		"the other's":       {map[string]string{"etc/mdadm.conf": "", "etc/mdadm.conf.d/a.conf": "DEVICE /dev/sda\n", "etc/mdadm/mdadm.conf.d/b.conf": "DEVICE /dev/sdb\n"}, "etc/mdadm.conf", "its DEVICE lines (/dev/sda) leave out"},
		"what mdadm passes": {map[string]string{"etc/mdadm/mdadm.conf.d/a.bak": "ARRAY /dev/md/root name=root\n", "etc/mdadm/mdadm.conf.d/.a.conf": "ARRAY /dev/md/root name=root\n"}, "etc/mdadm/mdadm.conf", ""},
		"ours once more":    {map[string]string{"etc/mdadm/mdadm.conf.d/a.conf": "ARRAY UUID=a1a1a1a1:00000000:00000000:00000002\n"}, "etc/mdadm/mdadm.conf", "/etc/mdadm/mdadm.conf.d/a.conf line 1 is a second one for array"},
	} {
		p := rewritePlan()
		p.Final = plan.Graph{{Ref: "disk:new1", Was: "/dev/sdb", Layer: plan.Layer{Disk: &plan.Disk{}}}, {Ref: "part:3", On: []plan.Ref{"disk:new1"}, Layer: plan.Layer{Part: &plan.Part{Number: 3, Role: plan.RoleRaid}}}}
		tree := sim.Files(map[string]string{"etc/fstab": ""})
		for n, text := range c.files {
			tree[n] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
		}
		effs, err := Rewrites(loader.Known(), p, tree, "/")
		if err != nil {
			t.Fatal(err)
		}
		pr, err := newProver(loader.Known(), p, tree)
		if err != nil {
			t.Fatal(err)
		}
		pr.rewritten(effs)
		if err := pr.mdadm().Err(); (err == nil) != (c.refused == "") || err != nil && !strings.Contains(err.Error(), c.refused) {
			t.Errorf("%s: %v, want %q", name, err, c.refused)
		}
		apply(t, tree, effs)
		for _, n := range []string{"etc/mdadm/mdadm.conf", "etc/mdadm.conf"} {
			if f := tree[n]; f != nil && strings.Contains(string(f.Data), ours) != (n == c.written) {
				t.Errorf("%s: %s is %q", name, n, f.Data)
			}
		}
	}
}

// TestRewritesIDs: names by the disk's own id, and disks that have none.
func TestRewritesIDs(t *testing.T) {
	p := rewritePlan()
	old, disk := p.Source.Node("disk:old1"), p.Target.Node("disk:new1")
	old.Was, old.Disk.ByID = "/dev/vda", "/dev/disk/by-id/virtio-OLD"
	disk.Disk.ByID, disk.Was = "", "/dev/vdb"
	tree := sim.Files(map[string]string{
		"etc/default/grub":             "GRUB_CMDLINE_LINUX=\"resume=/dev/disk/by-id/virtio-OLD-part4 root=/dev/disk/by-id/virtio-OLD-part2\"\n",
		"var/cache/debconf/config.dat": "Name: grub-pc/install_devices\nTemplate: grub-pc/install_devices\nValue: /dev/vda\n\n",
		"data/fstab":                   "/dev/disk/by-id/virtio-OLD-part2 / ext4 defaults 0 1\n/dev/disk/by-id/virtio-OLD-part22 /x ext4 nofail 0 0\n",
	})
	tree["etc/fstab"] = &fstest.MapFile{Data: []byte("/data/fstab"), Mode: fs.ModeSymlink | 0o777}
	tree["etc"] = &fstest.MapFile{Mode: fs.ModeDir | 0o755}
	effs, err := Rewrites(loader.Known(), p, tree, "/")
	if err != nil {
		t.Fatal(err)
	}
	apply(t, tree, effs)
	for name, want := range map[string]string{
		"etc/default/grub":             "GRUB_CMDLINE_LINUX=\"resume=UUID=bbbbbbbb-0000-4000-8000-000000000003 root=UUID=bbbbbbbb-0000-4000-8000-000000000001\"\n",
		"var/cache/debconf/config.dat": "Name: grub-pc/install_devices\nTemplate: grub-pc/install_devices\nValue: /dev/vdb\n\n",
		"data/fstab":                   "UUID=bbbbbbbb-0000-4000-8000-000000000001 / ext4 defaults 0 1\n/dev/disk/by-id/virtio-OLD-part22 /x ext4 nofail 0 0\n",
	} {
		if got := string(tree[name].Data); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if tree["x"] == nil {
		t.Error("the mount point of a line behind a link was not made")
	}
}
