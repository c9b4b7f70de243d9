package plan

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// onBtrfs makes the root a btrfs as distributions lay it out: @ at /, @home at /home, a nested subvolume, and a boot partition
// beside, since GRUB cannot write to btrfs.
func onBtrfs(f *Facts) *Content {
	d := f.Dev("vda2")
	c := &d.Contents[0]
	c.Type, c.Features, c.InodeSize, c.Inodes, c.NodeSize, c.Checksum, c.Members = "btrfs", []string{"extref", "skinny-metadata", "no-holes", "free-space-tree"}, 0, 0, 16384, "crc32c", 1
	c.Subvolumes = &Subvolumes{List: []Subvolume{{Path: "@"}, {Path: "@/var/lib/machines"}, {Path: "@home"}}}
	for i := range f.Distro.Packages {
		if f.Distro.Packages[i].Name == "btrfs-progs" {
			f.Distro.Packages[i] = Package{"btrfs-progs", true, "6.2"}
		}
	}
	f.Fstab[0].Type, f.Fstab[0].Options = "btrfs", "defaults,compress=zstd:3,subvol=@"
	home := f.Fstab[0]
	home.Target, home.Options = "/home", "subvol=/@home"
	f.Fstab = append(f.Fstab, home)
	f.Mounts[0].Type, f.Mounts[0].Root = "btrfs", "/@"
	f.Mounts = append(f.Mounts, Mount{Source: "/dev/vda2", Target: "/home", Type: "btrfs", Device: "vda2", Root: "/@home", Free: gib})
	d.MountedAt = append(d.MountedAt, "/home")
	return c
}

func TestNewBtrfs(t *testing.T) {
	f, in := good(), wish()
	onBtrfs(f)
	p, found, err := New(in, f)
	if err != nil {
		t.Fatalf("%v\n%v", err, found)
	}
	n := p.Target.MountedAt("/home")
	if n == nil || n != p.Target.MountedAt("/") || n.FS.Mount != "/" || n.FS.Type != "btrfs" || n.FS.Options != "compress=zstd:3" || n.FS.NodeSize != 16384 || n.FS.Checksum != "crc32c" || n.FS.Tools != "6.2" {
		t.Fatalf("%+v", n)
	}
	if m := p.MoveTo(n.Ref); m.Engine != EngineTree || !strings.Contains(m.Why, "not copied by blocks") {
		t.Errorf("%+v", m)
	}
	var places []string
	for _, x := range p.Target.Places() {
		places = append(places, x.Dir+" "+x.Options+" "+x.Root())
	}
	if want := []string{"/ subvol=/@ /@", "/home subvol=/@home /@home"}; !slices.Equal(places, want) {
		t.Errorf("%q, want %q", places, want)
	}
	b, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Read(bytes.NewReader(b))
	if err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	if got := again.Target.MountedAt("/home"); got == nil || !slices.Equal(got.FS.Subvols, n.FS.Subvols) {
		t.Errorf("read again: %+v", got)
	}
	if err := Check(p, f, Live).Err(); err != nil {
		t.Error(err)
	}
}

// A line without an option mounts the default subvolume; a filesystem that is only mounted as a whole has no parts.
func TestNewBtrfsWhole(t *testing.T) {
	f, in := good(), wish()
	c := onBtrfs(f)
	f.Fstab, f.Mounts = slices.Delete(f.Fstab, len(f.Fstab)-1, len(f.Fstab)), f.Mounts[:len(f.Mounts)-1]
	f.Fstab[0].Options, f.Mounts[0].Root = "defaults", "/"
	if p := planned(t, f, in); len(p.Target.MountedAt("/").FS.Subvols) != 0 || p.Target.Places()[0].Options != "" {
		t.Errorf("%+v", p.Target.MountedAt("/").FS)
	}
	c.Subvolumes.Default, f.Mounts[0].Root = "@", "/@"
	p := planned(t, f, in)
	if fs := p.Target.MountedAt("/").FS; fs.Default != "@" || p.Target.Places()[0].Options != "subvol=/@" {
		t.Errorf("%+v, %+v", fs, p.Target.Places())
	}
	f.Fstab[0].Options, f.Mounts[0].Root = "subvolid=5", "/"
	if p := planned(t, f, in); p.Target.Places()[0].Options != "subvolid=5" {
		t.Errorf("%+v", p.Target.Places())
	}
}

