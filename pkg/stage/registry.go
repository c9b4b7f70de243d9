package stage

import (
	"context"
	"fmt"
	"slices"

	"migrate-init/pkg/plan"
	"migrate-init/pkg/survey"
)

// Stage is one step of a migration. Run may be killed at any effect and started again in another boot; it finds its own
// work by the identities of the plan and goes on.
type Stage struct {
	Name  string
	Where string // plan.InImage or plan.InNewSystem
	// Text says for people what it does, in one sentence without its end.
	Text func(p *plan.Plan, f *plan.Facts) string
	// Brief says so in a few words.
	Brief func(p *plan.Plan, f *plan.Facts) string
	Run   func(ctx context.Context, e *Env) error
	// Done reports that there is nothing to do; nil: it always runs.
	Done func(rs Records) bool
	// Looks: it changes nothing, and is no reason for a record.
	Looks bool
	// Waits: the disks may not be there yet when it begins, and it looks at them by itself.
	Waits bool
	// Commits: once it is done, no stage before it runs again.
	Commits bool
	// Holds: it works on the old disks under a running udev, which has to keep off them.
	Holds bool
	// Settles: it begins once udev has handled what the stages before it caused.
	Settles bool
	// Reserve: its records may take the journal's last slots.
	Reserve bool
}

// Names of stages that other code asks the journal about.
const (
	commit      = "commit"
	takeover    = "takeover"
	repartition = "repartition"
	join        = "join"
	resync      = "resync"
	install     = "install"
	clean       = "clean"
)

// registry is every stage there is. A strategy names those it wants, in its own order.
func registry() []Stage {
	image, system := plan.InImage, plan.InNewSystem
	return []Stage{
		{Name: "reveal", Where: image, Looks: true, Waits: true, Text: textReveal, Brief: briefReveal, Run: runReveal},
		{Name: "check", Where: image, Looks: true, Text: textCheck, Brief: briefCheck, Run: runCheck},
		{Name: "prepare", Where: image, Text: textPrepare, Brief: briefPrepare, Run: runPrepare},
		{Name: "copy", Where: image, Text: textCopy, Brief: briefCopy, Done: once("copy"), Run: runCopy},
		{Name: "verify", Where: image, Text: textVerify, Brief: briefVerify, Done: once("verify"), Run: runVerify},
		{Name: "rewrite", Where: image, Text: textRewrite, Brief: briefRewrite, Run: runRewrite},
		{Name: "rebuild", Where: image, Text: textRebuild, Brief: briefRebuild, Run: runRebuild},
		{Name: "prove", Where: image, Text: textProve, Brief: briefProve, Run: runProve},
		{Name: commit, Where: image, Commits: true, Reserve: true, Text: textCommit, Brief: briefCommit, Run: runCommit},
		{Name: "handover", Where: image, Reserve: true, Text: textHandover, Brief: briefHandover, Run: runHandover},
		{Name: "confirm", Where: system, Text: textConfirm, Brief: briefConfirm, Run: runConfirm},
		{Name: "review", Where: system, Looks: true, Text: textReview, Brief: briefReview, Run: runReview},
		{Name: takeover, Where: system, Holds: true, Reserve: true, Text: textTakeover, Brief: briefTakeover, Run: runTakeover},
		{Name: repartition, Where: system, Holds: true, Reserve: true, Text: textRepartition, Brief: briefRepartition, Run: runRepartition},
		{Name: join, Where: system, Settles: true, Holds: true, Reserve: true, Text: textJoin, Brief: briefJoin, Run: runJoin},
		{Name: resync, Where: system, Reserve: true, Text: textResync, Brief: briefResync, Run: runResync},
		{Name: install, Where: system, Holds: true, Reserve: true, Text: textInstall, Brief: briefInstall, Run: runInstall},
		{Name: clean, Where: system, Reserve: true, Text: textClean, Brief: briefClean, Run: runClean},
	}
}

func once(name string) func(Records) bool {
	return func(rs Records) bool { return rs.Done(name) }
}

// depth is how much a stage wants to know before it begins.
func (s Stage) depth() survey.Depth {
	if s.Waits {
		return survey.Shallow
	}
	return survey.Deep
}

// stageNamed finds a row of the registry.
func stageNamed(name string) (Stage, bool) {
	for _, s := range registry() {
		if s.Name == name {
			return s, true
		}
	}
	return Stage{}, false
}

// Text describes a stage of a plan; it is a plan.StageText.
func Text(name string, p *plan.Plan, f *plan.Facts) string {
	s, ok := stageNamed(name)
	if !ok {
		return "a stage of another version"
	}
	return s.Text(p, f)
}

// Brief describes a stage of a plan in a few words; it is a plan.StageText.
func Brief(name string, p *plan.Plan, f *plan.Facts) string {
	s, ok := stageNamed(name)
	if !ok {
		return "a stage of another version"
	}
	return s.Brief(p, f)
}

// An UnknownError says that a plan names a stage that this binary does not have, or does not run there.
type UnknownError struct{ Name string }

func (e *UnknownError) Error() string {
	return fmt.Sprintf("stage %q: unknown to this migrate-init; build the image with the one that made the plan", e.Name)
}

// compose returns the stages of a plan's phase in its order.
func compose(p *plan.Plan, where, by string) ([]Stage, error) {
	var out []Stage
	for _, n := range p.Phase(where, by) {
		s, ok := stageNamed(n)
		if !ok || s.Where != where {
			return nil, &UnknownError{n}
		}
		out = append(out, s)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("plan %s: no stages for the %s", p.ID, where)
	}
	return out, nil
}

// partOf is the key of a stage's part in the journal: what it does to one node.
func partOf(stage string, n *plan.Node) string { return stage + ":" + string(n.Ref) }

// Finishing reports whether a stage that the operator starts in the new system has begun.
func Finishing(p *plan.Plan, rs Records) bool {
	for _, name := range p.FinishStages() {
		if rs.Begun(name) {
			return true
		}
	}
	return false
}

// Finished reports whether the last of those stages has ended, and none of them was started again since.
func Finished(p *plan.Plan, rs Records) bool {
	names := p.FinishStages()
	for _, r := range slices.Backward(rs) {
		if slices.Contains(names, r.Stage) {
			return r.Stage == names[len(names)-1] && r.Event == Done
		}
	}
	return false
}
