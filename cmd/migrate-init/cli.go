package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"migrate-init/pkg/machine"
)

// verb is one command of the tool.
type verb struct {
	name, args, help string
	words            []string // the arguments that it takes, each one needed
	flags            func(fs *flag.FlagSet, o *options)
	run              func(ctx context.Context, c *call) error
}

// call is one invocation: the machine, options by name, words, and where to speak.
type call struct {
	*app
	args     []string
	out, err io.Writer
	opt      options
}

// options is every option of every command; each command registers its own.
type options struct {
	json, dryRun, list, discard, files      bool
	to, engine, metadata, onFailure, output string
	image, label, readError                 string
	keepUUID, noGrow                        bool
	disks, wipe, leave                      words
	checkpoint                              time.Duration
}

// words is an option that may be given several times.
type words []string

func (w *words) String() string { return strings.Join(*w, ",") }

// Set adds a value.
func (w *words) Set(s string) error { *w = append(*w, s); return nil }

// usageError is a wrong call: exit code 2.
type usageError struct{ error }

func verbs() []verb {
	asJSON := func(fs *flag.FlagSet, o *options) { fs.BoolVar(&o.json, "json", false, "print JSON") }
	dry := func(fs *flag.FlagSet, o *options) {
		fs.BoolVar(&o.dryRun, "dry-run", false, "print what would be done, and the diffs of files, and do nothing")
	}
	onePlan := []string{"a plan"}
	return []verb{
		{"inspect", "", "the machine in one page", nil, asJSON, cmdInspect},
		{"plan", "--to raid1 --disk DEV", "make a plan and explain it", nil, func(fs *flag.FlagSet, o *options) {
			fs.StringVar(&o.to, "to", "", "the `layout`: raid1")
			fs.Var(&o.disks, "disk", "a target disk; may be repeated")
			fs.Var(&o.wipe, "wipe", "a target disk whose contents may be destroyed; may be repeated")
			fs.Var(&o.leave, "leave", "a partition of the old disk that is not moved; may be repeated")
			fs.StringVar(&o.engine, "engine", "", "tree or extent; the plan chooses by itself")
			fs.StringVar(&o.metadata, "metadata", "", "md metadata version: 1.2 (default), 1.1, 1.0")
			fs.StringVar(&o.onFailure, "on-failure", "", "reboot (default), shell or poweroff")
			fs.StringVar(&o.output, "o", "plan.toml", "the `file` that the plan is written to")
			dry(fs, o)
			asJSON(fs, o)
		}, cmdPlan},
		{"check", "PLAN", "check a plan against this machine, read-only", onePlan, func(fs *flag.FlagSet, o *options) {
			fs.BoolVar(&o.files, "files", false, "also look at every file for what a copy file by file would not keep; takes the disk's time")
			asJSON(fs, o)
		}, cmdCheck},
		{"build", "PLAN -o IMAGE", "make the initramfs of the migration", onePlan, func(fs *flag.FlagSet, o *options) {
			fs.StringVar(&o.output, "o", "migrate.img", "the `file` that the image is written to")
			fs.BoolVar(&o.list, "list", false, "print what would be inside, and why, and write nothing")
			fs.BoolVar(&o.dryRun, "dry-run", false, "make the image in memory, print what would be written, and write nothing")
		}, cmdBuild},
		{"schedule", "PLAN --image IMAGE", "kernel, image and a one-shot entry into the boot loader", onePlan, func(fs *flag.FlagSet, o *options) {
			fs.StringVar(&o.image, "image", "migrate.img", "the `file` that build made")
			dry(fs, o)
		}, cmdSchedule},
		{"cancel", "", "undo schedule, to the byte", nil, dry, cmdCancel},
		{"status", "", "what happened, from the journal, and what comes next", nil, asJSON, cmdStatus},
		{"finish", "", "make the old disk the mirror of the new one; the old system is destroyed", nil, func(fs *flag.FlagSet, o *options) {
			fs.BoolVar(&o.discard, "discard-changes", false, "lose what was changed on the old disk since the copy")
			dry(fs, o)
		}, cmdFinish},
		{"rollback", "", "the old system is the default again", nil, dry, cmdRollback},
		{"confirm", "", "mark this boot of the migrated system as good (its unit calls this)", nil, dry, cmdConfirm},
		{"copy", "SRC DST", "copy a directory tree, or a device's filesystem, with everything, and verify it", []string{"a source", "a target"}, func(fs *flag.FlagSet, o *options) {
			fs.StringVar(&o.engine, "engine", "tree", "tree: file by file, between directories; extent: the used blocks of an ext2, ext3, ext4 or xfs, between devices that are not mounted")
			fs.Var(&o.wipe, "wipe", "extent: the target `device`, if what is on it may be destroyed")
			fs.BoolVar(&o.keepUUID, "keep-uuid", false, "extent: the copy is what the source is, with its UUID, label and size; by itself it gets a new UUID, no label, and the size of its device")
			fs.BoolVar(&o.noGrow, "no-grow", false, "extent: the copy keeps the source's size")
			fs.StringVar(&o.label, "label", "", "extent: the label of the copy, `text`; the source's, if both stay in one machine, would be there twice")
			fs.StringVar(&o.readError, "read-error", policyStop, "the `policy` for what cannot be read: stop, or skip-and-list: everything else is copied, missing items are listed, and the exit code is 3")
			fs.BoolVar(&o.dryRun, "dry-run", false, "look at what could not be kept, and copy nothing (tries on the target what it can hold, in a directory that it removes)")
			fs.DurationVar(&o.checkpoint, "checkpoint", 0, "how often to save what a power cut must not cost, such as 2s; by itself every 0.5 to 5 seconds")
			fs.BoolVar(&o.json, "json", false, "print the result as JSON, and the progress as lines of JSON to stderr, those that begin with {")
		}, cmdCopy},
		{"version", "", "print the version", nil, nil, func(_ context.Context, c *call) error {
			fmt.Fprintln(c.out, "migrate-init", version)
			return nil
		}},
	}
}

