package pid1

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/stage"
)

// A console that does not take a line within writeTimeout is skipped for muteFor: a terminal server that sent XOFF, or a
// BMC that went away, must not hold up a migration.
const (
	writeTimeout = 2 * time.Second
	muteFor      = 30 * time.Second
)

// speaker begins every line, so that a reader of a console or of the kernel log knows who wrote it.
const speaker = "migrate-init: "

// consoleColumns keeps progress to two rows on most consoles; they scroll, so a full row does no harm.
const consoleColumns = 2*80 - len(speaker)

// console is one of the kernel's consoles.
type console struct {
	w          io.Writer
	reopen     func() (io.WriteCloser, error) // nil: it cannot be reopened
	now        func() time.Time
	mutedUntil time.Time
}

// Write writes as much as the console takes in time; it never fails.
func (c *console) Write(b []byte) (int, error) {
	if c.now().Before(c.mutedUntil) {
		return len(b), nil
	}
	err := c.try(b)
	// When a shell that had the console as its terminal ends, the kernel hangs it up for every process that has it open.
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && c.reopen != nil {
		if old, ok := c.w.(io.Closer); ok {
			_ = old.Close() // it is hung up
		}
		var w io.WriteCloser
		if w, err = c.reopen(); err == nil {
			c.w = w
			err = c.try(b)
		}
	}
	if err != nil {
		c.mutedUntil = c.now().Add(muteFor)
	}
	return len(b), nil
}

func (c *console) try(b []byte) error {
	if d, ok := c.w.(interface{ SetWriteDeadline(time.Time) error }); ok {
		_ = d.SetWriteDeadline(c.now().Add(writeTimeout)) // a file without deadlines does not block
	}
	_, err := c.w.Write(b)
	return err
}

// Consoles writes to every console and to the kernel log. Without any of them it writes nothing and reports no error.
type Consoles struct {
	// Now is the clock.
	Now func() time.Time
	// Progress formats an event's progress as one line of at most so many columns.
	Progress func(e stage.Event, columns int) string

	mu           sync.Mutex
	all          []*console
	kmsg         io.Writer
	lastProgress time.Time
	said         []string // the last lines, for a report of a failure
}

// saidLines is how many lines a report of a failure has at most.
const saidLines = 200

// Add adds a console. With reopen it is opened again after a hang-up.
func (c *Consoles) Add(w io.Writer, reopen func() (io.WriteCloser, error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, &console{w: w, reopen: reopen, now: c.Now})
}

// Log copies every line but progress to the kernel log.
func (c *Consoles) Log(w io.Writer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kmsg = w
}

// open opens the consoles and the kernel log of this machine.
func (c *Consoles) open() {
	for _, name := range machine.Consoles() {
		open := func() (io.WriteCloser, error) { return machine.OpenConsole(name) }
		// A console that cannot be opened, such as a tty without hardware, is left out.
		if f, err := open(); err == nil {
			c.Add(f, open)
		}
	}
	if k, err := machine.OpenKmsg("migrate-init"); err == nil {
		c.Log(debugLog{k})
	}
}

// debugLog writes to the kernel log at level debug, which the kernel keeps but does not print on the consoles again.
type debugLog struct{ k *machine.Kmsg }

// Write implements io.Writer.
func (l debugLog) Write(b []byte) (int, error) { return len(b), l.k.Log(7, string(b)) }

// Say writes the lines of a text everywhere.
func (c *Consoles) Say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	c.mu.Lock()
	defer c.mu.Unlock()
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		c.line(line)
		if c.said = append(c.said, line); len(c.said) > saidLines {
			c.said = c.said[1:]
		}
		if c.kmsg != nil {
			_, _ = io.WriteString(c.kmsg, line) // the consoles have it
		}
	}
}

// Block writes lines as they are everywhere, and does not count them as said.
func (c *Consoles) Block(lines []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, line := range lines {
		c.line(line)
		if c.kmsg != nil {
			_, _ = io.WriteString(c.kmsg, line) // the consoles have it
		}
	}
}

// Prompt writes a question to the consoles, whose answer follows on its line.
func (c *Consoles) Prompt(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, x := range c.all {
		_, _ = io.WriteString(x, speaker+text+": ")
	}
}

// EndLine ends the line of a question.
func (c *Consoles) EndLine() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, x := range c.all {
		_, _ = io.WriteString(x, "\r\n")
	}
}

// Said returns the last lines that were said, the oldest first.
func (c *Consoles) Said() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.said)
}

func (c *Consoles) line(line string) {
	for _, x := range c.all {
		_, _ = io.WriteString(x, speaker+line+"\r\n")
	}
}

// Event writes what a stage reports: progress at most once a second, and to the consoles only.
func (c *Consoles) Event(e stage.Event) {
	if e.Progress == nil {
		c.Say("%s: %s", e.Stage, e.Text)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.Now(); now.Sub(c.lastProgress) >= time.Second {
		c.lastProgress = now
		c.line(c.Progress(e, consoleColumns))
	}
}
