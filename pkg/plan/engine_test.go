package plan

import (
	"strings"
	"testing"
)

// What cannot be copied by blocks is copied by files, and the plan says why; asked for blocks, it refuses with the same words.
func TestNewEngine(t *testing.T) {
	feature := func(names ...string) func(*Facts) {
		return func(f *Facts) { c := &f.Dev("vda2").Contents[0]; c.Features = append(c.Features, names...) }
	}
	for _, c := range []struct {
		name   string
		change func(f *Facts)
		why    string // "": by blocks
	}{
		{"as it is", func(*Facts) {}, ""},
		{"Debian 12's", feature("ext_attr", "resize_inode", "dir_index", "filetype", "64bit", "flex_bg", "sparse_super", "large_file", "huge_file", "dir_nlink", "extra_isize", "metadata_csum", "metadata_csum_seed", "orphan_file"), ""},
		{"in use", feature("needs_recovery", "orphan_present"), ""},
		{"descriptor checksums", feature("uninit_bg"), "feature uninit_bg ties its checksums to its UUID"},
		{"descriptor checksums, seeded", feature("metadata_csum", "uninit_bg"), ""},
		{"large attributes", feature("ea_inode"), "feature ea_inode ties the hashes of its large attributes to its UUID"},
		{"large attributes, seeded", feature("ea_inode", "metadata_csum"), ""},
		{"UUID in encrypted files", feature("metadata_csum", "stable_inodes"), "feature stable_inodes is not known to be safe"},
		{"encryption", feature("encrypt"), "feature encrypt is not known"},
		{"casefold", feature("casefold"), "feature casefold is not known"},
		{"verity", feature("verity"), "feature verity is not known"},
		{"clusters", feature("bigalloc"), "feature bigalloc is not known"},
		{"two hosts", feature("mmp"), "feature mmp is not known"},
		{"a feature of tomorrow", feature("FEATURE_I31"), "feature FEATURE_I31 is not known"},
		{"no room", func(f *Facts) { f.Dev("vdb").Size = 18 * gib }, "too small"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, asked := range []string{"", EngineExtent, EngineTree} {
				f, in := good(), wish()
				c.change(f)
				in.Engine = asked
				p, found, err := New(in, f)
				if asked == EngineExtent && c.why != "" {
					if err == nil {
						t.Fatal("planned by blocks")
					}
					want(t, found, Refuse, "plan.target", c.why)
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				got := p.Moves[0]
				byBlocks := asked != EngineTree && c.why == ""
				if (got.Engine == EngineExtent) != byBlocks || got.Engine != EngineExtent && got.Engine != EngineTree {
					t.Errorf("asked for %q: engine %s, %s", asked, got.Engine, got.Why)
				}
				if asked == "" && !strings.Contains(got.Why, c.why) || got.Why == "" {
					t.Errorf("asked for %q: it says %q, want %q", asked, got.Why, c.why)
				}
				if text := p.Explain(f, stageText); asked == "" && c.why != "" && !strings.Contains(strings.Join(strings.Fields(text), " "), got.Why) {
					t.Errorf("%q is not in what people read:\n%s", got.Why, text)
				}
			}
		})
	}
}

// Types that no plan can move yet have a reason all the same.
func TestNotByBlocksType(t *testing.T) {
	for _, typ := range []string{"btrfs", ""} {
		if why := FSTypeOf(typ).NotByBlocks(nil); !strings.Contains(why, "type "+typ+" is not copied by blocks") {
			t.Errorf("%s: %q", typ, why)
		}
	}
	for _, typ := range []string{"ext2", "ext3", "ext4"} {
		if why := FSTypeOf(typ).NotByBlocks(nil); why != "" {
			t.Errorf("%s: %q", typ, why)
		}
	}
}

// A fix that names the engine has to be one.
func TestExtentRefusalSaysTree(t *testing.T) {
	f, in := good(), wish()
	in.Engine = EngineExtent
	f.Dev("vda2").Contents[0].Features = []string{"casefold"}
	_, found, err := New(in, f)
	if err == nil {
		t.Fatal("planned")
	}
	want(t, found, Refuse, "plan.target", "engine extent: filesystem at /", "use --engine tree")
	in.Engine = EngineTree
	if _, _, err := New(in, f); err != nil {
		t.Errorf("the fix does not fix it: %v", err)
	}
}
