package main

import (
	"context"
	"strings"

	"migrate-init/pkg/machine"
)

// The kernel's own watch over tasks that wait for a disk (Documentation/admin-guide/sysctl/kernel.rst).
const (
	hungPanic   = "/proc/sys/kernel/hung_task_panic"
	hungTimeout = "/proc/sys/kernel/hung_task_timeout_secs"
	// hungSeconds bounds one wait without any progress. The flush of a large cache to a slow disk takes minutes.
	hungSeconds = "3600"
)

// watchHangs lets the kernel panic, and kernel.panic reset the machine, when something waits for a disk that neither
// answers nor fails: no program can end that wait, and a machine that hangs has no way back. Where the kernel has no such
// watch there is nothing to set.
func (d *initd) watchHangs(ctx context.Context) error {
	for _, s := range []machine.WriteSys{{Path: hungTimeout, Value: hungSeconds}, {Path: hungPanic, Value: "1"}} {
		was, err := d.read(s.Path)
		if err != nil {
			return nil
		}
		d.hungWas = append(d.hungWas, machine.WriteSys{Path: s.Path, Value: strings.TrimSpace(string(was))})
		if _, err := d.m.Do(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// endHangWatch gives the new system the settings that it would have found without a migration.
func (d *initd) endHangWatch(ctx context.Context) {
	for _, s := range d.hungWas {
		if _, err := d.m.Do(ctx, s); err != nil {
			d.v.say("%v", err)
		}
	}
	d.hungWas = nil
}
