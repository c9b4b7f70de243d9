package main

import (
	"bytes"
	"errors"
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
		panic("it would wait for ever")
	}
	return 0, os.ErrDeadlineExceeded
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("input/output error") }

func TestVoiceStuckConsole(t *testing.T) {
	now := time.Unix(1000, 0)
	bad, good := &stuck{}, &bytes.Buffer{}
	v := &voice{now: func() time.Time { return now }}
	v.hear(bad, nil)
	v.hear(broken{}, nil)
	v.hear(good, nil)
	v.say("one")
	if bad.deadline != now.Add(patience) {
		t.Errorf("deadline %v", bad.deadline)
	}
	v.say("two\nthree\n")
	if bad.asked != 1 {
		t.Errorf("a console that takes nothing was asked %d times at once", bad.asked)
	}
	now = now.Add(dumb)
	v.say("four %d", 4)
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

func TestVoiceHungUpConsole(t *testing.T) {
	v := &voice{now: time.Now}
	dead, again, opened := &hungUp{}, &alive{}, 0
	v.hear(dead, func() (io.WriteCloser, error) { opened++; return again, nil })
	v.say("one\ntwo")
	if opened != 1 || !dead.closed || again.String() != "migrate-init: one\r\nmigrate-init: two\r\n" {
		t.Errorf("opened %d times, closed %v, said %q", opened, dead.closed, again)
	}
	// One that is gone is not asked for every line.
	v = &voice{now: time.Now}
	opened = 0
	v.hear(&hungUp{}, func() (io.WriteCloser, error) { opened++; return nil, os.ErrNotExist })
	v.say("one\ntwo")
	if opened != 1 {
		t.Errorf("opened %d times", opened)
	}
}

func TestVoiceProgress(t *testing.T) {
	now := time.Unix(1000, 0)
	tty, kmsg := &bytes.Buffer{}, &bytes.Buffer{}
	v := &voice{now: func() time.Time { return now }, kmsg: kmsg}
	v.hear(tty, nil)
	for range 30 {
		v.event(stage.Event{Stage: "copy", Text: "/", Progress: &copy.Progress{Files: 7, Bytes: 1 << 20, TotalBytes: 4 << 20, Rate: 2 << 20, ETA: 61.7, Path: "usr/\x1b[2Jx"}})
		now = now.Add(100 * time.Millisecond)
	}
	line := "migrate-init: copy: /, 7 files, 1.0 MiB of 4.0 MiB (25 %), 2.0 MiB/s, 1m2s left: \"usr/\\x1b[2Jx\"\r\n"
	if tty.String() != strings.Repeat(line, 3) {
		t.Errorf("in 3 seconds: %q", tty)
	}
	if kmsg.Len() > 0 {
		t.Errorf("the kernel's log is no place for progress: %q", kmsg)
	}
	v.event(stage.Event{Stage: "copy", Text: "done"})
	if !strings.HasSuffix(tty.String(), "migrate-init: copy: done\r\n") || kmsg.String() != "copy: done" {
		t.Errorf("said %q, logged %q", tty, kmsg)
	}
}

// Stages, programs that they run, the reaper: all speak at once. (The race detector watches.)
func TestVoiceTogether(t *testing.T) {
	b := &bytes.Buffer{}
	v := &voice{now: time.Now}
	v.hear(b, nil)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				v.say("line")
				v.event(stage.Event{Stage: "copy", Progress: &copy.Progress{}})
			}
		})
	}
	wg.Wait()
	if n := strings.Count(b.String(), "migrate-init: line\r\n"); n != 160 {
		t.Errorf("%d whole lines", n)
	}
}
