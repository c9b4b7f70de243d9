package plan

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func refs(nodes []*Node) string {
	var out []string
	for _, n := range nodes {
		out = append(out, string(n.Ref))
	}
	return strings.Join(out, " ")
}

func TestGraphWalks(t *testing.T) {
	md, fs := Layer{MD: &MD{}}, Layer{FS: &FS{Mount: "/"}}
	part := Layer{Part: &Part{}}
	g := Graph{
		{Ref: "disk:a", Layer: Layer{Disk: &Disk{}}}, {Ref: "disk:b", Layer: Layer{Disk: &Disk{}}},
		{Ref: "part:A1", On: []Ref{"disk:a"}, Layer: part}, {Ref: "part:b1", On: []Ref{"disk:b"}, Layer: part}, {Ref: "part:b2", On: []Ref{"disk:b"}, Layer: part},
		{Ref: "md:x", On: []Ref{"part:a1", "", "part:b1"}, Layer: md}, {Ref: "fs:r", On: []Ref{"md:x"}, Layer: fs},
	}
	for name, c := range map[string]struct{ got, want string }{
		"above":      {refs(g.Above("part:a1")), "md:x"},
		"over":       {refs(g.Over("disk:b")), "part:b1 part:b2 md:x fs:r"},
		"under":      {refs(g.Under("fs:r")), "disk:a disk:b part:A1 part:b1 md:x"},
		"disks":      {refs(g.DisksUnder("md:x")), "disk:a disk:b"},
		"part under": {string(g.PartUnder("fs:r").Ref), "part:A1"},
		"mounted":    {string(g.MountedAt("/").Ref), "fs:r"},
		"marks":      {g.Node("md:x").marks(), "[U_U]"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s, want %s", name, c.got, c.want)
		}
	}
	if g.Rests("disk:a", "fs:r") || !g.Rests("fs:r", "DISK:A") || g.Node("fs:none") != nil || g.PartUnder("disk:a") != nil {
		t.Error("what lies on what")
	}
}

// A superblock may claim that its array is its own member.
func TestGraphOfACircle(t *testing.T) {
	g := Graph{{Ref: "md:x", On: []Ref{"md:y", "md:x"}}, {Ref: "md:y", On: []Ref{"md:x"}}}
	if got := refs(g.Under("md:x")); got != "md:y" {
		t.Errorf("under: %s", got)
	}
	if what := g.unordered(); what == "" {
		t.Error("a circle is in order")
	}
}

func TestDiff(t *testing.T) {
	p := planned(t, good(), wish())
	if c := Diff(p.Target, p.Target); len(c.New)+len(c.Gone)+len(c.Fill) != 0 {
		t.Errorf("of a graph with itself: %+v", c)
	}
	c := Diff(p.Final, p.Target)
	if len(c.New) != 0 || refs(c.Gone) != refs(Diff(p.Target, p.Final).New) || len(c.Fill) != 0 {
		t.Errorf("backwards: %+v", c)
	}
	// Several members join one array, each in a slot of its own.
	from := Graph{{Ref: "md:x", On: []Ref{"part:a", "", "", "part:d"}}}
	to := Graph{{Ref: "md:x", On: []Ref{"part:a", "part:b", "part:c", "part:d"}}}
	var slots []int
	for _, s := range Diff(from, to).Fill {
		slots = append(slots, s.Index)
	}
	if !slices.Equal(slots, []int{1, 2}) {
		t.Errorf("slots %v are filled", slots)
	}
}

// What was seen is the same nodes as a plan has: the source of a plan is a part of it, but for the disk's key and what
// fstab says.
func TestFactsAsNodes(t *testing.T) {
	f := busy()
	g := f.Graph()
	p := planned(t, good(), wish())
	seen := good().Graph()
	for i := range p.Source {
		n := p.Source[i]
		s := seen.Node(n.Ref)
		if n.Disk != nil {
			s = seen.Node("disk:vda")
		}
		if s == nil {
			t.Errorf("%s: not seen", n.Ref)
			continue
		}
		if n.Part != nil {
			if d := cmp.Diff(s.Layer, n.Layer); d != "" || s.Size != n.Size || s.Was != n.Was {
				t.Errorf("%s: %s", n.Ref, d)
			}
		}
	}
	if n := g.Node("md:aaaaaaaa:aaaaaaaa:aaaaaaaa:aaaaaaaa"); n == nil || n.MD.Level != 1 || n.Was != "/dev/md127" || len(n.On) != 2 || n.On[0] != "" {
		t.Errorf("a running array: %+v", n) // its member has no GUID
	}
	if n := g.Node("md:bbbbbbbb:bbbbbbbb:bbbbbbbb:bbbbbbbb"); n == nil || n.marks() != "[___]" {
		t.Errorf("an array whose only member is stale: %+v", n)
	}
	if n := g.Node("fs:u3"); n == nil || n.Lower() != "md:aaaaaaaa:aaaaaaaa:aaaaaaaa:aaaaaaaa" || n.FS.Mount != "/data" {
		t.Errorf("a filesystem on an array: %+v", n)
	}
}

// Whatever superblocks claim, facts become a graph in bounded time.
func TestFactsAsNodesOfAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := busy()
		for range rapid.IntRange(1, 5).Draw(t, "arrays") {
			a := Array{UUID: rapid.SampledFrom([]string{"x", "y", ""}).Draw(t, "uuid"), Node: rapid.SampledFrom([]string{"", "md127", "vda"}).Draw(t, "node"),
				Devices: rapid.IntRange(-3, 1<<30).Draw(t, "devices"), Level: rapid.String().Draw(t, "level")}
			for range rapid.IntRange(0, 4).Draw(t, "members") {
				a.Members = append(a.Members, Member{Device: rapid.SampledFrom([]string{"md127", "vda2", "vda", "none"}).Draw(t, "device"), Role: rapid.IntRange(-1, 1<<20).Draw(t, "role")})
			}
			f.Arrays = append(f.Arrays, a)
		}
		g := f.Graph()
		for i := range g {
			g.Under(g[i].Ref)
			if len(g[i].On) > maxSlots {
				t.Fatalf("%d slots", len(g[i].On))
			}
		}
	})
}
