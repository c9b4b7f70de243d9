package plan

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/pelletier/go-toml/v2"
	"pgregory.net/rapid"
)

func encoded(t *testing.T) []byte {
	t.Helper()
	f := good()
	withMount(f, 1, "11111111-0000-0000-0000-000000000004", "/srv", 0)
	b, err := planned(t, f, wish()).Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReadWhatNewMade(t *testing.T) {
	p := planned(t, good(), wish())
	b, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	q, err := Read(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(p, q, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("read back:\n%s", d)
	}
	again, err := q.Encode()
	if err != nil || !bytes.Equal(b, again) {
		t.Errorf("encoded again: %v\n%s", err, cmp.Diff(string(b), string(again)))
	}
}

// Whatever text a machine brings into a plan, what is written can be read, or nothing is written.
func TestCodecRoundTrip(t *testing.T) {
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "a\x00b", "\xff\xfe", "'''", `"""`, "\u2028", "# no", "[x]", "\r\n", "\x7f"}))
	num := rapid.OneOf(rapid.Int64(), rapid.Int64Range(0, 1<<40))
	rapid.Check(t, func(t *rapid.T) {
		p, _, err := New(wish(), good())
		if err != nil {
			t.Fatal(err)
		}
		p.ID, p.Created = text.Draw(t, "id"), time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "time"), 0).UTC()
		p.Notes, p.Drivers = rapid.SliceOfN(text, 0, 3).Draw(t, "notes"), rapid.SliceOfN(text, 0, 3).Draw(t, "drivers")
		p.Machine.Hostname, p.Drop = text.Draw(t, "host"), []Ref{Ref(text.Draw(t, "ref"))}
		for _, n := range p.Source.Filesystems() {
			n.FS.Label, n.FS.Mount, n.FS.Used, n.FS.Spec = text.Draw(t, "label"), text.Draw(t, "mount"), num.Draw(t, "used"), text.Draw(t, "spec")
		}
		for range rapid.IntRange(0, 3).Draw(t, "swaps") {
			p.Source = append(p.Source, Node{Ref: Ref("swap:" + text.Draw(t, "uuid")), Layer: Layer{Swap: &Swap{Spec: text.Draw(t, "swap")}}})
		}
		d, parts := p.Target.Disks()[0], p.Target.Parts("disk:new1")
		d.Was, d.Disk.Serial, d.Size, d.Disk.Wipe, parts[0].Part.Name = text.Draw(t, "was"), text.Draw(t, "serial"), num.Draw(t, "size"), rapid.Bool().Draw(t, "wipe"), text.Draw(t, "name")
		if rapid.Bool().Draw(t, "nil") {
			p.Drop, p.Notes, p.Target.Filesystems()[0].FS.Features = []Ref{}, nil, []string{}
		}
		b, err := p.Encode()
		if err != nil {
			return
		}
		q, err := Read(bytes.NewReader(b))
		if err != nil {
			t.Fatalf("%v\n%s", err, b)
		}
		if d := cmp.Diff(p, q, cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
	})
}

func TestReadRefuses(t *testing.T) {
	b := string(encoded(t))
	p, err := Read(strings.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	v1, err := os.ReadFile("testdata/plan-version1.toml") // as the last version that wrote such plans encoded it
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, text string
		words      []string
	}{
		{"empty", "", []string{"version is 0", "migrate-init plan"}},
		{"no TOML", "\x7fELF", []string{"not TOML", "migrate-init plan"}},
		{"unknown field", "wish = 1\n" + b, []string{"unknown field", "wish", "migrate-init plan"}},
		{"unknown policy", strings.Replace(b, "\n[policy]", "\n[policy]\nhurry = true", 1), []string{"unknown field", "hurry"}},
		{"version 1", string(v1), []string{"version is 1", "reads version 2", "make a new one with `migrate-init plan`"}},
		{"other version", strings.Replace(b, "version = 2", "version = 3\nnewer = 'field'", 1), []string{"version is 3", "reads version 2", "migrate-init plan"}},
		{"edited plan id", strings.ReplaceAll(b, p.ID, "0"+p.ID[1:]+"0"), []string{"its seal is", "outside [policy]", "migrate-init plan"}},
		{"edited partition", strings.ReplaceAll(b, p.Target.Parts("disk:new1")[2].Ref.ID(), "99999999-0000-0000-0000-000000000000"), []string{"its seal is"}},
		{"edited array", strings.ReplaceAll(b, p.Target.Arrays()[0].Ref.ID(), "00000000:00000000:00000000:00000000"), []string{"its seal is"}},
		{"edited disk", strings.ReplaceAll(b, "NEW1", "OLD2"), []string{"its seal is"}},
		{"edited wipe", strings.Replace(b, "scheme = 'gpt'\n", "scheme = 'gpt'\nwipe = true\n", 1), []string{"its seal is"}},
		{"edited stages", strings.Replace(b, "'prove', ", "", 1), []string{"its seal is"}},
		{"no seal", strings.Replace(b, p.Seal, "", 1), []string{"its seal is"}},
		{"impossible policy", strings.Replace(b, "on_failure = 'reboot'", "on_failure = 'pray'", 1), []string{"policy.on_failure", "pray", "poweroff"}},
		{"impossible read error", strings.Replace(b, "read_error = 'stop'", "read_error = 'ignore'", 1), []string{"policy.read_error", "ignore"}},
		{"panic that hangs", strings.Replace(b, "panic = 30", "panic = 0", 1), []string{"policy.panic", "0"}},
		{"no deadline", strings.Replace(b, "deadline = 120", "deadline = -1", 1), []string{"policy.deadline", "-1"}},
		{"too large", b + strings.Repeat("#\n", maxPlan/2), []string{"longer than 1048576 bytes"}},
		{"cut", b[:len(b)/2], nil},
		{"wrong type", strings.Replace(b, "\n[policy]", "\n[[policy]]", 1), nil},
	} {
		if c.text == b {
			t.Errorf("%s: the case changes nothing", c.name)
		}
		q, err := Read(strings.NewReader(c.text))
		if err == nil || q != nil {
			t.Errorf("%s: plan %v, error %v", c.name, q != nil, err)
			continue
		}
		for _, w := range c.words {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q is not in: %v", c.name, w, err)
			}
		}
	}
}

