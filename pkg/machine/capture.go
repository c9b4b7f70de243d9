package machine

import (
	"bytes"
	"sync"
)

const (
	keepOutput = 64 << 10
	maxLine    = 4 << 10
)

// tail is a writer that keeps the last bytes: keep of them, or keepOutput.
type tail struct {
	buf  []byte
	keep int
}

func (t *tail) most() int {
	if t.keep > 0 {
		return t.keep
	}
	return keepOutput
}

func (t *tail) Write(p []byte) (int, error) {
	n, most := len(p), t.most()
	if len(p) > most {
		p = p[len(p)-most:]
	}
	if len(t.buf)+len(p) > 2*most {
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-most:]...)
	}
	t.buf = append(t.buf, p...)
	return n, nil
}

func (t *tail) bytes() []byte { return t.buf[max(0, len(t.buf)-t.most()):] }

// lineWriter hands on whole lines; a carriage return ends one too, because progress is printed so. Lines longer than
// maxLine come in pieces. Blank lines are dropped.
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
