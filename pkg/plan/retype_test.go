package plan

import (
	"slices"
	"strings"
	"testing"
)

// withTools installs the packages that make every type.
func withTools(f *Facts) {
	for i := range f.Distro.Packages {
		f.Distro.Packages[i].Installed = true
	}
}

func TestNewTypes(t *testing.T) {
	f, in := good(), wish()
	withTools(f)
	withMount(f, 1, "44", "/data", 100*mib)
	f.Fstab[2].Options = "noatime,data=ordered,nofail"
	in.Types = map[string]string{"/": "xfs", "/data": "btrfs"}
	p, found, err := New(in, f)
	if err != nil {
		t.Fatalf("%v\n%v", err, found)
	}
	root, data := p.Target.MountedAt("/"), p.Target.MountedAt("/data")
	if root.FS.Type != "xfs" || data.FS.Type != "btrfs" || !slices.Contains(root.FS.Features, "bigtime") || slices.Contains(root.FS.Features, "extent") || root.FS.Inodes != 0 || root.FS.BlockSize != 4096 {
		t.Errorf("%+v\n%+v", root.FS, data.FS)
	}
	for _, n := range []*Node{root, data} {
		m := p.MoveTo(n.Ref)
		if typ, changes := p.Retyped(m.From); m.Engine != EngineTree || !strings.Contains(m.Why, "it becomes "+n.FS.Type) || typ != n.FS.Type || !changes {
			t.Errorf("%+v", m)
		}
	}
	want(t, found, Warn, "plan.source", "--fs /data=btrfs", "data=ordered")
	// An old kernel does not get a root that it cannot read.
	f.Boot.Kernels = append(f.Boot.Kernels, Image{Release: "4.19.0-1", Path: "/boot/vmlinuz-4.19.0-1", Modules: true})
	if fs := planned(t, f, in).Target.MountedAt("/").FS; slices.Contains(fs.Features, "bigtime") || !slices.Contains(fs.Features, "reflink") {
		t.Errorf("with Linux 4.19: %q", fs.Features)
	}
	// The type that it has already is no change.
	in.Types = map[string]string{"/": "ext4"}
	if p := planned(t, f, in); p.MoveTo(p.Target.MountedAt("/").Ref).Engine != EngineExtent {
		t.Errorf("%+v", p.Moves)
	}
}

func TestNewTypesRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(f *Facts, in *Intent)
		id     string
		words  []string
	}{
		"unknown":       {func(_ *Facts, in *Intent) { in.Types = map[string]string{"/": "zfs"} }, "plan.source", []string{"--fs /=zfs", "use ext4, xfs or btrfs"}},
		"not made":      {func(_ *Facts, in *Intent) { in.Types = map[string]string{"/": "ext2"} }, "plan.source", []string{"--fs /=ext2"}},
		"nothing there": {func(_ *Facts, in *Intent) { in.Types = map[string]string{"/data": "xfs"} }, "plan.source", []string{"no filesystem that is moved is mounted at /data"}},
		"by blocks":     {func(_ *Facts, in *Intent) { in.Types, in.Engine = map[string]string{"/": "xfs"}, EngineExtent }, "plan.source", []string{"keeps the type"}},
		"no tools": {func(f *Facts, in *Intent) {
			in.Types = map[string]string{"/": "xfs"}
			f.Distro.Packages[2].Installed = false
		}, "package.present",
			[]string{"xfsprogs", "apt-get install xfsprogs"}},
		"its parameters": {func(f *Facts, in *Intent) {
			in.Types = map[string]string{"/": "xfs"}
			f.Kernel.Params = append(f.Kernel.Params, Param{Key: "rootfstype", Value: "ext4", Raw: "rootfstype=ext4"})
		}, "plan.source", []string{"rootfstype=ext4"}},
		"subvolumes": {func(f *Facts, in *Intent) { onBtrfs(f); in.Types = map[string]string{"/": "ext4"} }, "plan.source", []string{"subvolumes of the old filesystem"}},
	} {
		t.Run(name, func(t *testing.T) {
			f, in := good(), wish()
			withTools(f)
			c.change(f, &in)
			_, found, err := New(in, f)
			if err == nil {
				t.Fatal("planned")
			}
			want(t, found, Refuse, c.id, c.words...)
		})
	}
}

func TestAnyType(t *testing.T) {
	for o, want := range map[string]bool{"noatime": true, "x-systemd.automount": true, "comment=a": true, "errors=remount-ro": false, "subvol=@": false, "data=journal": false, "logbufs=8": false} {
		if AnyType(o) != want {
			t.Errorf("%s: %v", o, !want)
		}
	}
}
