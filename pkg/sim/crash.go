package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// State is a machine as a power cut would leave it.
type State struct {
	At      int    // how many verbs had been carried out
	What    string // the last of them
	Machine *Machine
}

// CacheLost ends State.What where the page cache went with the power.
const CacheLost = ", and the page cache lost"

// digest names all that outlives a boot.
func (m *Machine) digest() string {
	var b strings.Builder
	for _, d := range m.Disks {
		fmt.Fprintln(&b, d.Whole)
	}
	for _, id := range slices.Sorted(maps.Keys(m.Trees)) {
		for _, n := range slices.Sorted(maps.Keys(m.Trees[id])) {
			fmt.Fprintf(&b, "%s %s %p\n", id, n, m.Trees[id][n])
		}
	}
	return b.String()
}

// Record calls run and keeps every different state that the machine is in: before a verb, while a recovery goes on, and the last.
func (m *Machine) Record(run func()) []State {
	var out []State
	last := ""
	m.Watch = func(done int) {
		d := m.digest()
		if d == last {
			return
		}
		what := ""
		if len(m.Log) > 0 {
			what = m.Log[len(m.Log)-1]
		}
		out = append(out, State{done, what, m.Clone(m.TB)})
		if l := m.lost(m.TB); l != nil {
			out = append(out, State{done, what + CacheLost, l})
		}
		last = d
	}
	run()
	m.Watch = nil
	return append(out, State{m.Verbs, m.Log[len(m.Log)-1], m.Clone(m.TB)})
}

// lost is the machine after a power cut that took the page cache with it; nil when that had nothing.
func (m *Machine) lost(t testing.TB) *Machine {
	if len(m.loose) == 0 {
		return nil
	}
	c := m.Clone(t)
	for id, files := range m.loose {
		for name, f := range files {
			if f == nil {
				delete(c.Trees[id], name)
			} else {
				c.Trees[id][name] = f
			}
		}
	}
	return c
}
