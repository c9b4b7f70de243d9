package plan

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// validate refuses a plan with holes that stages would fall into: a seal only says that no one edited it.
func (p *Plan) validate() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("plan %s: %s; make a new one with `migrate-init plan`", p.ID, fmt.Sprintf(format, args...))
	}
	for _, g := range []Graph{p.Source, p.Target, p.Final} {
		if what := g.unordered(); what != "" {
			return bad("%s", what)
		}
	}
	phases, err := PhasesOf(p.Strategy)
	switch {
	case err != nil:
		return bad("%v", err)
	case !slices.EqualFunc(phases, p.Phases, func(a, b Phase) bool { return a.Where == b.Where && a.By == b.By && slices.Equal(a.Stages, b.Stages) }):
		return bad("no stages, or other stages than those of strategy %s", p.Strategy)
	case len(p.Source.Disks()) == 0, len(p.Source.Filesystems()) == 0:
		return bad("no source disk or no source filesystem")
	case len(p.NewDisks()) == 0:
		return bad("no target disk")
	}
	for _, g := range []Graph{p.Target, p.Final} {
		for i := range g {
			k, _ := kindOf(&g[i])
			if what := k.validate(g, &g[i]); what != "" {
				if g[i].Disk != nil {
					what = "target disk " + string(g[i].Ref) + ": " + what
				}
				return bad("%s", what)
			}
		}
	}
	if n := p.Target.Node(p.Journal); n == nil || n.Part == nil || p.Source.Node(n.Lower()) != nil {
		return bad("journal %q: none of its new partitions", p.Journal)
	}
	// Target is made in its order, and what the journal has to know of is made after it.
	for i := range p.Target {
		if n := &p.Target[i]; n.Ref.Is(p.Journal) {
			break
		} else if n.Disk == nil && n.Part == nil {
			return bad("journal %s: %s is made before it", p.Journal, n.Ref)
		}
	}
	if what := p.Boot.invalid(p); what != "" {
		return bad("%s", what)
	}
	if what := p.invalidOverlay(); what != "" {
		return bad("%s", what)
	}
	if what := p.unmoved(); what != "" {
		return bad("%s", what)
	}
	if c := Diff(p.Target, p.Final); len(c.Gone) > 0 {
		return bad("%s: it would vanish at finish", c.Gone[0].Ref)
	}
	if id, twice := p.repeated(); twice {
		return bad("identity %q: two things have it, or it is missing", id)
	}
	return nil
}

// invalid says which part of the plan is missing that booting needs, "" for none.
func (bt Booting) invalid(p *Plan) string {
	if n := p.Target.MountedAt("/"); n == nil || !n.Ref.Is(Ref("fs:"+bt.Root)) {
		return fmt.Sprintf("root %q: none of its filesystems, or not mounted at /", bt.Root)
	}
	if n := p.Target.MountedAt(bt.Mount); n == nil || !p.Target.Rests(n.Lower(), bt.Volume) {
		return fmt.Sprintf("commit volume %s: no new filesystem on it is mounted at %s", bt.Volume, bt.Mount)
	}
	if n := p.Source.Node(Ref("fs:" + bt.BootFS)); n == nil {
		return fmt.Sprintf("boot filesystem %q: none of its source filesystems", bt.BootFS)
	}
	if n := p.Target.Node(bt.Block); bt.Block != "" && (n == nil || n.Part == nil || n.Part.Role != RoleOneShot || p.Source.Node(n.Lower()) != nil || len(p.Target.Above(n.Ref)) > 0 || bt.BlockFS == "") {
		return fmt.Sprintf("boot block %q: none of its new partitions that are made for it, or without a UUID", bt.Block)
	}
	return ""
}

// unmoved says which move is impossible, or which source filesystem finish would destroy without a copy; "" for none.
func (p *Plan) unmoved() string {
	for _, m := range p.Moves {
		from, to := p.Source.Node(m.From), p.Target.Node(m.To)
		switch {
		case !slices.Contains([]string{EngineTree, EngineExtent, EngineMake}, m.Engine):
			return fmt.Sprintf("copy %s to %s: engine %q is unknown", m.From, m.To, m.Engine)
		case from == nil, to == nil, m.Engine == EngineMake && (from.Swap == nil || to.Swap == nil), m.Engine != EngineMake && (from.FS == nil || to.FS == nil):
			return fmt.Sprintf("copy %s to %s: not a pair of its filesystems", m.From, m.To)
		case m.Path != "" && (!path.IsAbs(m.Path) || path.Clean(m.Path) != m.Path || m.Path == "/" || strings.ContainsRune(m.Path, 0)):
			return fmt.Sprintf("copy %s to %s: path %q is no clean path of a directory", m.From, m.To, m.Path)
		case (m.Path != "" || len(p.Hollow(m)) > 0) && (m.Engine != EngineTree || len(from.FS.Subvols) > 0):
			return fmt.Sprintf("copy %s to %s: a filesystem becomes several by files only, and only without subvolumes", m.From, m.To)
		}
	}
	for _, n := range p.Source.Filesystems() {
		if p.MoveFrom(n.Ref) == nil {
			return fmt.Sprintf("source filesystem %s: nothing takes its place", n.Ref.ID())
		}
	}
	return ""
}

// unordered says where a graph is not one: a node of no kind, or one that stands before what it lies on; "" for nothing.
func (g Graph) unordered() string {
	for i := range g {
		if _, ok := kindOf(&g[i]); !ok {
			return fmt.Sprintf("node %q: of no kind, or of several", g[i].Ref)
		}
		if g[:i].Node(g[i].Ref) != nil {
			return fmt.Sprintf("node %s: two have this identity", g[i].Ref)
		}
		for _, r := range g[i].On {
			if r != "" && g[:i].Node(r) == nil {
				return fmt.Sprintf("node %s: it lies on %s, which is not before it", g[i].Ref, r)
			}
		}
	}
	return ""
}

// repeated returns an identity that the plan means to write twice, which would make what carries it ambiguous forever.
// Every move, too, has its source and its target for itself.
func (p *Plan) repeated() (id string, twice bool) {
	var ids []string
	for _, n := range append(p.Target.only(func(*Node) bool { return true }), Diff(p.Target, p.Final).New...) {
		k, _ := kindOf(n)
		if ids = append(ids, k.ids(n)...); n.Disk == nil { // a disk is not made
			ids = append(ids, n.Ref.ID())
		}
	}
	for _, n := range p.Source {
		if n.Disk == nil && p.Target.Node(n.Ref) == nil {
			ids = append(ids, n.Ref.ID())
		}
	}
	if p.Boot.Block != "" {
		ids = append(ids, p.Boot.BlockFS)
	}
	for _, m := range p.Moves {
		ids = append(ids, "move from "+string(m.From)+m.Path, "move to "+string(m.To))
	}
	seen := map[string]bool{}
	for _, id := range ids {
		if id = strings.ToLower(id); id == "" || seen[id] {
			return id, true
		}
		seen[id] = true
	}
	return "", false
}
