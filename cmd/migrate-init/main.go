// Command migrate-init moves the root of an installed Linux onto md RAID, offline, from an initramfs.
//
// It is three things in one file: the operator's tool on the running system, the init of the migration (PID 1 in an
// image that holds a plan), and, later, an init that boots or rescues.
//
// The tool's voice: it speaks to an administrator. Results go to stdout, what is said on the way and every error to
// stderr. Exit codes: 0 done, 1 refused or failed, 2 the call's words are off.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
)

// version is set by the linker.
var version = "dev" //nolint:gochecknoglobals // the linker writes it

func main() {
	if os.Getpid() == 1 {
		runInit()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// command is one verb of the tool.
type command struct {
	name, args, help string
	flags            func(fs *flag.FlagSet, c *call)
	run              func(ctx context.Context, c *call) error
}

// call is one invocation: options by name, words, and where to speak.
type call struct {
	args     []string
	out, err io.Writer
	opt      options
}

// options is every option of every command; each command registers its own.
type options struct {
	json, dryRun, list, force, discard, noReboot bool
	to, engine, metadata, onFailure, output      string
	image, planFile                              string
	disks, wipe, leave                           words
}

// words is an option that may be given several times.
type words []string

func (w *words) String() string { return strings.Join(*w, ",") }

// Set adds a value.
func (w *words) Set(s string) error { *w = append(*w, s); return nil }

// usageError is an error in the call's words: exit code 2.
type usageError struct{ error }

func commands() []command {
	jsonFlag := func(fs *flag.FlagSet, c *call) { fs.BoolVar(&c.opt.json, "json", false, "print JSON") }
	dry := func(fs *flag.FlagSet, c *call) {
		fs.BoolVar(&c.opt.dryRun, "dry-run", false, "print what would be done, and the diffs of files, and do nothing")
	}
	return []command{
		{"inspect", "", "the machine in one page", jsonFlag, cmdInspect},
		{"plan", "--to raid1 --disk DEV", "make a plan and explain it", func(fs *flag.FlagSet, c *call) {
			fs.StringVar(&c.opt.to, "to", "", "the layout: raid1")
			fs.Var(&c.opt.disks, "disk", "a target disk; may be repeated")
			fs.Var(&c.opt.wipe, "wipe", "a target disk whose contents may be destroyed; may be repeated")
			fs.Var(&c.opt.leave, "leave", "a partition of the old disk that is not moved; may be repeated")
			fs.StringVar(&c.opt.engine, "engine", "", "tree or extent; the plan chooses by itself")
			fs.StringVar(&c.opt.metadata, "metadata", "", "md metadata version: 1.2 (default), 1.1, 1.0")
			fs.StringVar(&c.opt.onFailure, "on-failure", "", "reboot (default), shell or poweroff")
			fs.StringVar(&c.opt.output, "o", "plan.toml", "where the plan is written")
			dry(fs, c)
			jsonFlag(fs, c)
		}, cmdPlan},
		{"check", "PLAN", "hold a plan against this machine, read-only", jsonFlag, cmdCheck},
		{"build", "PLAN -o IMAGE", "make the initramfs of the migration", func(fs *flag.FlagSet, c *call) {
			fs.StringVar(&c.opt.output, "o", "migrate.img", "where the image is written")
			fs.BoolVar(&c.opt.list, "list", false, "print what would be inside, and why")
		}, cmdBuild},
		{"schedule", "PLAN", "kernel, image and a one-shot entry into the boot loader", func(fs *flag.FlagSet, c *call) {
			fs.StringVar(&c.opt.image, "image", "migrate.img", "the image that build made")
			dry(fs, c)
		}, cmdSchedule},
		{"cancel", "", "undo schedule, to the byte", dry, cmdCancel},
		{"status", "", "what happened, from the journal", jsonFlag, cmdStatus},
		{"finish", "", "make the old disk the mirror of the new one", func(fs *flag.FlagSet, c *call) {
			fs.BoolVar(&c.opt.discard, "discard-changes", false, "lose what was changed on the old disk since the copy")
			dry(fs, c)
		}, cmdFinish},
		{"rollback", "", "the old system is the default again", dry, cmdRollback},
		{"confirm", "", "mark this boot of the migrated system as good (its unit calls this)", dry, cmdConfirm},
		{"copy", "SRC DST", "copy a filesystem's tree with everything, and verify it", func(fs *flag.FlagSet, c *call) {
			fs.StringVar(&c.opt.engine, "engine", "tree", "tree (directories) or extent (unmounted block devices)")
			jsonFlag(fs, c)
		}, cmdCopy},
		{"version", "", "print the version", nil, func(_ context.Context, c *call) error { fmt.Fprintln(c.out, "migrate-init", version); return nil }},
	}
}

func run(ctx context.Context, args []string, out, errw io.Writer) int {
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		usage(out)
		if len(args) == 0 {
			return 2
		}
		return 0
	}
	for _, cmd := range commands() {
		if cmd.name == args[0] {
			return exec(ctx, cmd, args[1:], out, errw)
		}
	}
	fmt.Fprintf(errw, "migrate-init: command %q: not known; `migrate-init help` lists them\n", args[0])
	return 2
}

func exec(ctx context.Context, cmd command, args []string, out, errw io.Writer) int {
	c := &call{out: out, err: errw}
	fs := flag.NewFlagSet(cmd.name, flag.ContinueOnError)
	fs.SetOutput(errw)
	fs.Usage = func() {
		fmt.Fprintf(errw, "usage: migrate-init %s %s\n%s\n", cmd.name, cmd.args, cmd.help)
		fs.PrintDefaults()
	}
	if cmd.flags != nil {
		cmd.flags(fs, c)
	}
	// Options may stand before or after the words.
	for len(args) > 0 {
		if err := fs.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return 0
			}
			return 2
		}
		args = fs.Args()
		for len(args) > 0 && !strings.HasPrefix(args[0], "-") {
			c.args = append(c.args, args[0])
			args = args[1:]
		}
	}
	err := cmd.run(ctx, c)
	if err == nil {
		return 0
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintf(errw, "migrate-init: %s\n", line)
	}
	var u usageError
	if errors.As(err, &u) {
		return 2
	}
	return 1
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "migrate-init moves the root of an installed Linux onto RAID, offline, with one reboot.")
	fmt.Fprintln(w)
	var rows []string
	for _, c := range commands() {
		rows = append(rows, fmt.Sprintf("  migrate-init %-32s %s", strings.TrimSpace(c.name+" "+c.args), c.help))
	}
	fmt.Fprintln(w, strings.Join(rows, "\n"))
	fmt.Fprintln(w, "\nexit code: 0 done, 1 refused or failed, 2 the call's words are off")
}

func need(c *call, n int, what string) error {
	if len(c.args) != n {
		return usageError{fmt.Errorf("arguments %q: %s expected", strings.Join(c.args, " "), what)}
	}
	return nil
}
