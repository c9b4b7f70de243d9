package plan

import (
	"fmt"
	"slices"
	"strings"
)

// joining names the disks whose partitions join the arrays at finish: old ones, and new ones that wait.
func (p *Plan) joining() (olds, news []*Node) {
	for _, n := range p.Final.Disks() {
		switch {
		case p.Target.Node(n.Ref) == nil:
			olds = append(olds, n)
		case p.waitWords(n) != "":
			news = append(news, n)
		}
	}
	return olds, news
}

// OldJoining names the old disks that join at finish, "" for none.
func (p *Plan) OldJoining() string {
	olds, _ := p.joining()
	return nodesOf(olds)
}

// Joining names every disk whose partitions join at finish, "" for none.
func (p *Plan) Joining() string {
	olds, news := p.joining()
	return nodesOf(slices.Concat(news, olds))
}

// finishText says what finish does, in one sentence without its end.
func (p *Plan) finishText() string {
	olds, news := p.joining()
	switch {
	case len(olds) == 0 && len(news) == 0:
		return p.OldDisks() + " stays as it is, and can be kept or reused; what only the migration needed is removed"
	case len(olds) == 0:
		return nodesOf(news) + " joins the arrays; " + p.OldDisks() + " stays as it is"
	}
	return strings.Join(strings.Fields(nodesOf(olds)+" "+verb(olds, "gets", "get")+" the new layout and "+verb(olds, "joins", "join")+" the arrays"+withNews(news)), " ") +
		"; from then on there is no way back to the old system"
}

func withNews(news []*Node) string {
	if len(news) == 0 {
		return ""
	}
	return ", as does " + nodesOf(news)
}

func verb(list []*Node, one, many string) string {
	if len(list) == 1 {
		return one
	}
	return many
}

// finishBrief is finishText in a few words.
func (p *Plan) finishBrief() string {
	olds, _ := p.joining()
	switch {
	case len(olds) == 0:
		return p.OldDisks() + " stays as it is"
	case len(olds) == 1 && p.mirrors():
		return nodesOf(olds) + " becomes the mirror; no way back"
	}
	return nodesOf(olds) + " " + verb(olds, "joins", "join") + " the arrays; no way back"
}

func (p *Plan) mirrors() bool {
	for _, a := range p.Final.Arrays() {
		if a.MD.Level != 1 || len(a.On) != 2 {
			return false
		}
	}
	return true
}

// spare reports whether each array of a graph goes on without any one of the members that it has.
func (g Graph) spare() bool {
	for _, a := range g.Arrays() {
		r, _ := raidOf(a.MD.Level)
		for i, m := range a.On {
			if m == "" {
				continue
			}
			left := make([]bool, len(a.On))
			for k, x := range a.On {
				left[k] = x != "" && k != i
			}
			if r.enough == nil || !r.enough(left) {
				return false
			}
		}
	}
	return true
}

// WriteHole reports whether an array of Target misses members of which parity takes the place. When the power fails while such
// an array is written, the kernel cannot tell which blocks of a stripe are right, and does not start it unless it is told to.
func (p *Plan) WriteHole() bool {
	return slices.ContainsFunc(p.Target.Arrays(), func(n *Node) bool {
		return (n.MD.Level == 5 || n.MD.Level == 6) && slices.Contains(n.On, "")
	})
}

// aNewDisk names any one of the new disks.
func (p *Plan) aNewDisk() string {
	if len(p.NewDisks()) > 1 {
		return "any new disk"
	}
	return "the new disk"
}

// lossBrief is what losses say, in a sentence.
func (p *Plan) lossBrief() string {
	olds, _ := p.joining()
	switch {
	case p.Target.spare():
		return fmt.Sprintf("If %s fails, the new system goes on with the others.", p.aNewDisk())
	case len(olds) == 0:
		return fmt.Sprintf("If %s fails before finish is complete, the new system is lost; the old one still boots.", p.aNewDisk())
	}
	return fmt.Sprintf("If %s fails before finish, the old system still boots; if it fails during finish, EVERYTHING IS LOST.", p.aNewDisk())
}

// A loss is what the failure of a disk means in one phase.
type loss struct{ when, text string }

// losses says what a disk failure means before finish, and while finish rebuilds.
func (p *Plan) losses() []loss {
	olds, _ := p.joining()
	if p.Target.spare() {
		out := []loss{{"before finish", "the new system goes on without " + strings.Replace(p.aNewDisk(), "any new", "any one new", 1)}}
		if len(olds) > 0 {
			out = append(out, loss{"during finish", "the same: the arrays have redundancy while they take in what joins"})
		}
		return out
	}
	out := []loss{{"before finish", fmt.Sprintf("the arrays have no redundancy yet: if %s fails, the new system is lost with what was written in it; the old system on %s still boots, as it was at the reboot", p.aNewDisk(), p.OldDisks())}}
	if len(olds) > 0 {
		out = append(out, loss{"during finish", fmt.Sprintf("from the moment when finish takes %s until the resync is complete there is one copy: if %s fails then, everything is lost. Have a backup, and look at the SMART values of the new disks first", nodesOf(olds), p.aNewDisk())})
	}
	return out
}
