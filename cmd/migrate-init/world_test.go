package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"migrate-init/pkg/copy"
	"migrate-init/pkg/loader"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/survey"
)

// worldVar names the directory of the made-up machine that the program under test works on. Only this test binary
// reads it.
//
//	root/   the machine's root directory, with sys and proc
//	disks/  its disks, as sparse files
//	uid     who runs the program
//	free    bytes that are free in every filesystem
//	unused  bytes of it that nothing uses; -1 for what its superblock says
const worldVar = "MIGRATE_INIT_TEST_WORLD"

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"migrate-init": func() {
		a := thisMachine()
		if dir := os.Getenv(worldVar); dir != "" {
			a = madeUp(dir)
		}
		os.Exit(command(a))
	}})
}

// madeUp is the app of a made-up machine.
func madeUp(dir string) *app {
	a := thisMachine()
	root := filepath.Join(dir, "root")
	if _, err := os.Lstat(filepath.Join(root, bootxConf)); err == nil {
		a.loaders = append(loader.Table{bootx()}, a.loaders...)
	}
	a.world = func() survey.World {
		return survey.World{
			Root: os.DirFS(root),
			Open: func(p string) (survey.Device, error) { return openPart(dir, p) },
			UID:  int(numberIn(dir, "uid")),
			Free: func(string) int64 { return numberIn(dir, "free") },
			// What no one changed is as the superblock has it.
			Unused: func(string) int64 { return numberIn(dir, "unused") },
		}
	}
	a.direct = func(string) (copy.Direct, error) { return nil, errors.New("the disks are made up") }
	a.machine = func() machine.Machine { return moved{root: root, keep: filepath.Dir(dir)} }
	a.inside = func(d string) (fs.FS, error) {
		r, err := os.OpenRoot(filepath.Join(root, d))
		if err != nil {
			return nil, err
		}
		return r.FS(), nil
	}
	a.place = func(d string) string { return filepath.Join(root, d) }
	a.alone = func() (func(), error) { return machine.Lock(filepath.Join(filepath.Dir(dir), "lock")) }
	a.apart = func(f func() error) error { return f() }
	a.self = func() (string, error) { return "/usr/sbin/migrate-init", nil }
	a.wait = func(ctx context.Context, _ time.Duration, cond func() (bool, error)) error {
		return machine.WaitUntil(ctx, time.Second, nil, cond)
	}
	return a
}

func numberIn(dir, name string) int64 {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		panic(err)
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

// part is a partition: a range of its disk's file.
type part struct {
	*io.SectionReader
	f *os.File
}

func (p part) Close() error { return p.f.Close() }

// rangeOf finds where a device's bytes are.
func rangeOf(dir, dev string) (file string, start, size int64, err error) {
	name := path.Base(dev)
	file = filepath.Join(dir, "disks", name)
	if st, err := os.Stat(file); err == nil {
		return file, 0, st.Size(), nil
	}
	link, err := os.Readlink(filepath.Join(dir, "root/sys/class/block", name))
	if err != nil {
		return "", 0, 0, err
	}
	at := filepath.Join(dir, "root/sys/class/block", link)
	start, size = numberIn(at, "start")*512, numberIn(at, "size")*512
	return filepath.Join(dir, "disks", filepath.Base(filepath.Dir(at))), start, size, nil
}

func openPart(dir, dev string) (survey.Device, error) {
	file, start, size, err := rangeOf(dir, dev)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	return part{io.NewSectionReader(f, start, size), f}, nil
}

// moved carries effects on files out below a root; what lies in the operator's own directory (keep) is named as it is.
// An effect on a mount has no place in these tests.
type moved struct{ root, keep string }

func (m moved) in(p string) string {
	if p == m.keep || strings.HasPrefix(p, m.keep+"/") {
		return p
	}
	return filepath.Join(m.root, p)
}

// Do carries out one effect.
func (m moved) Do(ctx context.Context, e machine.Effect) (machine.Output, error) {
	switch x := e.(type) {
	case machine.Mkdir:
		x.Path = m.in(x.Path)
		e = x
	case machine.WriteFile:
		x.Path = m.in(x.Path)
		e = x
	case machine.WriteInPlace:
		x.Path = m.in(x.Path)
		e = x
	case machine.CopyFile:
		x.From, x.To = m.in(x.From), m.in(x.To)
		e = x
	case machine.Remove:
		x.Path = m.in(x.Path)
		e = x
	case machine.Rename:
		x.From, x.To = m.in(x.From), m.in(x.To)
		e = x
	case machine.Sync:
		return machine.Output{}, nil
	case machine.Exec:
		return m.reads(x)
	case machine.HoldDisk, machine.Partitions:
		return machine.Output{}, nil // its kernel sees the partitions that it always saw
	case machine.WriteDevice:
		return machine.Output{}, m.write(x)
	default:
		return machine.Output{}, fmt.Errorf("made-up machine: it does not do this: %s", e)
	}
	return (&machine.Real{}).Do(ctx, e)
}

// write writes to the files of the disks.
func (m moved) write(x machine.WriteDevice) error {
	file, start, _, err := rangeOf(filepath.Dir(m.root), x.Dev)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	for _, c := range x.Chunks {
		data := c.Data
		if data == nil {
			data = make([]byte, c.Zero)
		}
		if _, werr := f.WriteAt(data, start+c.Offset); err == nil {
			err = werr
		}
	}
	return errors.Join(err, f.Close())
}

// reads plays the programs that only read a running system. One whose name a file of the world has fails with its text.
func (m moved) reads(e machine.Exec) (out machine.Output, err error) {
	name := path.Base(e.Argv[0])
	if last := strings.Fields(e.Argv[len(e.Argv)-1]); name == "unshare" {
		name = last[len(last)-1]
	}
	if why, err := os.ReadFile(filepath.Join(filepath.Dir(m.root), "fails-"+name)); err == nil {
		return out, &machine.ExecError{Argv: e.Argv, Code: 1, Stderr: why}
	}
	switch name {
	case "grub-mkconfig":
		out.Stdout, err = os.ReadFile(filepath.Join(m.root, "boot/grub/grub.cfg"))
	case "grub-script-check", "sh":
	default:
		err = fmt.Errorf("made-up machine: it does not run this: %s", e)
	}
	return out, err
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireUniqueNames:  true,
		RequireExplicitExec: false,
		Setup: func(e *testscript.Env) error {
			dir := filepath.Join(e.WorkDir, "world")
			e.Setenv(worldVar, dir)
			e.Setenv("ROOT", filepath.Join(dir, "root"))
			return buildWorld(t, dir)
		},
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Getuid() == 0, nil
			}
			return false, errors.New("no such condition")
		},
		Cmds: scriptCommands(),
	})
}
