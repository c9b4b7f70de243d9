package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"migrate-init/pkg/machine"
)

// verb is one command of the tool.
type verb struct {
	group, name, args, help string
	takes                   []string // the names of its arguments, each one needed
	flags                   func(fs *flag.FlagSet, o *options)
	run                     func(ctx context.Context, c *call) error
}

// call is one invocation: the machine, options by name, arguments, and where to speak.
type call struct {
	*app
	args     []string
	out, err io.Writer
	opt      options
}

// options is every option of every command; each command registers its own.
type options struct {
	json, dryRun, list, discard, files bool
	explain, all                       bool
	to, old, engine, metadata          string
	onFailure, output                  string
	image, label, readError, diskKind  string
	decode, syncSpeed                  string
	keepUUID, noGrow                   bool
	types                              values // of --fs
	leaveSnapshots                     bool
	rehearse, skipRehearsal            bool
	rehearseIn                         string
	disks, wipe, leave, keys           values
	checkpoint                         time.Duration
}

// values is an option that may be given several times.
type values []string

func (v *values) String() string { return strings.Join(*v, ",") }

// Set adds a value.
func (v *values) Set(s string) error { *v = append(*v, s); return nil }

// usageError is a command line that means nothing: exit code 2.
type usageError struct{ error }

func (a *app) run(ctx context.Context, args []string, out, errw io.Writer) int {
	c := &call{app: a, out: out, err: errw}
	if len(args) == 0 {
		usage(errw)
		return 2
	}
	name, args := args[0], args[1:]
	switch name {
	case "help", "-h", "-help", "--help":
		if len(args) == 0 {
			usage(out)
			return 0
		}
		name, args = args[0], []string{"--help"}
		if name == "help" {
			usage(out)
			return 0
		}
	case "-V", "-version", "--version":
		name = "version"
	}
	for _, v := range verbs() {
		if v.name == name {
			return report(errw, v.exec(ctx, c, args))
		}
	}
	near := didYouMean(strings.TrimLeft(name, "-"), commandNames(), strconv.Quote)
	return report(errw, usageError{fmt.Errorf("unknown command %q%s (`migrate-init help` lists the commands)", name, near)})
}

// report says why and gives the exit code.
func report(w io.Writer, err error) int {
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	var (
		u       usageError
		missing incomplete
	)
	wrong := errors.As(err, &u)
	for line := range strings.SplitSeq(strings.TrimRight(err.Error(), "\n"), "\n") {
		if wrong {
			line = "usage error: " + line
		}
		fmt.Fprintf(w, "migrate-init: %s\n", line)
	}
	switch {
	case wrong:
		return 2
	case errors.As(err, &missing):
		return 3
	}
	return 1
}

func (v verb) exec(ctx context.Context, c *call, args []string) error {
	fs := flag.NewFlagSet(v.name, flag.ContinueOnError)
	if v.flags != nil {
		v.flags(fs, &c.opt)
	}
	rest, err := parse(fs, args)
	if errors.Is(err, flag.ErrHelp) {
		v.usage(c.out, fs)
		return err
	} else if err != nil {
		return usageError{fmt.Errorf("%s: %w (`migrate-init help %s` lists its options)", v.name, err, v.name)}
	}
	if c.args = rest; len(c.args) != len(v.takes) {
		want := "no arguments"
		if len(v.takes) > 0 {
			want = strings.Join(v.takes, " ")
		}
		return usageError{fmt.Errorf("%s: takes %s, got %q (`migrate-init help %s`)", v.name, want, c.args, v.name)}
	}
	return v.run(ctx, c)
}

// parse sets the options of a command line and returns its arguments. Options may stand before or after arguments; behind
// "--" there are only arguments, and a lone "-" is one.
func parse(fs *flag.FlagSet, args []string) (rest []string, err error) {
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if arg == "--" {
			return append(rest, args...), nil
		}
		if len(arg) < 2 || arg[0] != '-' {
			rest = append(rest, arg)
			continue
		}
		name, value, given := strings.Cut(strings.TrimPrefix(arg[1:], "-"), "=")
		f := fs.Lookup(name)
		if f == nil {
			if name == "h" || name == "help" {
				return nil, flag.ErrHelp
			}
			return nil, fmt.Errorf("unknown option %s%s", spelled(name), didYouMean(name, optionNames(fs), spelled))
		}
		if b, ok := f.Value.(interface{ IsBoolFlag() bool }); ok && b.IsBoolFlag() {
			if !given {
				value = "true"
			}
		} else if !given {
			if len(args) == 0 {
				return nil, fmt.Errorf("option %s needs a value", spelled(name))
			}
			value, args = args[0], args[1:]
		}
		if err := fs.Set(name, value); err != nil {
			return nil, fmt.Errorf("option %s: %q is not a valid value", spelled(name), value)
		}
	}
	return rest, nil
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
