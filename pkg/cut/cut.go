// Package cut cuts the power of a machine at an exact effect, for tests in a virtual machine. Only the test build of the
// program (build tag cuttest) imports it; the shipped one has nothing of it.
//
// The cut is an emergency restart (sysrq b): the kernel runs no reboot notifier, stops no array and flushes no cache, so
// whatever was not on a disk is lost. The virtual machine ends at the restart and keeps every write that it had taken.
package cut

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"migrate-init/pkg/machine"
)

// Point is where the power is cut.
type Point struct {
	N     int    // the Nth effect, counted from 1; 0: chosen by Text
	Text  string // the Kth effect whose line contains it
	K     int
	After bool          // when the effect has ended, not before it begins
	Delay time.Duration // this long after it began, whatever runs by then; it may be the effect itself
}

// Parse reads a point: an effect, by its number or by a part of its line, with _ for every space (and for itself) and %K for
// the Kth such line; then nothing (before the effect), + (after it), or + and a duration (that long after it began).
// Examples: 17, 17+, update-initramfs+8s, write_checkpoint%2+.
func Parse(s string) (Point, error) {
	var p Point
	where, when, later := strings.Cut(s, "+")
	switch {
	case !later:
	case when == "":
		p.After = true
	default:
		d, err := time.ParseDuration(when)
		if err != nil || d <= 0 {
			return p, fmt.Errorf("cut %q: %q is not a duration", s, when)
		}
		p.Delay = d
	}
	if n, err := strconv.Atoi(where); err == nil && n > 0 {
		p.N = n
		return p, nil
	}
	text, k, counted := strings.Cut(where, "%")
	p.Text, p.K = strings.ReplaceAll(text, "_", " "), 1
	if counted {
		n, err := strconv.Atoi(k)
		if err != nil || n < 1 {
			return p, fmt.Errorf("cut %q: %q is not a count", s, k)
		}
		p.K = n
	}
	if p.Text == "" {
		return p, fmt.Errorf("cut %q: it names no effect", s)
	}
	return p, nil
}

// ParseAttempts reads the points of several attempts, separated by commas.
func ParseAttempts(s string) ([]Point, error) {
	var out []Point
	for _, x := range strings.Split(s, ",") {
		p, err := Parse(x)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// Cutter numbers the effects of a machine in the order in which it gets them, says each before it is carried out, and cuts
// the power at one of them.
type Cutter struct {
	M  machine.Machine
	At Point
	// Attempts, if set, are where to cut in the first, second, ... attempt of a migration that starts again by itself; in those
	// after them, nowhere.
	Attempts []Point
	Say      func(line string)
	// Shout puts a line on the console before it returns. What only waits in a terminal's buffer is lost in the cut.
	Shout func(line string)

	mu    sync.Mutex
	n     int    // effects so far
	k     int    // of them, those that contain At.Text
	after string // the effect after which to cut, once it has begun
}

// Machine is M with the cut.
func (c *Cutter) Machine() machine.Machine {
	return machine.Hooked{M: c.M, Before: c.before, After: c.ended}
}

// errUncut says that the kernel did not restart: the test must not go on as if the power had been cut.
var errUncut = errors.New("cut: the machine is still running")

func (c *Cutter) before(_ context.Context, e machine.Effect) error {
	line, hit := c.next(e.String())
	c.Say(line)
	switch {
	case !hit || c.At.After:
		return nil
	case c.At.Delay > 0:
		time.AfterFunc(c.At.Delay, func() { _ = c.cut(fmt.Sprintf("%s after the beginning of %s", c.At.Delay, line)) })
		return nil
	}
	return c.cut("before " + line)
}

// ended cuts whether the effect failed or not.
func (c *Cutter) ended(_ context.Context, e machine.Effect, _ machine.Output, err error) error {
	c.mu.Lock()
	line, is := c.after, strings.HasSuffix(c.after, " "+e.String())
	c.mu.Unlock()
	if !is {
		return err
	}
	return errors.Join(err, c.cut("after "+line))
}

func (c *Cutter) next(effect string) (line string, hit bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	if n := attempt(effect); n > 0 && len(c.Attempts) > 0 {
		c.At, c.k = Point{}, 0
		if n <= len(c.Attempts) {
			c.At = c.Attempts[n-1]
		}
	}
	line = fmt.Sprintf("%d %s", c.n, effect)
	if c.At == (Point{}) {
		return line, false
	}
	if c.At.N > 0 {
		hit = c.n == c.At.N
	} else if strings.Contains(strings.ReplaceAll(effect, "_", " "), c.At.Text) {
		c.k++
		hit = c.k == c.At.K
	}
	if hit && c.At.After {
		c.after = line
	}
	return line, hit
}

// attempt is the number of the attempt that an effect begins, 0 for none.
func attempt(effect string) int {
	_, rest, _ := strings.Cut(effect, "boot block: attempt ")
	number, _, _ := strings.Cut(rest, " ")
	n, err := strconv.Atoi(number)
	if err != nil {
		return 0
	}
	return n
}

// cut returns only when the kernel refuses.
func (c *Cutter) cut(where string) error {
	c.Shout("cut " + where)
	_, err := c.M.Do(context.Background(), machine.WriteSys{Path: "/proc/sysrq-trigger", Value: "b"})
	return errors.Join(errUncut, err)
}
