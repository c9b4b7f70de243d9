package plan

import (
	"strings"
	"testing"
)

// xfsFeatures are those of mkfs.xfs 6.1 without a choice.
func xfsFeatures() []string {
	return []string{"crc", "finobt", "reflink", "inobtcount", "ftype", "sparse", "bigtime"}
}

// onXFS makes the root an xfs.
func onXFS(f *Facts) *Content {
	c := &f.Dev("vda2").Contents[0]
	c.Type, c.Features, c.InodeSize, c.Inodes, c.Sector, c.Log = "xfs", xfsFeatures(), 512, 0, 512, 64*mib
	for i := range f.Distro.Packages {
		if f.Distro.Packages[i].Name == "xfsprogs" {
			f.Distro.Packages[i] = Package{"xfsprogs", true, "6.1.0"}
		}
	}
	for i := range f.Fstab {
		if f.Fstab[i].Device == "vda2" {
			f.Fstab[i].Type = "xfs"
		}
	}
	return c
}

// TestNewXFS: xfs moves by blocks where that is possible and by files where not, with the same features and the same size of
// inodes, and the version of its tools is in the plan.
func TestNewXFS(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(f *Facts, in *Intent, x *Content)
		engine string
		why    string
	}{
		{"by blocks", func(*Facts, *Intent, *Content) {}, EngineExtent, "used blocks"},
		{"by files", func(_ *Facts, in *Intent, _ *Content) { in.Engine = EngineTree }, EngineTree, "asked for"},
		{"no room", func(f *Facts, _ *Intent, _ *Content) { f.Dev("vdb").Size = 18 * gib }, EngineTree, "too small"},
		{"larger sectors", func(f *Facts, _ *Intent, _ *Content) { f.Dev("vdb").Sector = 4096 }, EngineTree, "sectors of 512 bytes"},
		{"a feature of tomorrow", func(_ *Facts, _ *Intent, x *Content) { x.Features = append(x.Features, "FEATURE_I12") }, EngineTree, "feature FEATURE_I12"},
		{"renamed before", func(_ *Facts, _ *Intent, x *Content) { x.Features = append(x.Features, "metauuid") }, EngineExtent, "used blocks"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, in := good(), wish()
			c.change(f, &in, onXFS(f))
			p, found, err := New(in, f)
			if err != nil {
				t.Fatalf("%v\n%v", err, found)
			}
			n, m := p.Target.MountedAt("/"), p.MoveTo(p.Target.MountedAt("/").Ref)
			if m.Engine != c.engine || !strings.Contains(m.Why, c.why) {
				t.Errorf("engine %s, %s; want %s, %s", m.Engine, m.Why, c.engine, c.why)
			}
			if n.FS.Type != "xfs" || n.FS.InodeSize != 512 || n.FS.Tools != "6.1.0" || len(n.FS.Features) < len(xfsFeatures()) {
				t.Errorf("planned %+v", n.FS)
			}
		})
	}
}

func TestNewXFSRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(f *Facts, in *Intent, x *Content)
		id     string
		words  []string
	}{
		"realtime":          {func(_ *Facts, _ *Intent, x *Content) { x.Features = append(x.Features, "realtime") }, "plan.source", []string{"realtime device"}},
		"needs repair":      {func(_ *Facts, _ *Intent, x *Content) { x.Features = append(x.Features, "needsrepair") }, "plan.source", []string{"xfs_repair"}},
		"log elsewhere":     {func(_ *Facts, _ *Intent, x *Content) { x.Journal = "without a UUID" }, "source.whole", []string{"its journal is on another device", "logdev="}},
		"tools are missing": {func(f *Facts, _ *Intent, _ *Content) { f.Distro.Packages = f.Distro.Packages[:2] }, "package.present", []string{"xfsprogs", "apt-get install"}},
		"mkfs would refuse": {func(f *Facts, in *Intent, _ *Content) {
			in.Engine = EngineTree
			boot := withMount(f, 1, "44", "/boot", 50*mib)
			boot.Size, boot.Contents[0].Size = 256*mib, 256*mib
			parts := f.Dev("vda").Table.Partitions
			parts[len(parts)-1].Size = boot.Size
			boot.Contents[0].Type, boot.Contents[0].Features = "xfs", xfsFeatures()
		}, "plan.target", []string{"filesystem at /boot", "no filesystem smaller than 300 MiB"}},
	} {
		t.Run(name, func(t *testing.T) {
			f, in := good(), wish()
			c.change(f, &in, onXFS(f))
			_, found, err := New(in, f)
			if err == nil {
				t.Fatal("planned")
			}
			want(t, found, Refuse, c.id, c.words...)
		})
	}
}
