package stage

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"migrate-init/pkg/copy"
	"migrate-init/pkg/fstab"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/mkfs"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/probe"
	"migrate-init/pkg/tree"
)

// listing is a copier that knows some subvolumes.
type listing struct {
	copy.Copier
	list []tree.Subvolume
}

func (l listing) Subvolumes(string) ([]tree.Subvolume, error) { return l.list, nil }

func TestSubvolumesOfAJob(t *testing.T) {
	node := func(fs plan.FS) *plan.Node { return &plan.Node{Layer: plan.Layer{FS: &fs}} }
	parts := plan.FS{Type: "btrfs", Mount: "/", Subvols: []plan.Subvol{{Path: "@", Mount: "/"}, {Path: "@home", Mount: "/home"}}}
	list := []tree.Subvolume{{Path: "@"}, {Path: "@/lib", ReadOnly: true}, {Path: "@home", Snapshot: true}, {Path: "new"}}
	snapshot := tree.Subvolume{Path: "snap", Snapshot: true}
	e := &Env{Copier: listing{list: list}}
	var j copy.Job
	if err := e.subvolumes(node(parts), node(parts), &j); err != nil || !slices.Equal(j.Subvolumes, []string{"@", "@/lib", "@home", "new"}) || !slices.Equal(j.ReadOnly, []string{"@/lib"}) || len(j.Exclude) != 0 {
		t.Errorf("%v, %+v", err, j)
	}
	e.Copier = listing{list: append(list, snapshot)}
	if err := e.subvolumes(node(parts), node(parts), &j); err == nil || !strings.Contains(err.Error(), "snap") || !strings.Contains(err.Error(), "--leave-snapshots") {
		t.Errorf("a snapshot that no one agreed to lose: %v", err)
	}
	parts.LeaveSnapshots, j = true, copy.Job{}
	if err := e.subvolumes(node(parts), node(parts), &j); err != nil || !slices.Equal(j.Exclude, []string{"snap"}) || slices.Contains(j.Subvolumes, "snap") {
		t.Errorf("%v, %+v", err, j)
	}
	j = copy.Job{}
	if err := e.subvolumes(node(plan.FS{Type: "ext4"}), node(plan.FS{Type: "ext4"}), &j); err != nil || j.Subvolumes != nil {
		t.Errorf("a type without: %v, %+v", err, j)
	}
}

func TestRetype(t *testing.T) {
	r := &rewriter{p: &plan.Plan{
		Source: plan.Graph{{Ref: "fs:1", Layer: plan.Layer{FS: &plan.FS{Type: "ext4"}}}, {Ref: "fs:3", Layer: plan.Layer{FS: &plan.FS{Type: "ext4"}}}},
		Target: plan.Graph{{Ref: "fs:2", Layer: plan.Layer{FS: &plan.FS{Type: "xfs"}}}, {Ref: "fs:4", Layer: plan.Layer{FS: &plan.FS{Type: "ext4"}}}},
		Moves:  []plan.Move{{From: "fs:1", To: "fs:2"}, {From: "fs:3", To: "fs:4"}},
	}}
	for _, c := range []struct{ line, to, want string }{
		{"UUID=2 / ext4 errors=remount-ro 0 1\n", "2", "UUID=2 / xfs defaults 0 1\n"},
		{"UUID=2 / ext4 noatime,data=journal,x-a=b 0 1\n", "2", "UUID=2 / xfs noatime,x-a=b 0 1\n"},
		{"UUID=4 /x ext4 noatime,subvolid=256,subvol=/@\n", "4", "UUID=4 /x ext4 noatime,subvol=/@\n"},
		{"UUID=4 /x ext4 subvolid=5\n", "4", "UUID=4 /x ext4 subvolid=5\n"},
		{"UUID=2 / ext4\n", "2", "UUID=2 / xfs\n"},
		{"UUID=4 /x ext4 errors=remount-ro 0 1\n", "4", "UUID=4 /x ext4 errors=remount-ro 0 1\n"},
	} {
		tab, err := fstab.Parse([]byte(c.line))
		if err == nil {
			err = r.retype(&tab, tab.Entries()[0], c.to)
		}
		if got := string(tab.Bytes()); err != nil || got != c.want {
			t.Errorf("%q: %q, %v; want %q", c.line, got, err, c.want)
		}
	}
}

