package pid1

import (
	"context"
	"strings"

	"migrate-init/pkg/machine"
)

// The kernel's own watch over tasks that wait for a disk (Documentation/admin-guide/sysctl/kernel.rst).
const (
	hungPanic   = "/proc/sys/kernel/hung_task_panic"
	hungTimeout = "/proc/sys/kernel/hung_task_timeout_secs"
	// hungSeconds bounds one wait without any progress. Flushing a large cache to a slow disk takes minutes.
	hungSeconds = "3600"
)

// watchHangs makes the kernel panic, and thus reset the machine, when a task waits for a disk that neither answers nor
// fails: no program can end that wait, and a machine that hangs has no way back. A kernel without this watch is left
// as it is.
func (p *Init) watchHangs(ctx context.Context) error {
	for _, s := range []machine.WriteSys{{Path: hungTimeout, Value: hungSeconds}, {Path: hungPanic, Value: "1"}} {
		was, err := p.read(s.Path)
		if err != nil {
			return nil
		}
		p.hungWas = append(p.hungWas, machine.WriteSys{Path: s.Path, Value: strings.TrimSpace(string(was))})
		if _, err := p.Machine.Do(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// endHangWatch restores the settings that the new system would have found without a migration.
func (p *Init) endHangWatch(ctx context.Context) {
	for _, s := range p.hungWas {
		if _, err := p.Machine.Do(ctx, s); err != nil {
			p.Consoles.Say("%v", err)
		}
	}
	p.hungWas = nil
}
