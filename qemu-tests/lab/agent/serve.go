package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"migrate-init/qemu-tests/lab/manifest"
	"migrate-init/qemu-tests/lab/wire"
)

// port waits for the virtio port: udev or devtmpfs makes its node when the driver is there.
func port() (*os.File, error) {
	var last error
	for range 3000 {
		names, _ := filepath.Glob("/sys/class/virtio-ports/*/name")
		for _, n := range names {
			b, err := os.ReadFile(n)
			if err != nil || strings.TrimSpace(string(b)) != wire.Port {
				continue
			}
			// Blocking, and away from the runtime's poller: a port without a host end reads as end of file.
			fd, err := unix.Open("/dev/"+filepath.Base(filepath.Dir(n)), unix.O_RDWR|unix.O_CLOEXEC, 0)
			if err == nil {
				return os.NewFile(uintptr(fd), "virtio port"), nil
			}
			last = err
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil, fmt.Errorf("no virtio port named %q: %v", wire.Port, last)
}

type agent struct {
	port  *os.File
	write sync.Mutex
	procs sync.Map // request id -> process group
}

// Read makes of "no host there yet" a wait.
func (a *agent) Read(b []byte) (int, error) {
	for {
		n, err := a.port.Read(b)
		if n > 0 || err != nil && !errors.Is(err, io.EOF) {
			return n, err
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (a *agent) say(e wire.Event) {
	b, err := json.Marshal(e)
	if err != nil {
		return
	}
	a.write.Lock()
	defer a.write.Unlock()
	_, _ = a.port.Write(append(b, '\n'))
}

func serve() error {
	p, err := port()
	if err != nil {
		return err
	}
	a := &agent{port: p}
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	up, _ := os.ReadFile("/proc/uptime")
	a.say(wire.Event{Kind: wire.Hello, Boot: strings.TrimSpace(string(boot)), Up: strings.Split(string(up), " ")[0]})
	in := json.NewDecoder(a)
	for {
		var r wire.Request
		if err := in.Decode(&r); err != nil {
			return fmt.Errorf("request: %w", err)
		}
		if r.Op == wire.Push {
			a.do(r) // in order: the pieces of one file
		} else {
			go a.do(r)
		}
	}
}

func (a *agent) do(r wire.Request) {
	done := wire.Event{ID: r.ID, Kind: wire.Done}
	var err error
	switch r.Op {
	case wire.Run:
		done.Code, err = a.run(r)
	case wire.Push:
		err = push(r)
	case wire.Pull:
		err = a.pull(r)
	case wire.Manifest:
		err = a.manifest(r)
	case wire.Kill:
		if pg, ok := a.procs.Load(r.Target); ok {
			err = unix.Kill(-pg.(int), unix.SIGKILL)
		}
	default:
		err = fmt.Errorf("operation %q is unknown", r.Op)
	}
	if err != nil {
		done.Err = err.Error()
	}
	a.say(done)
}

type output struct {
	a  *agent
	id int
}

func (o output) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		n := min(len(rest), 32<<10)
		o.a.say(wire.Event{ID: o.id, Kind: wire.Output, Data: rest[:n]})
		rest = rest[n:]
	}
	return len(b), nil
}

func (a *agent) run(r wire.Request) (int, error) {
	shell := "/bin/bash"
	if _, err := os.Stat(shell); err != nil {
		shell = "/bin/sh"
	}
	c := exec.Command(shell, "-c", r.Script)
	c.Dir = "/"
	if _, err := os.Stat("/root"); err == nil {
		c.Dir = "/root"
	}
	locale := "C.UTF-8"
	if _, err := os.Stat("/usr/lib/locale/C.utf8"); err != nil {
		locale = "C" // bash warns of one it does not find
	}
	c.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/applets", "HOME=/root", "USER=root", "TERM=dumb", "LC_ALL=" + locale}
	c.Stdout = output{a, r.ID}
	c.Stderr = c.Stdout
	c.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	// A daemon left behind by the command may hold the pipe open: do not wait for it.
	c.WaitDelay = 2 * time.Second
	if err := c.Start(); err != nil {
		return 0, err
	}
	a.procs.Store(r.ID, c.Process.Pid)
	defer a.procs.Delete(r.ID)
	err := c.Wait()
	var exit *exec.ExitError
	switch {
	case err == nil || errors.Is(err, exec.ErrWaitDelay):
		return 0, nil
	case !errors.As(err, &exit):
		return 0, err
	}
	ws := exit.Sys().(syscall.WaitStatus)
	if ws.Signaled() {
		return 128 + int(ws.Signal()), nil
	}
	return ws.ExitStatus(), nil
}

func push(r wire.Request) error {
	flags := os.O_WRONLY | os.O_CREATE
	if r.Offset == 0 {
		flags |= os.O_TRUNC
	}
	if err := os.MkdirAll(filepath.Dir(r.Path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(r.Path, flags, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteAt(r.Data, r.Offset); err != nil {
		return err
	}
	if r.Mode != 0 {
		if err := f.Chmod(os.FileMode(r.Mode)); err != nil {
			return err
		}
		return f.Sync()
	}
	return nil
}

func (a *agent) pull(r wire.Request) error {
	f, err := os.Open(r.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(struct{ io.Writer }{output{a, r.ID}}, f)
	return err
}

func (a *agent) manifest(r wire.Request) error {
	var buf []byte
	err := manifest.Walk(r.Path, r.Skip, func(e manifest.Entry) error {
		b, err := json.Marshal(e)
		buf = append(append(buf, b...), '\n')
		if len(buf) > 64<<10 {
			_, _ = output{a, r.ID}.Write(buf)
			buf = buf[:0]
		}
		return err
	})
	_, _ = output{a, r.ID}.Write(buf)
	return err
}