// TestRoundTrips makes, copies, verifies and finalizes as a migration does, on loop devices: the types' own programs judge the
// result, and its identity is the planned one.
func TestRoundTrips(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOT TESTED: loop devices need root")
	}
	const id = "11111111-2222-4333-8444-555555555555"
	for _, c := range []struct {
		name     string
		mkfs     []string
		from, to string
		engine   string
		judge    []string
	}{
		{"xfs by blocks", []string{"mkfs.xfs", "-q", "-f", "-L", "old"}, "xfs", "xfs", copy.Extent, []string{"xfs_repair", "-n"}},
		{"xfs by files", []string{"mkfs.xfs", "-q", "-f", "-L", "old", "-m", "rmapbt=1"}, "xfs", "xfs", copy.Tree, []string{"xfs_repair", "-n"}},
		{"ext4 to xfs", []string{"mke2fs", "-q", "-F", "-t", "ext4"}, "ext4", "xfs", copy.Tree, []string{"xfs_repair", "-n"}},
		{"btrfs", []string{"mkfs.btrfs", "-q", "-f"}, "btrfs", "btrfs", copy.Tree, []string{"btrfs", "check"}},
		{"xfs to btrfs", []string{"mkfs.xfs", "-q", "-f"}, "xfs", "btrfs", copy.Tree, []string{"btrfs", "check"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			from, to := loopFile(t, 320<<20), loopFile(t, 384<<20)
			program(t, append(c.mkfs, from)...)
			src, dst := mountAt(t, from, c.from, ""), filepath.Join(t.TempDir(), "new")
			for _, dir := range []string{"a/b", "home"} {
				if err := os.MkdirAll(filepath.Join(src, dir), 0o750); err != nil {
					t.Fatal(err)
				}
			}
			if c.from == "btrfs" {
				program(t, "btrfs", "subvolume", "create", src+"/@")
				program(t, "btrfs", "subvolume", "snapshot", "-r", src+"/@", src+"/@ro")
				program(t, "btrfs", "subvolume", "set-default", src+"/@")
			}
			for _, f := range []string{"a/b/c", "home/d"} {
				if err := os.WriteFile(filepath.Join(src, f), []byte(strings.Repeat(f, 30000)), 0o640); err != nil {
					t.Fatal(err)
				}
			}
			program(t, "umount", src)
			t.Cleanup(func() { _ = exec.Command("umount", src, dst).Run() })
			j := copy.Job{Engine: c.engine, Type: c.to, From: src, To: dst, FromDev: from, ToDev: to, NewUUID: id, NewLabel: "new"}
			x := probedDevice(t, from)
			if c.engine == copy.Tree {
				s := mkfs.Spec{Type: c.to, Device: to, UUID: id, Label: "new"}
				switch {
				case c.from == c.to && x.XFS != nil:
					s.Features, s.InodeSize, s.BlockSize = x.XFS.Features, x.XFS.InodeSize, x.BlockSize
				case c.from == c.to && x.Btrfs != nil:
					s.Features, s.NodeSize, s.Checksum = x.Btrfs.Features, x.Btrfs.NodeSize, x.Btrfs.Checksum
				}
				argv, err := mkfs.Argv(s)
				if err != nil {
					t.Fatal(err)
				}
				program(t, argv...)
				t1, t2 := plan.FSTypeOf(c.from), plan.FSTypeOf(c.to)
				mountOn(t, from, src, c.from, plan.JoinOptions("ro", t1.ReadOnly, t1.Whole))
				mountOn(t, to, dst, c.to, t2.Whole)
				if c.from == "btrfs" {
					e := &Env{Copier: &copy.Engines{}}
					n := &plan.Node{Layer: plan.Layer{FS: &plan.FS{Type: "btrfs", Mount: "/", Default: "@", Subvols: []plan.Subvol{{Path: "@", Mount: "/"}, {Path: "@ro", Mount: "/ro"}}}}}
					if err := e.subvolumes(n, n, &j); err != nil {
						t.Fatal(err)
					}
				}
			} else if err := os.Mkdir(dst, 0o755); err != nil {
				t.Fatal(err)
			}
			g := &copy.Engines{}
			if _, err := g.Copy(t.Context(), j); err != nil {
				t.Fatal(err)
			}
			if s := probedDevice(t, to); c.engine == copy.Extent && s.UUID != "" {
				t.Errorf("before it was verified the copy is a filesystem: %+v", s)
			}
			if _, err := g.Verify(t.Context(), j); err != nil {
				t.Fatal(err)
			}
			effs, err := g.Finalize(j)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // a power cut before the record of it runs them again
				if c.engine == copy.Extent && t.Failed() {
					break
				}
				for _, eff := range effs {
					if _, err := (&machine.Real{}).Do(t.Context(), eff); err != nil {
						t.Fatalf("%s: %v", eff, err)
					}
				}
				if c.engine == copy.Extent {
					break
				}
			}
			if c.from == "btrfs" {
				list, err := tree.Subvolumes(dst)
				if want := []tree.Subvolume{{Path: "@", Default: true}, {Path: "@ro", ReadOnly: true}}; err != nil || !slices.Equal(list, want) {
					t.Errorf("%+v, %v", list, err)
				}
			}
			if c.engine == copy.Tree {
				program(t, "umount", src)
				program(t, "umount", dst)
			}
			program(t, append(c.judge, to)...)
			s := probedDevice(t, to)
			if s.UUID != id || s.Type != c.to || s.Label != "new" || s.Dirty != "" || s.Size < 320<<20 {
				t.Errorf("%+v", s)
			}
			if s.XFS != nil && c.from == "xfs" && !slices.Equal(s.XFS.Features, x.XFS.Features) && c.engine == copy.Tree {
				t.Errorf("features %q, want %q", s.XFS.Features, x.XFS.Features)
			}
			mountOn(t, from, src, c.from, "ro")
			mountOn(t, to, dst, c.to, "ro") // beside the old one
		})
	}
}

