package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"migrate-init/qemu-tests/lab"
)

// story is one server and its two disks.
type story struct {
	*screen
	lab  *lab.Lab
	dir  string
	spec lab.DiskSpec
	tool []byte
	vm   *lab.VM

	down, migration, finish time.Duration
	before, after           facts
}

// facts is what the table at the end compares.
type facts struct{ root, survives, boots, array string }

const prompt = "root@server:~#"

func (s *story) tell(ctx context.Context) error {
	for _, chapter := range []func(context.Context) error{s.server, s.planned, s.scheduled, s.migrated, s.finished, s.eachAlone} {
		if err := chapter(ctx); err != nil {
			return err
		}
	}
	s.summary()
	return nil
}

func (s *story) disk(name string) lab.Disk {
	return lab.Disk{File: filepath.Join(s.dir, name+".raw"), Serial: name}
}

// boot starts the machine with disks and waits for its system.
func (s *story) boot(ctx context.Context, name string, disks ...lab.Disk) error {
	if err := s.start(ctx, name, disks...); err != nil {
		return err
	}
	return s.during(ctx, name+": booting", func(ctx context.Context) error {
		_, err := s.vm.Ready(ctx)
		return err
	})
}

func (s *story) start(ctx context.Context, name string, disks ...lab.Disk) (err error) {
	s.vm, err = s.lab.Start(ctx, lab.Config{Name: name, Dir: s.dir, Disks: disks})
	return err
}

// during shows on the live line that something goes on, and for how long, while f runs; eight minutes at most.
func (s *story) during(ctx context.Context, what string, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 8*time.Minute)
	defer cancel()
	start, end := time.Now(), make(chan error, 1)
	go func() { end <- f(ctx) }()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case err := <-end:
			s.done()
			return err
		case <-tick.C:
			s.wait(fmt.Sprintf("  %s, %.0f s", what, time.Since(start).Seconds()))
		}
	}
}

// run types a command into the guest and shows its answer, of which the picture has the first and last lines.
func (s *story) run(ctx context.Context, text string, first, last int) error {
	s.typed(prompt, text)
	return s.during(ctx, text, func(ctx context.Context) error {
		out, err := s.vm.MustRun(ctx, "cd /root; "+text+" 2>&1")
		if err != nil {
			return err
		}
		s.answered(out, first, last)
		return nil
	})
}

func (s *story) server(ctx context.Context) error {
	s.next("A server with one disk, and a new one beside it")
	err := s.during(ctx, "the disk with Debian 12 is made, once", func(ctx context.Context) error {
		master, err := s.lab.Disk(ctx, s.spec)
		if err != nil {
			return err
		}
		return errors.Join(lab.Copy(s.disk("old").File, master), lab.Blank(s.disk("new").File, s.spec.Size))
	})
	if err != nil {
		return err
	}
	if err := s.boot(ctx, "the old system", s.disk("old"), s.disk("new")); err != nil {
		return err
	}
	err = s.during(ctx, "migrate-init is copied to the server", func(ctx context.Context) error {
		return s.vm.Push(ctx, "/usr/local/sbin/migrate-init", 0o755, s.tool)
	})
	if err != nil {
		return err
	}
	if err := s.run(ctx, "lsblk -o NAME,SIZE,FSTYPE,MOUNTPOINTS", 0, 8); err != nil {
		return err
	}
	if s.before, err = s.look(ctx); err != nil {
		return err
	}
	s.before.survives, s.before.boots = "none", "vda"
	return nil
}

func (s *story) planned(ctx context.Context) error {
	s.next("What would be done: nothing is written yet")
	if err := s.run(ctx, "migrate-init plan --to raid1 --disk /dev/vdb", 9, 0); err != nil {
		return err
	}
	if err := s.run(ctx, "migrate-init check plan.toml", 0, 1); err != nil {
		return err
	}
	return s.run(ctx, "migrate-init build plan.toml -o migrate.img", 1, 0)
}

func (s *story) scheduled(ctx context.Context) error {
	s.next("The next boot migrates, once; `migrate-init cancel` would take that back")
	return s.run(ctx, "migrate-init schedule plan.toml --image migrate.img", 0, 2)
}

func (s *story) migrated(ctx context.Context) error {
	s.next("One reboot: the migration runs before anything can write to the old disk")
	s.typed(prompt, "reboot")
	down := time.Now()
	if err := s.during(ctx, "shutting down", s.vm.Reboot); err != nil {
		return err
	}
	if err := s.start(ctx, "the migration", s.disk("old"), s.disk("new")); err != nil {
		return err
	}
	begun := time.Now()
	if err := s.follow(ctx); err != nil {
		return err
	}
	s.migration = time.Since(begun)
	err := s.during(ctx, "the migrated system comes up", func(ctx context.Context) error { _, err := s.vm.Ready(ctx); return err })
	if err != nil {
		return err
	}
	s.down = time.Since(down)
	if err := s.run(ctx, "migrate-init status", 1, 2); err != nil {
		return err
	}
	return s.run(ctx, "lsblk -o NAME,SIZE,FSTYPE,MOUNTPOINTS", 0, 9)
}

func (s *story) finished(ctx context.Context) error {
	s.next("When you trust it: the old disk becomes the second half")
	start := time.Now()
	if err := s.run(ctx, "migrate-init finish", 0, 1); err != nil {
		return err
	}
	s.finish = time.Since(start)
	if err := s.run(ctx, "cat /proc/mdstat", 0, 8); err != nil {
		return err
	}
	var err error
	if s.after, err = s.look(ctx); err != nil {
		return err
	}
	if !strings.Contains(s.after.array, "[UU]") {
		return fmt.Errorf("array: %s, want [UU]", s.after.array)
	}
	return s.during(ctx, "shutting down", s.vm.PowerOff)
}

// eachAlone boots copies: an array that ran without a member has to be resynced.
func (s *story) eachAlone(ctx context.Context) error {
	s.next("Either disk may fail: each is booted alone")
	for _, name := range []string{"new", "old"} {
		alone := lab.Disk{File: filepath.Join(s.dir, name+"-alone.raw"), Serial: name}
		if err := lab.Copy(alone.File, s.disk(name).File); err != nil {
			return err
		}
		if err := s.boot(ctx, "the "+name+" disk alone", alone); err != nil {
			return err
		}
		f, err := s.look(ctx)
		if err != nil {
			return err
		}
		s.say("The %s disk alone: boots from %s, array %s", name, f.root, f.array)
		if err := s.during(ctx, "shutting down", s.vm.PowerOff); err != nil {
			return err
		}
	}
	s.after.survives, s.after.boots = "one disk", "either disk, alone"
	return nil
}

// look asks the running system for its root and the array below it.
func (s *story) look(ctx context.Context) (facts, error) {
	m, err := s.vm.FindMount(ctx, "/")
	if err != nil {
		return facts{}, err
	}
	f := facts{root: m.Source, array: "none"}
	arrays, err := s.vm.Arrays(ctx)
	if err != nil {
		return f, err
	}
	for _, a := range arrays {
		if strings.HasSuffix(m.Source, "/"+a.Name) {
			f.array = fmt.Sprintf("%s [%s]", a.Level, a.Legs)
			// The node's number differs from boot to boot; the name does not.
			f.root, err = s.vm.MustRun(ctx, `for l in /dev/md/*; do if [ "$(readlink -f "$l")" = `+lab.Quote(m.Source)+` ]; then echo "$l"; fi; done`)
		}
	}
	return f, err
}
