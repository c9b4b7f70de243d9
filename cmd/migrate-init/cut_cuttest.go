//go:build cuttest

package main

import (
	"os"

	"migrate-init/boot"
	"migrate-init/pkg/cut"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/stage"
)

// withCut numbers and prints the effects of m, and cuts the power where the kernel parameter migrate.cut says, or, live, the
// environment variable MIGRATE_INIT_CUT. See cut.Parse for what they may say;
// several, separated by commas, are for the attempts of a migration that starts again by itself.
func (a *app) withCut(m machine.Machine, tell func(stage.Event)) machine.Machine {
	where := os.Getenv("MIGRATE_INIT_CUT")
	if line, err := a.read("/proc/cmdline"); err == nil && os.Getpid() == 1 {
		where, _ = boot.ParseCmdline(string(line)).Get("migrate.cut")
	}
	if where == "" {
		return m
	}
	at, err := cut.ParseAttempts(where)
	if err != nil {
		panic(err) // a test that cuts nowhere would pass
	}
	kmsg, err := machine.OpenKmsg("migrate-init")
	if err != nil {
		panic(err)
	}
	// The kernel prints an emergency message on its consoles before the call returns.
	shout := func(s string) { _ = kmsg.Log(0, s) }
	c := &cut.Cutter{M: m, At: at[0], Shout: shout, Say: func(s string) { tell(stage.Event{Stage: "cut", Text: s}) }}
	if len(at) > 1 {
		c.At, c.Attempts = cut.Point{}, at
	}
	return c.Machine()
}