func loopFile(t *testing.T, size int64) string {
	t.Helper()
	img := filepath.Join(t.TempDir(), "img")
	if err := errors.Join(os.WriteFile(img, nil, 0o600), os.Truncate(img, size)); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("losetup", "--find", "--show", img).CombinedOutput()
	if err != nil {
		t.Skipf("SKIPPED, NOT TESTED: losetup: %v: %s", err, out)
	}
	dev := strings.TrimSpace(string(out))
	t.Cleanup(func() { _ = exec.Command("losetup", "-d", dev).Run() })
	return dev
}

func program(t *testing.T, argv ...string) {
	t.Helper()
	if _, err := exec.LookPath(argv[0]); err != nil {
		t.Skipf("SKIPPED, NOT TESTED: no %s", argv[0])
	}
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%q: %v: %s", argv, err, out)
	}
}

func mountAt(t *testing.T, dev, fs, options string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "old")
	mountOn(t, dev, dir, fs, options)
	return dir
}

func mountOn(t *testing.T, dev, dir, fs, options string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	program(t, "mount", "-t", fs, "-o", plan.JoinOptions("rw", options), dev, dir)
}

func probedDevice(t *testing.T, dev string) probe.Signature {
	t.Helper()
	f, err := machine.OpenDevice(dev)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	res, err := probe.Probe(f, 320<<20)
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Signatures) == 0 {
		return probe.Signature{}
	}
	return res.Signatures[0]
}
