package pid1

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"migrate-init/pkg/copy"
	"migrate-init/pkg/stage"
)

// stuck is a console that takes nothing, as a serial line after XOFF.
type stuck struct {
	deadline time.Time
	asked    int
}

func (s *stuck) SetWriteDeadline(t time.Time) error { s.deadline = t; return nil }

func (s *stuck) Write([]byte) (int, error) {
	s.asked++
	if s.deadline.IsZero() {
		panic("it would wait forever")
	}
	return 0, os.ErrDeadlineExceeded
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("input/output error") }

func TestStuckConsole(t *testing.T) {
	now := time.Unix(1000, 0)
	bad, good := &stuck{}, &bytes.Buffer{}
	c := &Consoles{Now: func() time.Time { return now }}
	c.Add(bad, nil)
	c.Add(broken{}, nil)
	c.Add(good, nil)
	c.Say("one")
	if bad.deadline != now.Add(writeTimeout) {
		t.Errorf("deadline %v", bad.deadline)
	}
	c.Say("two\nthree\n")
	if bad.asked != 1 {
		t.Errorf("a console that takes nothing was asked %d times at once", bad.asked)
	}
	now = now.Add(muteFor)
	c.Say("four %d", 4)
	if bad.asked != 2 {
		t.Errorf("a console that took nothing was not asked again")
	}
	if want := "migrate-init: one\r\nmigrate-init: two\r\nmigrate-init: three\r\nmigrate-init: four 4\r\n"; good.String() != want {
		t.Errorf("said %q", good)
	}
}

// hungUp is a console after a hang-up: what had it open is dead, but it can be opened again.
type hungUp struct {
	broken
	closed bool
}

func (h *hungUp) Close() error { h.closed = true; return nil }

type alive struct{ bytes.Buffer }

func (*alive) Close() error { return nil }

func TestHungUpConsole(t *testing.T) {
	c := &Consoles{Now: time.Now, Progress: progress}
	dead, again, opened := &hungUp{}, &alive{}, 0
	c.Add(dead, func() (io.WriteCloser, error) { opened++; return again, nil })
	c.Say("one\ntwo")
	if opened != 1 || !dead.closed || again.String() != "migrate-init: one\r\nmigrate-init: two\r\n" {
		t.Errorf("opened %d times, closed %v, said %q", opened, dead.closed, again)
	}
	// One that is gone is not asked for every line.
	c = &Consoles{Now: time.Now, Progress: progress}
	opened = 0
	c.Add(&hungUp{}, func() (io.WriteCloser, error) { opened++; return nil, os.ErrNotExist })
	c.Say("one\ntwo")
	if opened != 1 {
		t.Errorf("opened %d times", opened)
	}
}

func progress(e stage.Event, columns int) string {
	return fmt.Sprintf("%s at %d in %d columns", e.Stage, e.Progress.Files, columns)
}

func TestConsoleProgress(t *testing.T) {
	now := time.Unix(1000, 0)
	tty, kmsg := &bytes.Buffer{}, &bytes.Buffer{}
	c := &Consoles{Now: func() time.Time { return now }, Progress: progress}
	c.Log(kmsg)
	c.Add(tty, nil)
	for range 30 {
		c.Event(stage.Event{Stage: "copy", Text: "/", Progress: &copy.Progress{Files: 7}})
		now = now.Add(100 * time.Millisecond)
	}
	line := "migrate-init: copy at 7 in 146 columns\r\n"
	if tty.String() != strings.Repeat(line, 3) {
		t.Errorf("in 3 seconds: %q", tty)
	}
	if kmsg.Len() > 0 {
		t.Errorf("the kernel's log is no place for progress: %q", kmsg)
	}
	c.Event(stage.Event{Stage: "copy", Text: "done"})
	if !strings.HasSuffix(tty.String(), "migrate-init: copy: done\r\n") || kmsg.String() != "copy: done" {
		t.Errorf("said %q, logged %q", tty, kmsg)
	}
}

// Stages, programs that they run, the reaper: all speak at once. (The race detector watches.)
func TestConsolesTogether(t *testing.T) {
	b := &bytes.Buffer{}
	c := &Consoles{Now: time.Now, Progress: progress}
	c.Add(b, nil)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				c.Say("line")
				c.Event(stage.Event{Stage: "copy", Progress: &copy.Progress{}})
			}
		})
	}
	wg.Wait()
	if n := strings.Count(b.String(), "migrate-init: line\r\n"); n != 160 {
		t.Errorf("%d whole lines", n)
	}
}
