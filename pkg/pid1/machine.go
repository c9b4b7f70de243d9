package pid1

import (
	"context"
	"strings"
	"time"

	"migrate-init/pkg/machine"
)

// pid1Machine is the machine that the stages act on. To the switch to the new root it adds what the kernel passed to this
// init, for the next one.
type pid1Machine struct{ p *Init }

// hookTime bounds a program of the migrated system. It runs hooks that no one here knows, and one that waits forever would
// keep the machine from its way back. Making an initrd for each of many kernels, on a slow machine, takes minutes.
const hookTime = 2 * time.Hour

// Do carries out one effect.
func (m pid1Machine) Do(ctx context.Context, e machine.Effect) (machine.Output, error) {
	switch x := e.(type) {
	case machine.Exec:
		if x.Root != "" {
			var done context.CancelFunc
			ctx, done = context.WithTimeout(ctx, hookTime)
			defer done()
		}
	case machine.SwitchRoot:
		m.p.endHangWatch(ctx)
		x.Args, x.Env = m.p.Args, m.p.Env
		if init, ok := m.p.cmdline.Get("init"); ok && strings.HasPrefix(init, "/") {
			x.Init = init
		}
		e = x
	}
	return m.p.Machine.Do(ctx, e)
}
