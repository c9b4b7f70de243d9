package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
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
	imagePlan      = "/etc/migrate-init/plan.toml"
	imageWatchdogs = "/etc/migrate-init/watchdogs"
	imageSelf      = "/init"
)

// firstPanic is kernel.panic until a plan was read: from the first moment on, the end of this process (a panic of a
// goroutine that nothing can catch) is a reset, and not a machine that hangs.
const firstPanic = 30

// initd is PID 1 of an image.
type initd struct {
	*app
	m      machine.Machine
	v      *voice
	args   []string // what the kernel hands to an init
	env    []string
	early  func() []machine.Effect
	reap   func(context.Context) error
	listen func() // finds the consoles, once /dev is there
	shell  func(context.Context) error
	linger func(context.Context) // leaves the reason on the consoles for a while
	end    func()                // ends the process; only a test comes back

	policy  plan.Policy
	run     *stage.Env
	failed  bool
	hungWas []machine.WriteSys // the kernel's own settings
}

// bootInit is PID 1. It never returns: it ends in the new system, or in the plan's policy.
func bootInit() {
	a, m := thisMachine(), &machine.Real{}
	v := &voice{now: a.now}
	m.Lines = func(line string) { v.say("  | %s", line) }
	// All that can be caught is: unhandled, a hang-up of the console or a stray kill would end this process. Children
	// and the new init start with the defaults all the same.
	signal.Notify(make(chan os.Signal, 1))
	d := &initd{app: a, m: m, v: v, args: os.Args[1:], env: os.Environ(), early: machine.EarlyMounts, reap: m.Reap, listen: v.open,
		shell: func(ctx context.Context) error { return m.Shell(ctx, machine.Consoles(), "/bin/sh") },
		linger: func(ctx context.Context) {
			ctx, done := context.WithTimeout(ctx, reading)
			defer done()
			<-ctx.Done()
		},
		// The kernel resets the machine kernel.panic seconds after its init ended: better than a machine that hangs.
		end: func() { os.Exit(1) }}
	d.main(context.Background())
}

// main does all of it. What comes back, by whatever way, ends in the policy for failures.
func (d *initd) main(ctx context.Context) {
	d.policy = plan.Policy{OnFailure: "reboot", Panic: firstPanic}
	defer d.end()
	defer d.caught(ctx)
	d.prepare(ctx)
	if err := d.migrate(ctx); err != nil {
		d.say(err)
	}
	d.giveUp(ctx)
}

// caught makes a panic a failure like others: said, journalled, and followed by the policy.
func (d *initd) caught(ctx context.Context) {
	r := recover()
	if r == nil {
		return
	}
	d.v.say("panic: %v\n%s", r, debug.Stack())
	if d.failed {
		return // it was giveUp that panicked
	}
	if d.run != nil {
		if err := d.run.Record(ctx, stage.Record{Stage: "init", Event: stage.Failed, Text: fmt.Sprint("panic: ", r)}); err != nil {
			d.v.say("%v", err)
		}
	}
	d.say(fmt.Errorf("panic: %v", r))
	d.giveUp(ctx)
}

// prepare makes the process a PID 1. Whatever fails of it is told and passed over: the stages find out what they lack.
func (d *initd) prepare(ctx context.Context) {
	var errs []error
	for _, e := range d.early() {
		if _, err := d.m.Do(ctx, e); err != nil {
			errs = append(errs, err)
		}
	}
	for _, s := range []machine.WriteSys{
		{Path: "/proc/sys/kernel/panic", Value: strconv.Itoa(firstPanic)},
		{Path: "/proc/sys/kernel/panic_on_oops", Value: "1"},
		{Path: "/proc/sys/kernel/printk_devkmsg", Value: "on\n"}, // without the line end the kernel refuses it
	} {
		if _, err := d.m.Do(ctx, s); err != nil {
			errs = append(errs, err)
		}
	}
	if err := d.watchHangs(ctx); err != nil {
		errs = append(errs, err)
	}
	d.listen()
	for _, err := range errs {
		d.v.say("early: %v", err)
	}
	go func() {
		defer func() {
			if r := recover(); r != nil {
				d.v.say("reaper: panic: %v", r) // zombies are no reason to end a migration
			}
		}()
		if err := d.reap(ctx); err != nil && ctx.Err() == nil {
			d.v.say("reaper: %v", err)
		}
	}()
}

