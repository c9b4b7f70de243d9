package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
)

// qmp speaks QEMU's machine protocol over a connection: one command at a time, events to a function.
type qmp struct {
	conn   net.Conn
	turn   sync.Mutex
	answer chan qmpAnswer
	closed chan struct{}

	mu      sync.Mutex
	waiters []func(name string, data json.RawMessage)
}

type qmpAnswer struct {
	Return json.RawMessage
	Error  *struct{ Class, Desc string }
}

func newQMP(conn net.Conn, event func(string, json.RawMessage)) *qmp {
	q := &qmp{conn: conn, answer: make(chan qmpAnswer, 1), closed: make(chan struct{})}
	q.waiters = append(q.waiters, event)
	// Commands are refused before this one; its own answer is skipped below.
	_, _ = conn.Write([]byte(`{"execute":"qmp_capabilities"}` + "\n"))
	go q.read()
	return q
}

func (q *qmp) read() {
	defer close(q.closed)
	defer q.conn.Close()
	greeted := false
	for in := json.NewDecoder(q.conn); ; {
		var m struct {
			qmpAnswer
			QMP   json.RawMessage
			Event string
			Data  json.RawMessage
		}
		if in.Decode(&m) != nil {
			return
		}
		switch {
		case m.Event != "":
			q.mu.Lock()
			waiters := append([]func(string, json.RawMessage){}, q.waiters...)
			q.mu.Unlock()
			for _, w := range waiters {
				w(m.Event, m.Data)
			}
		case m.QMP != nil:
		case !greeted:
			greeted = true
		default:
			q.answer <- m.qmpAnswer
		}
	}
}

// QMP executes a command of QEMU's machine protocol and returns what it returned.
func (vm *VM) QMP(ctx context.Context, command string, arguments any) (json.RawMessage, error) {
	q := vm.qmp
	q.turn.Lock()
	defer q.turn.Unlock()
	b, err := json.Marshal(struct {
		Execute   string `json:"execute"`
		Arguments any    `json:"arguments,omitempty"`
	}{command, arguments})
	if err != nil {
		return nil, err
	}
	if _, err := q.conn.Write(append(b, '\n')); err != nil {
		return nil, fmt.Errorf("lab: qmp %s: %w", command, err)
	}
	select {
	case a := <-q.answer:
		if a.Error != nil {
			return nil, fmt.Errorf("lab: qmp %s: %s: %s", command, a.Error.Class, a.Error.Desc)
		}
		return a.Return, nil
	case <-q.closed:
		return nil, fmt.Errorf("lab: qmp %s: connection closed", command)
	case <-ctx.Done():
		// The answer is still to come and would be taken for the next command's: give the connection up.
		return nil, errors.Join(fmt.Errorf("lab: qmp %s: %w", command, ctx.Err()), q.conn.Close())
	}
}

// Status is QEMU's run state: running, paused, guest-panicked ...
func (vm *VM) Status(ctx context.Context) (string, error) {
	b, err := vm.QMP(ctx, "query-status", nil)
	if err != nil {
		return "", err
	}
	var s struct{ Status string }
	err = json.Unmarshal(b, &s)
	return s.Status, err
}

// Unplug takes a disk away from the running guest as a hand would, without asking what uses it, and waits until the guest
// has let it go.
func (vm *VM) Unplug(ctx context.Context, serial string) error {
	id := Disk{Serial: serial}.id(0)
	deleted := make(chan struct{})
	var once sync.Once
	vm.qmp.mu.Lock()
	vm.qmp.waiters = append(vm.qmp.waiters, func(name string, data json.RawMessage) {
		var d struct{ Device string }
		_ = json.Unmarshal(data, &d)
		if name == "DEVICE_DELETED" && d.Device == id {
			once.Do(func() { close(deleted) })
		}
	})
	vm.qmp.mu.Unlock()
	if _, err := vm.QMP(ctx, "device_del", object{"id": id}); err != nil {
		return err
	}
	select {
	case <-deleted:
		return nil
	case <-vm.gone:
		return fmt.Errorf("lab: unplug of %s: guest is gone: %s", serial, vm.ended)
	case <-ctx.Done():
		return fmt.Errorf("lab: unplug of %s: %w", serial, ctx.Err())
	}
}
