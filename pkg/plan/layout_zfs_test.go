package plan

import (
	"slices"
	"strings"
	"testing"
)

// withPools is the good machine with a /boot of its own, a /var, ZFS for its kernel, and empty disks.
func withPools(layout string, news int) (*Facts, Intent) {
	f, in := withDisks(layout, news)
	withMount(f, 2, "11111111-0000-0000-0000-00000000000c", "/var", gib/2)
	f.Boot.Device = withMount(f, 1, "11111111-0000-0000-0000-00000000000b", "/boot", gib/8).Name
	for i := range f.Devices {
		if d := &f.Devices[i]; d.Kind == KindDisk && d.Name != "vda" {
			d.Size = 20 * gib
		}
	}
	f.Rules.Families[0].Pools, f.Rules.Families[0].PoolModules = []string{"zfsutils-linux", "zfs-initramfs"}, "zfs-dkms"
	for i := range f.Boot.Kernels {
		f.Boot.Kernels[i].ZFS = "2.1.11-1"
	}
	for i := range f.Distro.Packages {
		f.Distro.Packages[i].Installed = true
	}
	f.Pooling = Pooling{HostID: "106bb6c4"}
	return f, in
}

// A pool takes everything but swap and what the boot loader reads, and never misses a device that it cannot do without.
func TestPoolLayouts(t *testing.T) {
	for _, c := range []struct {
		layout     string
		news       int
		old        string
		marks      string
		later      int
		halves     int64
		properties string
	}{
		{"zfs-mirror", 2, "", "[UU]", 0, 2, "autotrim=on"},
		{"zfs-mirror", 1, "", "[U_]", 1, 2, "autotrim=on"},
		{"zfs-mirror", 2, OldJoin, "[UU_]", 1, 2, "autotrim=on"},
		{"raidz1", 3, "", "[UUU]", 0, 4, "autotrim=on"},
		{"raidz2", 4, "", "[UUUU]", 0, 4, "autotrim=on"},
		{"raidz3", 5, "", "[UUUUU]", 0, 4, "autotrim=on"},
	} {
		t.Run(c.layout+c.marks, func(t *testing.T) {
			f, in := withPools(c.layout, c.news)
			in.Old = c.old
			p := planned(t, f, in)
			pools := p.Target.Pools()
			if len(pools) != 1 || pools[0].marks() != c.marks || len(p.LaterDisks()) != c.later {
				t.Fatalf("%d pools, %d disks that join", len(pools), len(p.LaterDisks()))
			}
			n := pools[0]
			if n.Pool.Name != PoolName || n.Pool.Ashift != 12 || n.Pool.HostID != "106bb6c4" || n.Pool.NewHostID || !slices.Contains(n.Pool.Properties, c.properties) {
				t.Errorf("%+v", n.Pool)
			}
			for _, want := range []string{"acltype=posixacl", "xattr=sa", "canmount=off", "mountpoint=none"} {
				if !slices.Contains(n.Pool.Options, want) {
					t.Errorf("no %s in %v", want, n.Pool.Options)
				}
			}
			for dir, name := range map[string]string{"/": "rpool/root", "/var": "rpool/var", "/boot": ""} {
				fs := p.Target.MountedAt(dir)
				if fs == nil {
					t.Fatalf("nothing at %s", dir)
				}
				d := p.Target.Node(fs.Lower())
				if (d.Dataset != nil) != (name != "") || d.Dataset != nil && (d.Dataset.Name != name || fs.FS.Type != PoolType || p.MoveTo(fs.Ref).Engine != EngineTree) {
					t.Errorf("%s is on %s, %s", dir, d.Ref, fs.FS.Type)
				}
			}
			for _, s := range p.Target.Swaps() {
				if p.Target.Node(s.Lower()).MD == nil {
					t.Errorf("swap is on %s", s.Lower())
				}
			}
			if got := p.RootParam(); got != "ZFS=rpool/root" {
				t.Errorf("root=%s", got)
			}
			all := c.halves * 10 * gib
			if room := p.Target.Room(n.Ref); room > all*31/32 || room < all*31/32-4*gib {
				t.Errorf("the pool has %s of %s", size(room), size(all))
			}
		})
	}
}

func TestPoolRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		do    func(f *Facts, in *Intent)
		id    string
		words []string
	}{
		"old disk in a raidz": {func(_ *Facts, in *Intent) { in.To, in.Old = "raidz1", OldJoin }, "plan.target", []string{"raidz1", "--old keep"}},
		"name":                {func(_ *Facts, in *Intent) { in.Pool = "mirror1" }, "plan.target", []string{"--pool mirror1", "reserved"}},
		"engine":              {func(_ *Facts, in *Intent) { in.Engine = EngineExtent }, "plan.target", []string{"files only"}},
		"property":            {func(_ *Facts, in *Intent) { in.Datasets = []string{"/var:atime"} }, "plan.target", []string{"--dataset /var:atime", "not a property"}},
		"mountpoint":          {func(_ *Facts, in *Intent) { in.Datasets = []string{"/var:mountpoint=/x"} }, "plan.target", []string{"leave mountpoint out"}},
		"boot":                {func(_ *Facts, in *Intent) { in.Datasets = []string{"/boot/efi"} }, "plan.target", []string{"does not move into the pool"}},
		"relative":            {func(_ *Facts, in *Intent) { in.Datasets = []string{"var"} }, "plan.target", []string{"not an absolute path"}},
		"exported pool of the name": {func(f *Facts, _ *Intent) {
			f.Pools = []StoragePool{{GUID: "1111", Name: "rpool", TXG: 4, State: "exported", Members: []PoolMember{{Device: "vdz3", GUID: "5"}}}}
		}, "identity.unique", []string{"another pool has this name", "GUID 1111", "/dev/vdz3", "--pool NAME"}},
		"no modules": {func(f *Facts, _ *Intent) { f.Boot.Kernels[0].ZFS = "" }, "pool.modules", []string{"no modules of ZFS", "zfs-dkms"}},
		"no tools": {func(f *Facts, _ *Intent) {
			for i := range f.Distro.Packages {
				if strings.HasPrefix(f.Distro.Packages[i].Name, "zfs") {
					f.Distro.Packages[i].Installed = false
				}
			}
		}, "package.present", []string{"zfsutils-linux", "zfs-initramfs", "apt-get install"}},
		"signatures": {func(f *Facts, _ *Intent) { f.Pooling.Signed = true }, "pool.modules", []string{"signed modules only"}},
	} {
		t.Run(name, func(t *testing.T) {
			f, in := withPools("zfs-mirror", 3)
			c.do(f, &in)
			_, found, err := New(in, f)
			if err == nil {
				t.Fatal("planned")
			}
			want(t, found, Refuse, c.id, c.words...)
		})
	}
}

// What a plan of a pool asks of the machine later: the same host id, and one pool that is the planned one.
func TestPoolChecks(t *testing.T) {
	f, in := withPools("zfs-mirror", 2)
	p := planned(t, f, in)
	n := p.Target.Pools()[0]
	own := StoragePool{GUID: "2222", Name: "rpool", Comment: n.Comment(), TXG: 4, State: "active", Members: []PoolMember{{Device: "vdb9", GUID: "7"}, {Device: "vdc9", GUID: "7"}}}
	f.Pools = []StoragePool{own}
	want(t, Check(p, f, Offline), Refuse, "identity.unique", "ambiguous", "/dev/vdb9", "GUID 2222")
	own.Members[1].GUID = "8"
	f.Pools = []StoragePool{own}
	want(t, Check(p, f, Offline), Refuse, "identity.unique", "/dev/vdb9 has a label of it")
	f.Pools = append([]StoragePool{}, StoragePool{GUID: "1111", Name: "rpool", TXG: 9, State: "exported", Members: []PoolMember{{Device: "vdx", GUID: "9", Tail: true}}}, own)
	want(t, Check(p, f, Offline), Refuse, "identity.unique", "GUID 1111", "the planned one has GUID 2222")
	f.Pools = nil
	f.Pooling.HostID = "00bab10c"
	want(t, Check(p, f, Live), Refuse, "pool.host-id", "00bab10c", "106bb6c4")
	f.Boot.Kernels[0].ZFS = ""
	want(t, Check(p, f, Live), Refuse, "pool.modules", "no modules of ZFS")
}

// A pool of a planned size on devices of that size: never smaller than asked, and no device larger than it must be.
func TestPoolRoom(t *testing.T) {
	for _, v := range vdevTypes() {
		for devices := v.raid().least; devices < 9; devices++ {
			for n := mib; n < 1<<45; n = n*3 + 7777 {
				m := poolMember(v.name, devices, n)
				if got := poolRoom(v.name, devices, m); got < n || m%mib != 0 {
					t.Fatalf("%s of %d: devices of %d bytes offer %d, want %d", v.name, devices, m, got, n)
				}
				if got := poolRoom(v.name, devices, m-16*mib); got >= n && m > 200*mib {
					t.Fatalf("%s of %d: devices of %d bytes would do for %d", v.name, devices, m-16*mib, n)
				}
			}
		}
	}
	if got := poolRoom("stripe", 2, 1<<40); got != 0 {
		t.Errorf("a stripe has %d", got)
	}
}
