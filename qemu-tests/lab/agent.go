package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"migrate-init/qemu-tests/lab/manifest"
	"migrate-init/qemu-tests/lab/wire"
)

// agentLink is the host's end of package wire.
type agentLink struct {
	conn net.Conn
	turn sync.Mutex

	mu    sync.Mutex
	last  int
	calls map[int]*call
	hello chan struct{} // closed at the first greeting
	boot  string
	over  error
	gone  chan struct{}
	read  chan struct{} // closed when all that the guest said has been read
}

type call struct {
	out  io.Writer
	done chan wire.Event
}

func newAgentLink(conn net.Conn) *agentLink {
	a := &agentLink{conn: conn, calls: map[int]*call{}, hello: make(chan struct{}), gone: make(chan struct{}), read: make(chan struct{})}
	go a.listen()
	return a
}

func (a *agentLink) listen() {
	defer close(a.read)
	for in := json.NewDecoder(a.conn); ; {
		var e wire.Event
		if in.Decode(&e) != nil {
			return
		}
		a.mu.Lock()
		c := a.calls[e.ID]
		switch {
		case e.Kind == wire.Hello && a.boot == "":
			a.boot = e.Boot
			close(a.hello)
		case e.Kind == wire.Output && c != nil:
			_, _ = c.out.Write(e.Data)
		case e.Kind == wire.Done && c != nil:
			delete(a.calls, e.ID)
			c.done <- e
		}
		a.mu.Unlock()
	}
}

// end is told once, when QEMU is gone and so has closed its end.
func (a *agentLink) end(why error) {
	<-a.read
	a.mu.Lock()
	a.over = why
	a.mu.Unlock()
	_ = a.conn.Close()
	close(a.gone)
}

func (a *agentLink) send(r wire.Request) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	a.turn.Lock()
	defer a.turn.Unlock()
	_, err = a.conn.Write(append(b, '\n'))
	return err
}

func (a *agentLink) call(ctx context.Context, r wire.Request, out io.Writer) (wire.Event, error) {
	if err := a.greeted(ctx); err != nil {
		return wire.Event{}, err
	}
	c := &call{out: out, done: make(chan wire.Event, 1)}
	a.mu.Lock()
	a.last++
	r.ID = a.last
	a.calls[r.ID] = c
	a.mu.Unlock()
	if err := a.send(r); err != nil {
		select {
		case <-a.gone:
			return wire.Event{}, a.over
		case <-time.After(5 * time.Second):
			return wire.Event{}, err
		}
	}
	select {
	case e := <-c.done:
		if e.Err != "" {
			return e, fmt.Errorf("lab: agent: %s %s: %s", r.Op, r.Path, e.Err)
		}
		return e, nil
	case <-a.gone:
		return wire.Event{}, a.over
	case <-ctx.Done():
		a.mu.Lock()
		delete(a.calls, r.ID) // no one writes to out after this
		a.mu.Unlock()
		_ = a.send(wire.Request{ID: -r.ID, Op: wire.Kill, Target: r.ID})
		return wire.Event{}, fmt.Errorf("lab: agent: %s %s %.80q: %w", r.Op, r.Path, r.Script, ctx.Err())
	}
}

func (a *agentLink) greeted(ctx context.Context) error {
	select {
	case <-a.hello:
		return nil
	case <-a.gone:
		return a.over
	case <-ctx.Done():
		return fmt.Errorf("lab: agent has not greeted: %w", ctx.Err())
	}
}

// Result is what a command did.
type Result struct {
	Out     string // standard output and error, as they came
	Code    int
	Seconds float64
}

// Run runs a script with bash (with sh in the small guest) as root, waits for it and returns its output. A code other than
// 0 is no error; an error means that the script's end is not known. Several may run at once. When ctx ends, the script and
// its children are killed.
func (vm *VM) Run(ctx context.Context, script string) (Result, error) {
	return vm.RunTo(ctx, script, io.Discard)
}

// RunTo is Run that also writes the output to w while it comes.
func (vm *VM) RunTo(ctx context.Context, script string, w io.Writer) (Result, error) {
	var out bytes.Buffer
	start := time.Now()
	e, err := vm.agent.call(ctx, wire.Request{Op: wire.Run, Script: script}, io.MultiWriter(&out, w))
	r := Result{Out: out.String(), Code: e.Code, Seconds: time.Since(start).Seconds()}
	if err != nil && !errors.Is(err, context.Canceled) {
		err = fmt.Errorf("%w; output so far:\n%s", err, tail(out.Bytes(), 2000))
	}
	return r, err
}

// MustRun is Run for scripts that must end with 0; it returns the output without the last newline.
func (vm *VM) MustRun(ctx context.Context, script string) (string, error) {
	r, err := vm.Run(ctx, script)
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("lab: %s: %.200q: exit code %d:\n%s", vm.name, script, r.Code, tail([]byte(r.Out), 4000))
	}
	return strings.TrimRight(r.Out, "\n"), err
}

// Push writes a file in the guest and syncs it. Some MB/s: for binaries of ten megabytes and less.
func (vm *VM) Push(ctx context.Context, path string, mode uint32, data []byte) error {
	const piece = 256 << 10
	for at := 0; ; {
		n := min(piece, len(data)-at)
		r := wire.Request{Op: wire.Push, Path: path, Offset: int64(at), Data: data[at : at+n]}
		at += n
		if at == len(data) {
			r.Mode = mode
		}
		if _, err := vm.agent.call(ctx, r, io.Discard); err != nil || at == len(data) {
			return err
		}
	}
}

// Pull reads a file of the guest.
func (vm *VM) Pull(ctx context.Context, path string) ([]byte, error) {
	var out bytes.Buffer
	_, err := vm.agent.call(ctx, wire.Request{Op: wire.Pull, Path: path}, &out)
	return out.Bytes(), err
}

// Manifest walks a directory in the guest. It hashes 34 MiB/s there; of a powered-off disk, ImageManifest does it much
// faster on the host.
func (vm *VM) Manifest(ctx context.Context, root string, skip ...string) ([]manifest.Entry, error) {
	var out bytes.Buffer
	if _, err := vm.agent.call(ctx, wire.Request{Op: wire.Manifest, Path: root, Skip: skip}, &out); err != nil {
		return nil, err
	}
	var all []manifest.Entry
	for in := json.NewDecoder(&out); in.More(); {
		var e manifest.Entry
		if err := in.Decode(&e); err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}

// Up waits until the agent runs, which is early in the boot and also in emergency mode, and returns the kernel's boot id.
func (vm *VM) Up(ctx context.Context) (boot string, err error) {
	if err := vm.agent.greeted(ctx); err != nil {
		return "", fmt.Errorf("%w; console ends:\n%s", err, vm.Console.Tail(2000))
	}
	return vm.agent.boot, nil
}

// Ready waits until systemd has started everything and returns its word for the result: running, degraded (some unit
// failed), maintenance (emergency mode) ...
func (vm *VM) Ready(ctx context.Context) (state string, err error) {
	if _, err := vm.Up(ctx); err != nil {
		return "", err
	}
	for {
		r, err := vm.Run(ctx, "systemctl is-system-running --wait")
		if err != nil {
			return "", err
		}
		state = strings.TrimSpace(r.Out)
		// Early in the boot the bus is not there yet, and the answer is "offline", "initializing" or an error text.
		switch state {
		case "running", "degraded", "maintenance":
			return state, nil
		}
		select {
		case <-ctx.Done():
			return state, fmt.Errorf("lab: %s: systemd is %q: %w", vm.name, state, ctx.Err())
		case <-time.After(500 * time.Millisecond):
		}
	}
}