func (a *app) run(ctx context.Context, args []string, out, errw io.Writer) int {
	if len(args) == 0 {
		usage(errw)
		return 2
	}
	name := args[0]
	if name == "help" || name == "-h" || name == "--help" {
		if len(args) == 1 {
			usage(out)
			return 0
		}
		name, args = args[1], []string{args[1], "--help"}
	}
	for _, v := range verbs() {
		if v.name == name {
			c := &call{app: a, out: out, err: errw}
			return report(errw, v.exec(ctx, c, args[1:]))
		}
	}
	return report(errw, usageError{fmt.Errorf("command %q: not known; `migrate-init help` lists them", name)})
}

// report says why and gives the exit code.
func report(w io.Writer, err error) int {
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	for line := range strings.SplitSeq(strings.TrimRight(err.Error(), "\n"), "\n") {
		fmt.Fprintf(w, "migrate-init: %s\n", line)
	}
	var u usageError
	if errors.As(err, &u) {
		return 2
	}
	var part incomplete
	if errors.As(err, &part) {
		return 3
	}
	return 1
}

func (v verb) exec(ctx context.Context, c *call, args []string) error {
	fs := flag.NewFlagSet(v.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	if v.flags != nil {
		v.flags(fs, &c.opt)
	}
	// Options may stand before or after the words; behind "--" there are only words.
	for len(args) > 0 {
		if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
			v.usage(c.out, fs)
			return err
		} else if err != nil {
			return usageError{fmt.Errorf("option of %s: %w; `migrate-init help %s` lists them", v.name, err, v.name)}
		}
		rest := fs.Args()
		if n := len(args) - len(rest); n > 0 && args[n-1] == "--" {
			c.args = append(c.args, rest...)
			break
		}
		if len(rest) == 0 {
			break
		}
		// What stopped the parser is a word, a lone dash too.
		c.args, args = append(c.args, rest[0]), rest[1:]
	}
	if len(c.args) != len(v.words) {
		want := "none"
		if len(v.words) > 0 {
			want = strings.Join(v.words, " and ")
		}
		return usageError{fmt.Errorf("arguments of %s: %q given, %s expected; `migrate-init help %s` tells more", v.name, c.args, want, v.name)}
	}
	return v.run(ctx, c)
}

func (v verb) usage(w io.Writer, fs *flag.FlagSet) {
	fmt.Fprintf(w, "usage: %s\n%s\n", strings.TrimSpace("migrate-init "+v.name+" "+v.args), v.help)
	fs.SetOutput(w)
	fs.PrintDefaults()
}

func usage(w io.Writer) {
	fmt.Fprintf(w, "migrate-init moves the root of an installed Linux onto RAID, offline, with one reboot.\n\n")
	for _, v := range verbs() {
		fmt.Fprintf(w, "  migrate-init %-32s %s\n", strings.TrimSpace(v.name+" "+v.args), v.help)
	}
	fmt.Fprintf(w, "\n`migrate-init help COMMAND` lists a command's options.\nexit code: 0 done, 1 refused or failed, 2 usage error, 3 copied, except for what could not be read\n")
}

// effector is the machine that a command uses: the real one, or one that prints.
func (c *call) effector() machine.Machine {
	if c.opt.dryRun {
		return &machine.Printer{W: c.out}
	}
	return c.machine()
}

// note says something on the way.
func (c *call) note(format string, args ...any) { fmt.Fprintf(c.err, format+"\n", args...) }
