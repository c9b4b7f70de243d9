package pid1

import (
	"context"
	"fmt"
	"strings"

	"migrate-init/boot"
	"migrate-init/pkg/plan"
)

// mode is a row: what PID 1 runs once it is set up. Run returns why it failed; when all goes well it does not return,
// because another program has become PID 1.
type mode struct {
	Name string
	Run  func(ctx context.Context, p *Init) error
}

// modes is every mode there is. The first one is selected when the kernel command line names none.
func modes() []mode {
	return []mode{
		{"migrate", migrate},
	}
}

// modeParam is the kernel parameter that selects a mode.
const modeParam = "migrate.mode"

func selectMode(all []mode, cmdline boot.Cmdline) (mode, error) {
	name, ok := cmdline.Get(modeParam)
	if !ok {
		return all[0], nil
	}
	var known []string
	for _, m := range all {
		if m.Name == name {
			return m, nil
		}
		known = append(known, m.Name)
	}
	return mode{}, fmt.Errorf("kernel parameter %s=%s: unknown mode; this image knows: %s", modeParam, name, strings.Join(known, ", "))
}

// job is what a mode leaves for the case that it fails. A mode sets each field as soon as it can.
type job struct {
	journal func(ctx context.Context, text string) error // records a panic
	outlook func() string                                // what the next boot will be
	kept    func() bool                                  // the reason is in a journal
	facts   func() *plan.Facts                           // the machine as it was last looked at; nil when it was not
	release func(ctx context.Context)                    // unmounts and stops what the mode started
}
