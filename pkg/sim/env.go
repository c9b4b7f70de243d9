package sim

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"migrate-init/pkg/survey"
)

// call counts what is asked of the machine beside effects, and fails where the fault says so.
func (m *Machine) call(line string) error {
	if m.Dead != nil {
		return m.Dead
	}
	m.Calls = append(m.Calls, line)
	if m.Fault.How != "call" || len(m.Calls) != m.Fault.At {
		return nil
	}
	return ErrInjected
}

// Open gives a device of the kernel to read.
func (m *Machine) Open(name string) (survey.Device, error) {
	if err := m.call("open " + name); err != nil {
		return nil, err
	}
	if b := m.Dev(name); b != nil && strings.HasPrefix(name, "/dev/") {
		return b, nil
	}
	return nil, fmt.Errorf("open %s: %w", name, fs.ErrNotExist)
}

// Inside gives a directory as a root to read.
func (m *Machine) Inside(dir string) (fs.FS, error) {
	if err := m.call("read below " + dir); err != nil {
		return nil, err
	}
	return m.Below(dir), nil
}

// Clock counts the verbs as seconds.
func (m *Machine) Clock() (string, float64) { return "2026-11-21T10:00:00Z", float64(m.Verbs) }

// Wait looks three times, a moment apart, and gives up.
func (m *Machine) Wait(_ context.Context, what string, cond func() (bool, error)) error {
	for range 3 {
		if ok, err := cond(); ok || err != nil {
			return err
		}
		m.Moment()
	}
	return errors.New("waiting for " + what + ": too long")
}

// Pause lets a moment pass.
func (m *Machine) Pause(context.Context) error {
	m.Moment()
	return m.Dead
}

// Load loads kernel modules.
func (m *Machine) Load(_ context.Context, names ...string) error {
	if err := m.call("load " + strings.Join(names, " ")); err != nil {
		return err
	}
	for _, n := range names {
		m.loaded[n] = true
	}
	return nil
}
