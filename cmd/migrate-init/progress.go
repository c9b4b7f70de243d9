package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/stage"
)

// How often progress is told, and in how many columns where the terminal does not say.
const (
	onTerminal  = 200 * time.Millisecond
	elsewhere   = 5 * time.Second
	fewColumns  = 80   // of a terminal that does not tell its width
	manyColumns = 1000 // of a line in a file: a path can have a million bytes
)

// progress renders events: one line that is rewritten on a terminal, a line every few seconds elsewhere, and that line as
// JSON where results are. Events may come from several goroutines.
type progress struct {
	mu    sync.Mutex
	w     io.Writer
	now   func() time.Time
	width func() int // of the terminal, 0 when it does not tell; nil: w is none
	json  bool
	last  time.Time // of the last progress line
	stage string    // that it was of
	wide  int       // columns of it that are on the terminal
}

// newProgress renders to where a call says what is on the way.
func newProgress(c *call) *progress {
	p := &progress{w: c.err, now: c.now, json: c.opt.json}
	if f, ok := c.err.(*os.File); ok && !p.json {
		if _, ok := machine.TerminalWidth(f); ok {
			p.width = func() int { n, _ := machine.TerminalWidth(f); return n }
		}
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
	every := elsewhere
	if p.width != nil {
		every = onTerminal
	}
	now := p.now()
	if e.Stage == p.stage && now.Sub(p.last) < every {
		return
	}
	p.last, p.stage = now, e.Stage
	switch {
	case p.json:
		_, _ = p.w.Write(progressJSON(e)) // like all that is said on the way
	case p.width != nil:
		p.rewrite(e)
	default:
		fmt.Fprintln(p.w, progressLine(e, manyColumns))
	}
}

func (p *progress) rewrite(e stage.Event) {
	columns := p.columns()
	line := progressLine(e, columns)
	pad := max(0, min(p.wide, columns)-len(line))
	p.wide = len(line)
	fmt.Fprintf(p.w, "\r%s%s", line, strings.Repeat(" ", pad))
}

// columns are asked for every time: a window changes. In the last one some terminals begin a new line.
func (p *progress) columns() int {
	n := p.width()
	if n <= 0 {
		n = fewColumns
	}
	return n - 1
}

// clear removes the line, so that something else can be said.
func (p *progress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wipe()
}

func (p *progress) wipe() {
	if p.wide > 0 {
		fmt.Fprintf(p.w, "\r%s\r", strings.Repeat(" ", min(p.wide, p.columns())))
		p.wide = 0
	}
}