func TestReadEditedPolicy(t *testing.T) {
	b := string(encoded(t))
	for old, now := range map[string]string{"on_failure = 'reboot'": "on_failure = 'shell'", "panic = 30": "panic = 60", "read_error = 'stop'": "read_error = 'skip-and-list'", "deadline = 120": "deadline = 600"} {
		c := strings.Replace(b, old, now, 1)
		if c == b {
			t.Fatalf("no %s in the plan:\n%s", old, b)
		}
		if _, err := Read(strings.NewReader(c)); err != nil {
			t.Errorf("%s: %v", now, err)
		}
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, fmt.Errorf("input/output error") }

// rename gives a node of Target another identity, wherever it is named.
func rename(p *Plan, n *Node, id string) {
	was := n.Ref
	now := Ref("swap:" + id)
	p.MoveTo(was).To = now
	p.Final.Node(was).Ref, n.Ref = now, now
}

// A seal that fits does not make a plan whole.
func TestReadHoles(t *testing.T) {
	for name, c := range map[string]struct {
		change func(p *Plan)
		word   string
	}{
		"stages":     {func(p *Plan) { p.Phases = nil }, "no stages"},
		"source":     {func(p *Plan) { p.Source = nil }, "no source disk"},
		"target":     {func(p *Plan) { p.Target = p.Target[1:] }, "which is not before it"},
		"no target":  {func(p *Plan) { p.Target = slices.Clone(p.Source) }, "no target disk"},
		"twice":      {func(p *Plan) { p.Final = append(p.Final, p.Final[0]) }, "two have this identity"},
		"no kind":    {func(p *Plan) { p.Final[2].Part = nil }, "of no kind"},
		"two kinds":  {func(p *Plan) { p.Final[2].Swap = &Swap{} }, "of no kind, or of several"},
		"other kind": {func(p *Plan) { p.Final[2].Ref = "md:" + Ref(p.Final[2].Ref.ID()) }, "of no kind"},
		"vanishes":   {func(p *Plan) { p.Final = p.Final[:len(p.Final)-1] }, "vanish at finish"},
		"strategy":   {func(p *Plan) { p.Strategy = "hope" }, "hope"},
		"partitions": {func(p *Plan) { p.Final = append(Graph{diskNode(good().Dev("vda"), "spare")}, p.Final...) }, "no partitions"},
		"size":       {func(p *Plan) { p.Target.Parts("disk:new1")[1].Size = -1 }, "partition 2"},
		"overflow":   {func(p *Plan) { p.Target.Parts("disk:new1")[1].Size = 1<<63 - 1 }, "partition 2"},
		"members":    {func(p *Plan) { p.Target.Arrays()[0].MD.Devices = nil }, "0 member identities"},
		"missing":    {func(p *Plan) { p.Target.Arrays()[0].On = []Ref{"", ""} }, "2 slots"},
		"copies":     {func(p *Plan) { p.Moves[0].To = "fs:x" }, "to fs:x"},
		"overlap":    {func(p *Plan) { p.Target.Parts("disk:new1")[2].Part.Start -= mib }, "another has not ended"},
		"sector":     {func(p *Plan) { p.Target.Disks()[0].Disk.Sector = 0 }, "sectors of 0"},
		"odd sector": {func(p *Plan) { p.Final.Node("disk:old1").Disk.Sector = 520 }, "sectors of 520"},
		"root":       {func(p *Plan) { p.Boot.Root = "x" }, `root "x"`},
		"journal":    {func(p *Plan) { p.Journal = "part:x" }, `journal "part:x"`},
		"one GUID": {func(p *Plan) {
			p.Final.Parts("disk:old1")[3].Ref = Ref(strings.Replace(strings.ToUpper(string(p.Target.Parts("disk:new1")[3].Ref)), "PART", "part", 1))
		}, "two have this identity"},
		"one UUID":   {func(p *Plan) { rename(p, p.Target.Swaps()[0], p.Target.Filesystems()[0].Ref.ID()) }, "two things have it"},
		"old UUID":   {func(p *Plan) { rename(p, p.Target.Swaps()[0], p.Source.Filesystems()[0].Ref.ID()) }, "two things have it"},
		"one member": {func(p *Plan) { p.Target.Arrays()[0].MD.Devices[1] = p.Target.Arrays()[0].MD.Devices[0] }, "two things have it"},
		"no table":   {func(p *Plan) { p.Target.Disks()[0].Disk.Table = "" }, "missing"},
		"volume":     {func(p *Plan) { p.Boot.Volume = "md:x" }, "commit volume md:x"},
		"mount":      {func(p *Plan) { p.Boot.Mount = "/nowhere" }, "at /nowhere"},
		"boot":       {func(p *Plan) { p.Boot.BootFS = "x" }, `boot filesystem "x"`},
		"no /":       {func(p *Plan) { p.Target.Node(Ref("fs:" + p.Boot.Root)).FS.Mount = "/other" }, "root \""},
		"engine":     {func(p *Plan) { p.Moves[0].Engine = "hope" }, `engine "hope"`},
		"not moved": {func(p *Plan) {
			p.Moves = slices.DeleteFunc(p.Moves, func(m Move) bool { return m.Engine != EngineMake })
		}, "nothing takes its place"},
		"swap of a disk": {func(p *Plan) {
			p.Moves = append(p.Moves, Move{From: "disk:old1", To: "disk:new1", Engine: EngineMake})
		}, "not a pair"},
		"number":    {func(p *Plan) { p.Final.Parts("disk:old1")[1].Part.Number = 1 }, "two partitions have number 1"},
		"no number": {func(p *Plan) { p.Target.Parts("disk:new1")[0].Part.Number = 0 }, "partition 0"},
		"early": {func(p *Plan) {
			at := slices.IndexFunc(p.Target, func(n Node) bool { return n.Ref.Is(p.Journal) })
			n := p.Target[at]
			p.Target = append(slices.Delete(p.Target, at, at+1), n)
		}, "before it"},
		"path":        {func(p *Plan) { p.Moves[0].Path = "boot/" }, "no clean path"},
		"path of all": {func(p *Plan) { p.Moves[0].Path = "/" }, "no clean path"},
		"part only":   {func(p *Plan) { p.Moves[0].Path, p.Moves[0].Engine = "/boot", EngineTree }, "nothing takes its place"},
		"part by blocks": {func(p *Plan) {
			m := p.Moves[0]
			m.Path, m.Engine = "/boot", EngineExtent
			p.Moves = append(p.Moves, m)
		}, "by files only"},
		"copy twice": {func(p *Plan) { p.Moves = append(p.Moves, p.Moves[0]) }, "two things have it"},
	} {
		p := planned(t, good(), wish())
		c.change(p)
		if b, err := p.Encode(); err == nil || b != nil || !strings.Contains(err.Error(), c.word) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadFails(t *testing.T) {
	if _, err := Read(failing{}); err == nil || !strings.Contains(err.Error(), "input/output error") {
		t.Errorf("Read: %v", err)
	}
}

// What Read takes, Encode writes, and Explain and Check survive.
func FuzzRead(f *testing.F) {
	p, _, err := New(wish(), good())
	if err != nil {
		f.Fatal(err)
	}
	b, err := p.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(b))
	f.Add("version = 1\n")
	f.Add("version = 2\n[policy]\non_failure = 'reboot'\npanic = 1\nread_error = 'stop'\ndeadline = 5\n[[target]]\nref = 'md:x'\non = ['md:x', '']\n[target.md]\nlevel = 1\n[[move]]\nfrom = 'fs:a'\n")
	f.Add("version = 9223372036854775807\n")
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := Read(strings.NewReader(text)); err == nil {
			use(t, p)
		} else if p != nil {
			t.Error("a plan beside an error")
		}
		// Without a new seal every change would end there.
		var loose Plan
		if len(text) > 1<<16 || toml.Unmarshal([]byte(text), &loose) != nil {
			return
		}
		loose.Version, loose.Policy = Version, Policy{}.withDefaults()
		if b, err := loose.Encode(); err == nil {
			p, err := Read(bytes.NewReader(b))
			if err != nil {
				t.Fatalf("written, but not read: %v", err)
			}
			use(t, p)
		}
	})
}

func use(t *testing.T, p *Plan) {
	for _, r := range p.Explain(good(), stageText) {
		if r > '~' || r < ' ' && r != '\n' {
			t.Fatalf("explained with %q", r)
		}
	}
	Check(p, good(), Planning|Live|Offline)
}