// migrate reads the plan and carries it out. It returns what went wrong; when all went well it does not return.
func (d *initd) migrate(ctx context.Context) error {
	line, err := d.read("/proc/cmdline")
	if err != nil {
		d.v.say("kernel command line: %v", err)
	}
	cmdline := boot.ParseCmdline(string(line))
	p, text, err := d.imagePlan()
	if err != nil {
		return err
	}
	d.policy = p.Policy
	if mode, ok := cmdline.Get("migrate.mode"); ok && mode != "migrate" {
		return fmt.Errorf("kernel parameter migrate.mode=%s: not known; this image knows migrate", mode)
	}
	if want, ok := cmdline.Get("migrate.plan"); ok && want != p.ID {
		return fmt.Errorf("plan %s: the kernel command line wants plan %s; this image was built for another", p.ID, want)
	}
	if _, err := d.m.Do(ctx, machine.WriteSys{Path: "/proc/sys/kernel/panic", Value: strconv.Itoa(d.policy.Panic)}); err != nil {
		d.v.say("%v", err)
	}
	d.v.say("migrate-init %s, plan %s: %s", version, p.ID, p.To)
	d.run = d.app.env(p, text, entering{d, cmdline}, d.v.event)
	d.run.Self = imageSelf
	d.run.KernelLog = d.app.watchKernel(func(err error) { d.v.say("%v", err) })
	// Without a list the machine has no watchdog that could be left running.
	watchdogs, _ := d.read(imageWatchdogs)
	// Each by itself: one that is missing or refuses must not keep the others from finding the disks.
	for _, name := range append(strings.Fields(string(watchdogs)), p.Drivers...) {
		if err := d.run.Load(ctx, name); err != nil {
			d.v.say("driver %s: %v", name, err)
		}
	}
	if err := stage.Run(ctx, d.run); err != nil {
		return err
	}
	return errors.New("handover: it came back without an error; this cannot be")
}

func (d *initd) imagePlan() (*plan.Plan, []byte, error) {
	b, err := d.read(imagePlan)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("plan %s: not in this image, and without one this init has nothing to do; `migrate-init build` puts it in", imagePlan)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("plan: %w", err)
	}
	return parsePlan(imagePlan, b)
}

// entering is the machine of the init: it adds to the switch what the kernel handed to this init, for the next one.
type entering struct {
	d       *initd
	cmdline boot.Cmdline
}

// hookTime bounds a program of the migrated system. It runs hooks that nobody here knows, and one that waits for ever would
// keep the machine from its way back. An initrd for each of many kernels, on a slow machine, takes minutes.
const hookTime = 2 * time.Hour

// Do carries out one effect.
func (m entering) Do(ctx context.Context, e machine.Effect) (machine.Output, error) {
	if x, ok := e.(machine.Exec); ok && x.Root != "" {
		var done context.CancelFunc
		ctx, done = context.WithTimeout(ctx, hookTime)
		defer done()
	}
	if s, ok := e.(machine.SwitchRoot); ok {
		m.d.endHangWatch(ctx)
		s.Args, s.Env = m.d.args, m.d.env
		if init, ok := m.cmdline.Get("init"); ok && strings.HasPrefix(init, "/") {
			s.Init = init
		}
		e = s
	}
	return m.d.m.Do(ctx, e)
}

// say tells why the migration ends here, and what the next boot is.
func (d *initd) say(err error) {
	d.v.say("FAILED: %v", err)
	if d.run != nil && d.run.Records().Done("commit") {
		d.v.say("the migration was committed before: the old disk's boot loader enters the new system, once; if that fails too, the old one is back, unchanged")
		return
	}
	if d.run != nil && d.run.Records().Committing() {
		d.v.say("the commit was begun, and whether it was made only the boot loader can see: the next boot is the new system, once, or the old one, unchanged")
		return
	}
	if d.run == nil || len(d.run.Records()) == 0 {
		d.v.say("nothing was committed: the next boot is the old system, unchanged; the target has no journal yet, so the reason stands only here")
		return
	}
	d.v.say("nothing was committed: the next boot is the old system, unchanged; `migrate-init status` there tells the reason")
}

// reading is how long the reason of a failure stays on a screen before the machine is reset: it may be kept nowhere else.
const reading = 10 * time.Second

// abandonTime bounds how long a failed migration releases mounts and arrays before the reset.
const abandonTime = 30 * time.Second

// giveUp carries out the policy for failures.
func (d *initd) giveUp(ctx context.Context) {
	d.failed = true
	seen := false
	if d.policy.OnFailure == "shell" {
		d.v.say("policy: a shell on every console; leaving one reboots")
		err := d.shell(ctx)
		if err != nil {
			d.v.say("shell: %v", err)
		}
		seen = err == nil
	}
	if d.run != nil {
		// A disk that hangs must not keep the machine from coming back: what cannot be released is reset.
		bound, done := context.WithTimeout(ctx, abandonTime)
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			defer func() {
				if r := recover(); r != nil {
					d.v.say("abandon: panic: %v", r)
				}
			}()
			d.run.Abandon(bound)
		}()
		select {
		case <-gone:
		case <-bound.Done():
			d.v.say("abandon: not done after %s; the reset goes on", abandonTime)
		}
		done()
	}
	how := "reboot"
	if d.policy.OnFailure == "poweroff" {
		how = "poweroff"
	}
	d.v.say("policy: %s", how)
	if !seen {
		d.linger(ctx)
	}
	if _, err := d.m.Do(ctx, machine.Reboot{How: how}); err != nil {
		d.v.say("%s: %v", how, err)
	}
}
