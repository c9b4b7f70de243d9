package pid1

import (
	"context"
	"io/fs"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"migrate-init/boot"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/stage"
)

// Self is where the kernel starts this program in an image.
const Self = "/init"

// firstPanic is kernel.panic until a plan was read: from the first moment on, the end of this process (such as a panic of
// a goroutine that cannot be recovered) is a reset, and not a machine that hangs.
const firstPanic = 30

// Init is PID 1 and what it touches of the outer world. New fills it with this machine, a test with a made-up one.
type Init struct {
	Version  string
	Root     fs.FS    // the image's root, for reading
	Args     []string // what the kernel passed to this init; the next one gets the same
	Env      []string
	Machine  machine.Machine
	Consoles *Consoles
	// Stages returns the environment of a plan's stages, which act on m.
	Stages func(p *plan.Plan, text []byte, m machine.Machine, tell func(stage.Event)) *stage.Env

	Early  func() []machine.Effect // mounts /proc, /sys, /dev ...
	Listen func()                  // opens the consoles; /dev is mounted by then
	Reap   func(context.Context) error
	Shell  func(context.Context) error
	// Secret reads a line from any console, without echo; it calls the function when what is typed counts.
	Secret     func(context.Context, func()) ([]byte, error)
	HoldScreen func(context.Context) // gives a person time to read the reason of a failure
	End        func()                // ends the process; returns in a test only

	modes   []mode
	cmdline boot.Cmdline
	image   imagePlan
	policy  plan.Policy
	job     job
	failing bool               // the policy for failures is being carried out
	hungWas []machine.WriteSys // the kernel's own settings
}

// holdFor is how long the reason of a failure stays on a screen before the reset: the target may hold no copy of it.
const holdFor = 10 * time.Second

// New returns the PID 1 of this machine. The caller adds Version, Root and Stages.
func New(consoles *Consoles) *Init {
	m := &machine.Real{Lines: func(line string) { consoles.Say("  | %s", line) }}
	return &Init{
		Args: os.Args[1:], Env: os.Environ(), Machine: m, Consoles: consoles,
		Early: machine.EarlyMounts, Listen: consoles.open, Reap: m.Reap,
		Shell: func(ctx context.Context) error { return m.Shell(ctx, machine.Consoles(), "/bin/sh") },
		Secret: func(ctx context.Context, ready func()) ([]byte, error) {
			return machine.ReadSecret(ctx, machine.Consoles(), ready)
		},
		HoldScreen: func(ctx context.Context) {
			ctx, done := context.WithTimeout(ctx, holdFor)
			defer done()
			<-ctx.Done()
		},
		// The kernel resets the machine kernel.panic seconds after its init ended.
		End:   func() { os.Exit(1) },
		modes: modes(),
	}
}

// Main is PID 1 from its first effect to its last. See the package's contract.
func (p *Init) Main(ctx context.Context) {
	catchSignals()
	p.policy = plan.Policy{OnFailure: "reboot", Panic: firstPanic}
	defer p.End()
	defer p.recovered(ctx)
	p.setUp(ctx)
	if err := p.run(ctx); err != nil {
		p.report(err)
	}
	p.giveUp(ctx)
}

// catchSignals keeps a hang-up of the console, or a stray kill, from ending PID 1. Children and the new init start with
// the defaults all the same.
func catchSignals() {
	if os.Getpid() == 1 {
		signal.Notify(make(chan os.Signal, 1))
	}
}

// setUp makes the process a PID 1. A step that fails is reported and skipped: whatever needs it fails later, with its own
// error.
func (p *Init) setUp(ctx context.Context) {
	var errs []error
	do := func(e machine.Effect) {
		if _, err := p.Machine.Do(ctx, e); err != nil {
			errs = append(errs, err)
		}
	}
	for _, e := range p.Early() {
		do(e)
	}
	do(panicAfter(firstPanic))
	do(machine.WriteSys{Path: "/proc/sys/kernel/panic_on_oops", Value: "1"})
	do(machine.WriteSys{Path: "/proc/sys/kernel/printk_devkmsg", Value: "on\n"}) // the kernel refuses it without the newline
	if err := p.watchHangs(ctx); err != nil {
		errs = append(errs, err)
	}
	p.Listen()
	for _, err := range errs {
		p.Consoles.Say("early: %v", err)
	}
	go p.reap(ctx)
}

func (p *Init) reap(ctx context.Context) {
	defer func() {
		if r := recover(); r != nil {
			p.Consoles.Say("reaper: panic: %v", r) // zombies are no reason to end a migration
		}
	}()
	if err := p.Reap(ctx); err != nil && ctx.Err() == nil {
		p.Consoles.Say("reaper: %v", err)
	}
}

// run runs the mode that the kernel command line selects. A plan in the image sets the policy for every mode.
func (p *Init) run(ctx context.Context) error {
	line, err := p.read("/proc/cmdline")
	if err != nil {
		p.Consoles.Say("kernel command line: %v", err)
	}
	p.cmdline = boot.ParseCmdline(string(line))
	p.image = p.readPlan()
	if p.image.err == nil {
		p.policy = p.image.Policy
		if _, err := p.Machine.Do(ctx, panicAfter(p.policy.Panic)); err != nil {
			p.Consoles.Say("%v", err)
		}
	}
	m, err := selectMode(p.modes, p.cmdline)
	if err != nil {
		return err
	}
	return m.Run(ctx, p)
}

func panicAfter(seconds int) machine.WriteSys {
	return machine.WriteSys{Path: "/proc/sys/kernel/panic", Value: strconv.Itoa(seconds)}
}

// read reads a file of the image by its absolute path.
func (p *Init) read(name string) ([]byte, error) {
	return fs.ReadFile(p.Root, strings.TrimPrefix(name, "/"))
}
