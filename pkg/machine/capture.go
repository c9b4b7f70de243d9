package machine

import (
	"bytes"
	"sync"
)

const (
	keepOutput = 64 << 10
	maxLine    = 4 << 10
)

// tail is a writer that keeps the last keep bytes; 0 means keepOutput.
type tail struct {
	buf  []byte
	keep int
}

func (t *tail) limit() int {
	if t.keep > 0 {
		return t.keep
	}
	return keepOutput
}

func (t *tail) Write(p []byte) (int, error) {
	n, limit := len(p), t.limit()
	if len(p) > limit {
		p = p[len(p)-limit:]
	}
	if len(t.buf)+len(p) > 2*limit {
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-limit:]...)
	}
	t.buf = append(t.buf, p...)
	return n, nil
}

func (t *tail) bytes() []byte { return t.buf[max(0, len(t.buf)-t.limit()):] }

// lineWriter passes whole lines to f. A carriage return also ends a line, because progress output uses it. Lines longer than
// maxLine are split, and empty lines are dropped.
type lineWriter struct {
	mu   *sync.Mutex
	f    func(string)
	part []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		end := bytes.IndexAny(p, "\r\n")
		take := end
		if end < 0 {
			take = len(p)
		}
		take = min(take, maxLine-len(w.part))
		w.part = append(w.part, p[:take]...)
		p = p[take:]
		if take == end {
			p = p[1:]
			w.flush()
		} else if len(w.part) == maxLine {
			w.flush()
		}
	}
	return n, nil
}

func (w *lineWriter) flush() {
	if len(w.part) == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.f(string(w.part))
	w.part = w.part[:0]
}
