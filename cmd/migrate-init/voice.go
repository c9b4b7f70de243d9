package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/stage"
)

// patience is how long a console may take a line before it is passed over, and dumb how long it then is. A terminal
// server that said XOFF, or a BMC that went away, must not hold up a migration.
const (
	patience = 2 * time.Second
	dumb     = 30 * time.Second
)

// consoleColumns makes progress two rows of most consoles at most; they scroll, so a row that is full does no harm.
const consoleColumns = 2*80 - len("migrate-init: ")

// console is one of the kernel's consoles.
type console struct {
	w      io.Writer
	reopen func() (io.WriteCloser, error) // nil: it cannot be
	now    func() time.Time
	until  time.Time // it is passed over until then
}

// Write writes as far as the console takes it in time; it never fails.
func (c *console) Write(b []byte) (int, error) {
	if c.now().Before(c.until) {
		return len(b), nil
	}
	err := c.try(b)
	// When a shell that had it as its terminal ends, the kernel hangs the console up for all who have it open.
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && c.reopen != nil {
		if old, ok := c.w.(io.Closer); ok {
			_ = old.Close() // it is dead
		}
		var w io.WriteCloser
		if w, err = c.reopen(); err == nil {
			c.w = w
			err = c.try(b)
		}
	}
	if err != nil {
		c.until = c.now().Add(dumb)
	}
	return len(b), nil
}

func (c *console) try(b []byte) error {
	if d, ok := c.w.(interface{ SetWriteDeadline(time.Time) error }); ok {
		_ = d.SetWriteDeadline(c.now().Add(patience)) // where there are no deadlines, writing does not wait
	}
	_, err := c.w.Write(b)
	return err
}

// voice speaks to every console and to the kernel's log. It may have neither, and says nothing then.
type voice struct {
	mu       sync.Mutex
	now      func() time.Time
	consoles []*console
	kmsg     io.Writer
	last     time.Time // of the last progress line
}

// hear adds a console.
func (v *voice) hear(w io.Writer, reopen func() (io.WriteCloser, error)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.consoles = append(v.consoles, &console{w: w, reopen: reopen, now: v.now})
}

// open finds the consoles and the kernel's log of this machine.
func (v *voice) open() {
	for _, name := range machine.Consoles() {
		open := func() (io.WriteCloser, error) { return machine.OpenConsole(name) }
		// One that cannot be opened (a tty without its hardware) is none.
		if f, err := open(); err == nil {
			v.hear(f, open)
		}
	}
	// At debug level the kernel's log keeps a line and does not print it on the consoles a second time.
	if k, err := machine.OpenKmsg("migrate-init"); err == nil {
		v.kmsg = logger{k}
	}
}

type logger struct{ k *machine.Kmsg }

// Write implements io.Writer at the level debug.
func (l logger) Write(b []byte) (int, error) { return len(b), l.k.Log(7, string(b)) }

// say says the lines of a text everywhere, each with the name of who speaks.
func (v *voice) say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	v.mu.Lock()
	defer v.mu.Unlock()
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		v.line(line)
		if v.kmsg != nil {
			_, _ = io.WriteString(v.kmsg, line) // the consoles have it
		}
	}
}

func (v *voice) line(line string) {
	for _, c := range v.consoles {
		_, _ = io.WriteString(c, "migrate-init: "+line+"\r\n")
	}
}

// event says what a stage tells; progress at most once a second, and to the consoles only.
func (v *voice) event(e stage.Event) {
	if e.Progress == nil {
		v.say("%s: %s", e.Stage, e.Text)
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if now := v.now(); now.Sub(v.last) >= time.Second {
		v.last = now
		v.line(progressLine(e, consoleColumns))
	}
}
