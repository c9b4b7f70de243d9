package plan

import (
	"fmt"
	"strings"
)

// StageText says what a stage of a plan does, in one sentence without its end.
type StageText func(stage string, p *Plan, f *Facts) string

// Explain describes a plan in prose, with a picture of before and after, for people at a serial console: ASCII, 80
// columns. Facts are those that the plan was made from; text describes its stages.
func (p *Plan) Explain(f *Facts, text StageText) string {
	g := &page{}
	g.line("Plan %s: %s", p.ID, p.To)
	g.gap()
	used := p.used()
	old := verb(p.Source.Disks(), "old disk stays as it is", "old disks stay as they are")
	arrays, stays := "degraded arrays", "Until `migrate-init finish` the "+old+" and can boot."
	if olds, news := p.joining(); len(olds)+len(news) == 0 {
		arrays, stays = "arrays", "The "+old+" and can boot."
	}
	g.para("", "The system on %s is copied, offline, to %s on %s: %s in %s. %s",
		p.OldDisks(), arrays, p.NewTargets(), size(used), count(len(p.Source.Filesystems()), "filesystem"), stays)
	g.head("Before and after the migration")
	p.picture(g, f)
	g.head("After `migrate-init finish`")
	p.finished(g, f)
	p.tellStages(g, f, text)
	p.tellBack(g)
	p.tellNever(g, f)
	p.tellTime(g, f, used)
	g.head("What the checks say")
	p.tellChecks(g, f)
	return g.String()
}

// OldDisks names the source disks for people.
func (p *Plan) OldDisks() string { return nodesOf(p.Source.Disks()) }

// NewTargets names the disks that the migration writes before finish.
func (p *Plan) NewTargets() string { return nodesOf(p.NewDisks()) }

func nodesOf(disks []*Node) string {
	var out []string
	for _, d := range disks {
		out = append(out, d.Was)
	}
	return strings.Join(out, ", ")
}

func (p *Plan) tellStages(g *page, f *Facts, text StageText) {
	g.head("What happens at the reboot")
	g.para("  ", "The old boot loader starts the image once: %s.", p.Boot.OneShotWhy)
	for _, s := range p.Phase(InImage, ByBoot) {
		g.pair(s, "%s", text(s, p, f))
	}
	for _, s := range p.Phase(InNewSystem, ByBoot) {
		g.pair(s, "%s", text(s, p, f))
	}
	g.pair("finish", "you run it, when you are satisfied: %s", p.finishText())
}

// WipeText says what --wipe destroys on the new disks, "" for nothing.
func (p *Plan) WipeText(f *Facts) string {
	for _, t := range p.NewDisks() {
		if !t.Disk.Wipe {
			continue
		}
		what := ""
		if d, _ := f.Disk(t); d != nil {
			if seen := f.seenOn(d); len(seen) > 0 {
				what = " (" + strings.Join(seen, "; ") + ")"
			}
		}
		return "; THE CONTENTS OF " + t.Was + " ARE LOST" + what + ", as --wipe allowed"
	}
	return ""
}

func count(n int, what string) string {
	if stem, ok := strings.CutSuffix(what, "y"); ok && n != 1 {
		what = stem + "ies"
	} else if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// CopyText says how each filesystem is copied, and why so.
func (p *Plan) CopyText(f *Facts) string {
	var out []string
	made := false
	for _, m := range p.Moves {
		s := p.Source.Node(m.From)
		if m.Engine == EngineMake {
			made = true
		} else if s != nil && s.FS != nil {
			out = append(out, p.taken(m)+" by "+m.Engine+" ("+m.Why+")")
		}
	}
	for _, s := range swapFiles(f) {
		out = append(out, "the swap file "+s+" as a file, its space kept")
	}
	if made {
		out = append(out, "swap is created again, never copied")
	}
	return strings.Join(out, "; ")
}

// swapFiles are the swap areas of fstab that are files.
func swapFiles(f *Facts) []string {
	var out []string
	for _, e := range f.Fstab {
		if e.Type == SwapType && strings.HasPrefix(e.Spec, "/") && !strings.HasPrefix(e.Spec, "/dev/") {
			out = append(out, e.Spec)
		}
	}
	return out
}

func (p *Plan) tellBack(g *page) {
	g.head("How to go back")
	g.pair("until reboot", "migrate-init cancel undoes the schedule to the byte")
	g.pair("until commit", "nothing to do: %s (on failure: %s; a kernel panic reboots after %d s)", p.untilCommit(), p.Policy.OnFailure, p.Policy.Panic)
	g.pair("until finish", "migrate-init rollback, then reboot: the old system is the default again, as it was at the reboot; what the new system wrote since then is not in it")
	olds, _ := p.joining()
	switch {
	case len(olds) == 0:
		g.pair("after finish", "the old system is still on %s: start that disk by the firmware's boot menu, or alone", p.OldDisks())
	case p.mirrors():
		g.pair("after finish", "no way back: the old disk is a mirror of the new one")
	default:
		g.pair("after finish", "no way back: what was on %s is gone", nodesOf(olds))
	}
	g.head("If a disk fails")
	for _, x := range p.losses() {
		g.pair(x.when, "%s", x.text)
	}
}

func (p *Plan) tellNever(g *page, f *Facts) {
	g.head("What is never done")
	g.para("  - ", "Before finish not one byte of %s is written by the migration; two writes come before the image starts: schedule, which you run, puts kernel, image and an entry into /boot; and the boot loader clears its one-shot choice.", p.OldDisks())
	g.para("  - ", "No other disk than %s is written.", p.NewTargets())
	g.para("  - ", "When two devices carry one identity, none is chosen; nothing is committed before it is proved.")
	for _, l := range p.Drop {
		name := l.ID()
		if d, _ := f.PartByGUID(l.ID()); d != nil {
			name = d.Path
		}
		g.para("  - ", "%s is left behind, as --leave asked: it is not copied, and finish erases it.", name)
	}
}

// offline estimates how long the services are down, in minutes, and at which rates of the disks, in MiB/s.
func (p *Plan) offline(f *Facts, used int64) (least, most, slow, fast int64) {
	slow, fast = 40, 200
	for _, n := range p.Disks() {
		if d, _ := f.Disk(n); d != nil && d.Rotational {
			slow, fast = 20, 120
			break
		}
	}
	minutes := func(bytes, rate int64) int64 { return bytes/mib/rate/60 + 1 }
	return minutes(2*used, fast), minutes(2*used, slow) + 2, slow, fast
}

func (p *Plan) tellTime(g *page, f *Facts, used int64) {
	least, most, slow, fast := p.offline(f, used)
	g.head("How long it takes, roughly")
	g.para("  ", "%s are read once, written once and read back once: %d to %d minutes offline at %d to %d MiB/s, plus some for the initramfs. Many small files take longer. The resync of finish runs under the live system.",
		size(used), least, most, slow, fast)
}
