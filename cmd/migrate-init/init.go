package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"migrate-init/boot"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/stage"
)

// The image's own places; pkg/image puts them there.
const (
	imagePlan = "/etc/migrate-init/plan.toml"
	imageSelf = "/init"
)

// voice speaks to every console and to the kernel's log.
type voice struct {
	consoles []io.Writer
	kmsg     *machine.Kmsg
	bar      []*progress
}

func openVoice() *voice {
	v := &voice{}
	for _, c := range machine.Consoles() {
		f, err := os.OpenFile(c, os.O_WRONLY, 0)
		if err != nil {
			continue
		}
		v.consoles = append(v.consoles, f)
		v.bar = append(v.bar, &progress{w: lineWriter{f}, every: time.Second})
	}
	v.kmsg, _ = machine.OpenKmsg("migrate-init")
	return v
}

// lineWriter ends lines as a serial line wants them.
type lineWriter struct{ w io.Writer }

// Write implements io.Writer.
func (l lineWriter) Write(b []byte) (int, error) {
	_, err := io.WriteString(l.w, strings.ReplaceAll("migrate-init: "+string(b), "\n", "\r\n"))
	return len(b), err
}

func (v *voice) say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		for _, c := range v.consoles {
			fmt.Fprintf(lineWriter{c}, "%s\n", line)
		}
		if v.kmsg != nil {
			// At debug level the kernel's log keeps the line and does not print it on the console a second time. A
			// console that took it has said it: a failure here changes nothing.
			_ = v.kmsg.Log(7, line)
		}
	}
}

func (v *voice) event(e stage.Event) {
	if e.Progress == nil {
		v.say("%s: %s", e.Stage, e.Text)
		return
	}
	for _, b := range v.bar {
		b.event(e)
	}
}

// runInit is PID 1. It never returns: it ends in the new system, or in the plan's policy.
func runInit() {
	m := &machine.Real{}
	policy := plan.Policy{OnFailure: "reboot", Panic: 30}
	v := &voice{}
	defer func() {
		if r := recover(); r != nil {
			v.say("panic: %v\n%s", r, debug.Stack())
			giveUp(m, v, policy, nil)
		}
	}()
	ctx := context.Background()
	early := doAll(ctx, m, machine.EarlyMounts())
	v = openVoice()
	if early != nil {
		v.say("early mounts: %v", early)
	}
	go func() {
		if err := m.Reap(ctx); err != nil {
			v.say("reaper: %v", err)
		}
	}()
	for _, s := range []machine.WriteSys{
		{Path: "/proc/sys/kernel/printk_devkmsg", Value: "on"},
		{Path: "/proc/sys/kernel/panic_on_oops", Value: "1"},
	} {
		if _, err := m.Do(ctx, s); err != nil {
			v.say("%v", err)
		}
	}
	p, text, err := readPlan(imagePlan)
	if err != nil {
		v.say("%v", err)
		giveUp(m, v, policy, nil)
	}
	policy = p.Policy
	cmd, _ := os.ReadFile("/proc/cmdline")
	if want, ok := boot.ParseCmdline(string(cmd)).Get("migrate.plan"); ok && want != p.ID {
		v.say("plan %s: the command line wants plan %s; this image was built for another", p.ID, want)
		giveUp(m, v, policy, nil)
	}
	if _, err := m.Do(ctx, machine.WriteSys{Path: "/proc/sys/kernel/panic", Value: strconv.Itoa(policy.Panic)}); err != nil {
		v.say("%v", err)
	}
	v.say("migrate-init %s, plan %s: %s", version, p.ID, p.To)
	m.Lines = func(line string) { v.say("  | %s", line) }
	e := env(p, text, m, v.event)
	e.Self = imageSelf
	if err := e.Load(ctx, p.Drivers...); err != nil {
		v.say("drivers: %v", err)
	}
	if err := stage.Run(ctx, e); err != nil {
		v.say("FAILED: %v", err)
		v.say("nothing was committed: the next boot is the old system, unchanged; `migrate-init status` there tells the reason")
		giveUp(m, v, policy, e)
	}
	v.say("handover returned; this cannot be")
	giveUp(m, v, policy, e)
}

// giveUp carries out the policy for failures; it does not return.
func giveUp(m *machine.Real, v *voice, policy plan.Policy, e *stage.Env) {
	ctx := context.Background()
	if policy.OnFailure == "shell" {
		v.say("policy: a shell on the console; leaving it reboots")
		if err := m.Shell(ctx, "/dev/console", "/bin/sh"); err != nil {
			v.say("shell: %v", err)
		}
	}
	if e != nil {
		e.Abandon(ctx)
	}
	how := "reboot"
	if policy.OnFailure == "poweroff" {
		how = "poweroff"
	}
	v.say("policy: %s", how)
	if _, err := m.Do(ctx, machine.Reboot{How: how}); err != nil {
		v.say("%s: %v", how, err)
	}
	// The kernel resets the machine after kernel.panic seconds when init ends: better than a machine that hangs.
	os.Exit(1)
}
