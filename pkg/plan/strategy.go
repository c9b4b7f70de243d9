package plan

import "fmt"

// Places in which a phase runs.
const (
	InImage     = "image"      // PID 1 of the image
	InNewSystem = "new system" // the migrated system
)

// Who starts a phase.
const (
	ByBoot     = "boot"     // it starts by itself
	ByOperator = "operator" // a command starts it
)

// Phase is a part of a migration that runs in one go: the names of its stages in their order.
type Phase struct {
	Where  string   `toml:"where" json:"where"`
	By     string   `toml:"by" json:"by"`
	Stages []string `toml:"stages" json:"stages"`
}

// strategy is a row of the table of strategies: another one is another composition of stages.
type strategy struct {
	name   string
	phases []Phase
}

// strategyOffline copies everything before the new system is entered.
const strategyOffline = "offline"

func strategies() []strategy {
	return []strategy{{strategyOffline, []Phase{
		{InImage, ByBoot, []string{"reveal", "check", "prepare", "copy", "verify", "rewrite", "rebuild", "prove", "commit", "handover"}},
		{InNewSystem, ByBoot, []string{"confirm"}},
		{InNewSystem, ByOperator, []string{"review", "takeover", "repartition", "join", "resync", "install", "clean"}},
	}}}
}

// PhasesOf returns what a strategy composes.
func PhasesOf(name string) ([]Phase, error) {
	for _, s := range strategies() {
		if s.name == name {
			return s.phases, nil
		}
	}
	return nil, fmt.Errorf("strategy %q: unknown to this migrate-init", name)
}

// Phase returns the stages of the phase that a place and a starter run, nil where the plan has none.
func (p *Plan) Phase(where, by string) []string {
	for _, x := range p.Phases {
		if x.Where == where && x.By == by {
			return x.Stages
		}
	}
	return nil
}

// FinishStages are the stages that the operator starts in the new system: from the first that writes to an old disk on,
// there is no way back.
func (p *Plan) FinishStages() []string { return p.Phase(InNewSystem, ByOperator) }
