package main

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	dir, driver, out string
	binary           string
	scale            float64
	rounds           int
	seed             uint64
	limit            time.Duration
	sources, fs      []string
	engines          []string
	keep             bool
	patience         time.Duration
}

func main() {
	var o options
	var sources, fs, engines string
	flag.StringVar(&o.dir, "dir", ".cache/bench", "directory for the disks' images")
	flag.StringVar(&o.driver, "driver", "bin/bench-driver", "the engines' process, made by go test -c ./qemu-tests/bench")
	flag.StringVar(&o.binary, "binary", "bin/migrate-init", "the shipped program, made by make build")
	flag.StringVar(&o.out, "o", "", "write the tables into this file, between its markers")
	flag.Float64Var(&o.scale, "scale", 1, "factor for the number of files and the large files' sizes")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds of all engines")
	flag.Uint64Var(&o.seed, "seed", 1, "seed of the sources")
	flag.DurationVar(&o.limit, "limit", 2*time.Hour, "begin no further run after this time")
	flag.StringVar(&sources, "sources", "real,root,tiny,large", "sources")
	flag.StringVar(&fs, "fs", "ext4,xfs", "filesystems")
	flag.StringVar(&engines, "engines", "", "engines, default all that are installed")
	flag.BoolVar(&o.keep, "keep", false, "keep the images for the next run")
	flag.DurationVar(&o.patience, "patience", 20*time.Second, "wait so long before a run for other processes to be quiet")
	flag.Parse()
	o.sources, o.fs = strings.Split(sources, ","), strings.Split(fs, ",")
	if engines != "" {
		o.engines = strings.Split(engines, ",")
	}
	if err := alone(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// alone runs everything in a mount namespace of its own. A mount that is seen
// by all is copied into every namespace that anybody makes meanwhile, and stays
// mounted there: its cache would not be cold, nor the device free.
func alone(o options) error {
	if os.Geteuid() != 0 {
		return errors.New("needs root, for loop devices and mounts")
	}
	const inside = "MIGRATE_INIT_BENCH_INSIDE"
	if os.Getenv(inside) != "" {
		return run(o)
	}
	c := exec.Command("/proc/self/exe", os.Args[1:]...)
	c.Env = append(os.Environ(), inside+"=1")
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	// An interrupt reaches both; this one waits.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT)
	return c.Run()
}

func run(o options) (err error) {
	// An interrupt ends the engine under way, and what was made is released.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT, syscall.SIGTERM)
	if _, err := os.Stat(o.driver); err != nil {
		return fmt.Errorf("engines' process: %w", err)
	}
	if o.driver, err = filepath.Abs(o.driver); err != nil {
		return err
	}
	if o.binary, err = filepath.Abs(o.binary); err != nil {
		return err
	}
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return err
	}
	l := &lab{o: o}
	defer func() { err = errors.Join(err, l.close()) }()
	begin := time.Now()
	var book results
	for round := range o.rounds {
		for _, fs := range o.fs {
			for _, source := range o.sources {
				if time.Since(begin) > o.limit {
					break
				}
				if err := l.once(&book, fs, source, round); err != nil {
					fmt.Print(book.markdown(o, time.Since(begin))) // what was measured until then
					return err
				}
			}
		}
	}
	text := book.markdown(o, time.Since(begin))
	fmt.Print(text)
	if o.out == "" {
		return nil
	}
	return insert(o.out, text)
}

// once runs every engine one time on one source.
func (l *lab) once(book *results, fs, source string, round int) error {
	src, err := l.source(fs, source)
	if err != nil {
		return fmt.Errorf("source %s on %s: %w", source, fs, err)
	}
	defer src.detach() //nolint:errcheck // close reports what stays
	dst, err := l.target(fs)
	if err != nil {
		return fmt.Errorf("target: %w", err)
	}
	defer dst.detach() //nolint:errcheck // close reports what stays
	for _, e := range allEngines() {
		if len(l.o.engines) > 0 && !slices.Contains(l.o.engines, e.name) || e.only != "" && e.only != fs {
			continue
		}
		if e.tool != "" {
			if _, err := exec.LookPath(strings.ReplaceAll(e.tool, "FS", fs)); err != nil {
				if round == 0 {
					fmt.Fprintf(os.Stderr, "bench: %s is not installed: left out\n", e.tool)
				}
				continue
			}
		}
		if err := l.engine(book, e, src, dst, key{fs, source, e.name}); err != nil {
			return fmt.Errorf("%s of %s on %s: %w", e.name, source, fs, err)
		}
	}
	return nil
}

// engine makes one run, and the passes that follow it (verify).
func (l *lab) engine(book *results, e engine, src, dst *disk, k key) error {
	if err := dst.mkfs(); err != nil {
		return err
	}
	for i, pass := range append([]pass{e.pass}, e.then...) {
		name := k
		if i > 0 {
			name.engine = k.engine + " " + pass.name
		}
		if err := errors.Join(src.cold(!e.block), dst.cold(!e.block)); err != nil {
			return err
		}
		quiet(l.o.patience)
		s, err := measure(l, pass, src, dst)
		if err != nil {
			return err
		}
		book.add(name, s)
		for _, part := range slices.Sorted(maps.Keys(s.parts)) {
			book.add(key{k.fs, k.source, "- " + part}, sample{wall: s.parts[part], others: s.others})
		}
		fmt.Fprintf(os.Stderr, "bench: %-5s %-6s %-16s %6.2f s, cpu %6.2f s, machine %6.2f s, %4d MiB, others %2.0f %%\n", k.fs, k.source, name.engine, s.wall, s.cpu, s.machine, s.memory>>20, s.others*100)
	}
	return errors.Join(src.umount(), dst.umount())
}
