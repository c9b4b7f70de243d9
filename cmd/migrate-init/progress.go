package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/dustin/go-humanize"

	"migrate-init/pkg/stage"
)

// progress renders events: one line that is rewritten on a terminal, a line every few seconds elsewhere. Events may
// come from several goroutines.
type progress struct {
	mu    sync.Mutex
	w     io.Writer
	tty   bool
	every time.Duration // between progress lines where there is no terminal; 0: 5 s
	last  time.Time     // of the last line, of whatever it told
	wide  int
}

// newProgress renders to w, rewriting one line when that is a terminal.
func newProgress(w io.Writer) *progress {
	p := &progress{w: w}
	if f, ok := w.(*os.File); ok {
		st, err := f.Stat()
		p.tty = err == nil && st.Mode()&os.ModeCharDevice != 0
	}
	return p
}

func (p *progress) event(e stage.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.Progress == nil {
		p.wipe()
		fmt.Fprintf(p.w, "%s: %s\n", e.Stage, e.Text)
		return
	}
	every := p.every
	if every == 0 {
		every = 5 * time.Second
	}
	if p.tty {
		every = 200 * time.Millisecond
	}
	if time.Since(p.last) < every {
		return
	}
	p.last = time.Now()
	line := progressLine(e)
	if !p.tty {
		fmt.Fprintln(p.w, line)
		return
	}
	pad := max(0, p.wide-len(line))
	p.wide = len(line)
	fmt.Fprintf(p.w, "\r%s%s", line, strings.Repeat(" ", pad))
}

// clear removes the line, so that something else can be said.
func (p *progress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wipe()
}

func (p *progress) wipe() {
	if p.tty && p.wide > 0 {
		fmt.Fprintf(p.w, "\r%s\r", strings.Repeat(" ", p.wide))
		p.wide = 0
	}
}

func progressLine(e stage.Event) string {
	g := e.Progress
	s := e.Stage + ": " + e.Text
	if g.Files > 0 {
		s += fmt.Sprintf(", %d files", g.Files)
	}
	s += ", " + humanize.IBytes(uint64(max(0, g.Bytes)))
	if g.TotalBytes > 0 {
		s += fmt.Sprintf(" of %s (%d %%)", humanize.IBytes(uint64(g.TotalBytes)), min(100, 100*g.Bytes/g.TotalBytes))
	}
	if g.Rate > 0 {
		s += fmt.Sprintf(", %s/s", humanize.IBytes(uint64(g.Rate)))
	}
	if g.ETA > 0 {
		s += ", " + time.Duration(g.ETA*float64(time.Second)).Round(time.Second).String() + " left"
	}
	return s
}
