package plan

import "strings"

// Screen shows a plan on one screen: a picture, a line for each stage, how to go back, and what the checks object to.
// Explain tells all of it. Facts are those that the plan was made from; brief describes a stage in a few words.
func (p *Plan) Screen(f *Facts, brief StageText) string {
	g := &page{}
	used := p.used()
	g.line("Plan %s: %s, %s in %s, from %s to %s", p.ID[:min(8, len(p.ID))], p.To, size(used), count(len(p.Source.Filesystems()), "filesystem"), p.OldDisks(), p.NewTargets())
	p.picture(g, f)
	least, most, _, _ := p.offline(f, used)
	g.head("At the reboot, offline for about %d to %d minutes:", least, most)
	for _, s := range append(p.Phase(InImage, ByBoot), p.Phase(InNewSystem, ByBoot)...) {
		g.pair(s, "%s", brief(s, p, f))
	}
	g.pair("finish", "you run it, later: %s", p.finishBrief())
	g.para("", "%s", p.lossBrief())
	g.line("To go back:")
	g.pair("until reboot", "migrate-init cancel")
	until := "a failure or a power cut ends in the old system"
	if p.resumes() {
		until = "power cuts resume; failures boot the old system"
	}
	g.pair("until commit", "nothing to do: %s", until)
	g.pair("until finish", "migrate-init rollback, then reboot")
	if len(p.objections(Check(p, f, Planning))) > 0 {
		g.gap()
	}
	p.tellChecks(g, f)
	return g.String()
}

// used sums what the sources hold.
func (p *Plan) used() int64 {
	var n int64
	for _, s := range p.Source.Filesystems() {
		n += s.FS.Used
	}
	return n
}

// CopyBrief says in a few words how each filesystem gets to the new disk.
func (p *Plan) CopyBrief(f *Facts) string {
	by := map[string][]string{}
	made := false
	for _, m := range p.Moves {
		if m.Engine == EngineMake {
			made = true
		} else if s := p.Source.Node(m.From); s != nil && s.FS != nil {
			by[m.Engine] = append(by[m.Engine], p.taken(m))
		}
	}
	by[EngineTree] = append(by[EngineTree], swapFiles(f)...)
	var out []string
	for _, e := range []struct{ engine, how string }{{EngineExtent, "by used blocks"}, {EngineTree, "file by file"}} {
		if at := by[e.engine]; len(at) > 0 {
			out = append(out, strings.Join(at, " ")+" "+e.how)
		}
	}
	if made {
		out = append(out, "swap is created again")
	}
	return strings.Join(out, "; ")
}

// tellChecks lists what the plan and its checks object to, or counts the checks that do not.
func (p *Plan) tellChecks(g *page, f *Facts) {
	found := Check(p, f, Planning)
	objections := p.objections(found)
	for _, x := range objections {
		g.para(x.label+": ", "%s", x.text)
	}
	if len(objections) == 0 {
		g.line("%s passed, no warnings.", count(len(found), "check"))
	}
}

type objection struct{ label, text string }

// objections are the notes of the plan, and those findings that are more than an OK.
func (p *Plan) objections(found Findings) []objection {
	var out []objection
	for _, x := range p.Notes {
		out = append(out, objection{"warning", x})
	}
	for _, x := range found {
		switch x.Severity {
		case Warn:
			out = append(out, objection{"warning", x.String()})
		case Refuse:
			out = append(out, objection{"refused", x.String()})
		}
	}
	return out
}