func TestNewBtrfsSnapshots(t *testing.T) {
	f, in := good(), wish()
	c := onBtrfs(f)
	c.Subvolumes.List = append(c.Subvolumes.List, Subvolume{Path: ".snapshots/1/snapshot", ReadOnly: true, Snapshot: true}, Subvolume{Path: ".snapshots/2/snapshot", Snapshot: true})
	_, found, err := New(in, f)
	if err == nil {
		t.Fatal("planned")
	}
	want(t, found, Refuse, "plan.source", "/dev/vda2", "snapshots", ".snapshots/1/snapshot, .snapshots/2/snapshot", "--leave-snapshots")
	in.LeaveSnapshots = true
	p, found, err := New(in, f)
	if err != nil {
		t.Fatalf("the fix does not fix it: %v", err)
	}
	want(t, found, Warn, "plan.source", "left behind", ".snapshots/1/snapshot")
	// One that is made later is left behind as well.
	c.Subvolumes.List = append(c.Subvolumes.List, Subvolume{Path: ".snapshots/3/snapshot", Snapshot: true})
	if err := Check(p, f, Live).Err(); err != nil {
		t.Error(err)
	}
	// A snapshot that fstab mounts moves.
	c.Subvolumes.List = append(c.Subvolumes.List[:3:3], Subvolume{Path: "@old", Snapshot: true})
	f.Fstab = append(f.Fstab, Fstab{Spec: f.Fstab[0].Spec, Name: f.Fstab[0].Name, Target: "/old", Type: "btrfs", Options: "subvol=@old", Device: "vda2"})
	in.LeaveSnapshots = false
	if p := planned(t, f, in); len(p.Target.Places()) != 3 {
		t.Errorf("%+v", p.Target.Places())
	}
}

func TestNewBtrfsRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(f *Facts, c *Content)
		words  []string
	}{
		"by number":         {func(f *Facts, _ *Content) { f.Fstab[0].Options = "subvolid=256" }, []string{"fstab line", "by its number", "subvol=/PATH"}},
		"no such subvolume": {func(f *Facts, _ *Content) { f.Fstab[0].Options = "subvol=@nix" }, []string{"there is no subvolume @nix"}},
		"not mounted":       {func(_ *Facts, c *Content) { c.Subvolumes = nil }, []string{"it is not mounted"}},
		"two devices":       {func(_ *Facts, c *Content) { c.Members = 2 }, []string{"a btrfs on 2 devices (/dev/vda2; missing: 1 device)"}},
		"two devices, both there": {func(f *Facts, c *Content) {
			c.Members = 2
			withPart(f, 1, RoleLinux, *c)
			for i := range f.Fstab {
				if f.Fstab[i].Device == "vda2" {
					f.Fstab[i].Device, f.Fstab[i].Ambiguous = "", []string{"vda2", "vda4"}
				}
			}
		}, []string{"a btrfs on 2 devices (/dev/vda2, /dev/vda4)", "btrfs device remove"}},
		"another one is mounted":    {func(f *Facts, _ *Content) { f.Mounts[0].Root = "/@rolled-back" }, []string{"mount point /", "/@rolled-back is mounted"}},
		"experimental":              {func(_ *Facts, c *Content) { c.Features = append(c.Features, "zoned") }, []string{"zoned"}},
		"two lines for a directory": {func(f *Facts, _ *Content) { f.Fstab[len(f.Fstab)-1].Target = "/" }, []string{"mount point /"}},
		"a subvolume in a snapshot": {func(_ *Facts, c *Content) {
			c.Subvolumes.List = append(c.Subvolumes.List, Subvolume{Path: "s", Snapshot: true}, Subvolume{Path: "s/db"})
		}, []string{"s/db lies in snapshot s"}},
	} {
		t.Run(name, func(t *testing.T) {
			f, in := good(), wish()
			c.change(f, onBtrfs(f))
			_, found, err := New(in, f)
			if err == nil {
				t.Fatal("planned")
			}
			want(t, found, Refuse, "plan.source", c.words...)
		})
	}
}

func TestCheckSubvolumes(t *testing.T) {
	for name, c := range map[string]struct {
		change func(f *Facts, c *Content)
		id     string
		words  []string
	}{
		"a snapshot": {func(_ *Facts, c *Content) {
			c.Subvolumes.List = append(c.Subvolumes.List, Subvolume{Path: "s", Snapshot: true})
		}, "source.subvolumes", []string{"snapshots", "--leave-snapshots"}},
		"another default":   {func(_ *Facts, c *Content) { c.Subvolumes.Default = "@" }, "source.subvolumes", []string{"its default subvolume is /@"}},
		"a subvolume less":  {func(_ *Facts, c *Content) { c.Subvolumes.List = c.Subvolumes.List[:2] }, "source.subvolumes", []string{"@home does not exist any more"}},
		"another subvolume": {func(f *Facts, _ *Content) { f.Fstab[len(f.Fstab)-1].Options = "subvol=@" }, "fstab.same", []string{"it mounts /home, which is not planned"}},
		"a line less":       {func(f *Facts, _ *Content) { f.Fstab = f.Fstab[:len(f.Fstab)-1] }, "fstab.same", []string{"no line mounts subvolume /@home at /home"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := good()
			x := onBtrfs(f)
			p := planned(t, f, wish())
			c.change(f, x)
			found := Check(p, f, Live)
			want(t, found, Refuse, c.id, c.words...)
		})
	}
}
