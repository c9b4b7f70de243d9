package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestFollower(t *testing.T) {
	at := time.Unix(0, 0)
	f := &follower{now: func() time.Time { return at }}
	for _, c := range []struct {
		text    string
		after   time.Duration
		ended   string
		entered bool
		failed  bool
	}{
		{text: "migrate-init dev, plan 62ba3eeb: raid1"},
		{text: "reveal: begins"},
		{text: "reveal: done", after: time.Second, ended: "reveal"},
		{text: "copy: begins"},
		{text: "copy: /: 12 MiB of 300 MiB", after: 3 * time.Second},
		{text: "verify: done", after: time.Second}, // of a stage that did not begin here
		{text: "copy: done", after: time.Second, ended: "copy"},
		{text: "handover: begins"},
		{text: "handover: entering the migrated system", entered: true},
		{text: "FAILED: copy: input/output error", failed: true},
		{text: "panic: runtime error", failed: true},
	} {
		at = at.Add(c.after)
		_, ended, entered, err := f.line(c.text)
		got := ""
		if ended != nil {
			got = ended.name
		}
		if got != c.ended || entered != c.entered || (err != nil) != c.failed {
			t.Errorf("%q: ended %q, entered %v, %v", c.text, got, entered, err)
		}
	}
	if len(f.times) != 2 || f.times[0].seconds != 1 || f.times[1].seconds != 5 {
		t.Errorf("times: %v", f.times)
	}
}

// A terminal's driver and the program each add a carriage return.
func TestSaid(t *testing.T) {
	re := regexp.MustCompile(said)
	for text, want := range map[string]string{
		"migrate-init: reveal: begins\r\r\n": "reveal: begins",
		"migrate-init: reveal: begins\r\n":   "reveal: begins",
		"migrate-init: reveal: begins\n":     "reveal: begins",
		"migrate-init: reveal: beg":          "", // not whole yet
	} {
		got := ""
		if m := re.FindStringSubmatch(text); m != nil {
			got = m[1]
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestScreenInAFile(t *testing.T) {
	var b bytes.Buffer
	s := &screen{out: &b}
	s.next("First")
	s.wait("this moves")
	s.typed(prompt, "true")
	s.answered("one\ntwo\nthree\n", 1, 1)
	if got, want := b.String(), "\n1. First\n"+prompt+" true\none\ntwo\nthree\n"; got != want || s.transcript() != want {
		t.Errorf("screen %q, transcript %q, want %q", got, s.transcript(), want)
	}
	var shown []string
	for _, l := range s.lines {
		if l.picture {
			shown = append(shown, l.text)
		}
	}
	if got, want := strings.Join(shown, "|"), "|1. First|"+prompt+" true|one|three"; got != want {
		t.Errorf("in the picture: %q, want %q", got, want)
	}
}

func TestScreenOnATerminal(t *testing.T) {
	var b bytes.Buffer
	s := &screen{out: &b, width: 20, color: true}
	s.wait("a line that is longer than the terminal\x1b[31m")
	s.put(line{heading, "Done", true})
	if got, want := b.String(), "\r\x1b[Ka line that is long\r\x1b[K\x1b[1mDone\x1b[0m\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestPicture(t *testing.T) {
	b := svg([]line{{heading, "a < b & c", true}, {answer, "not shown", false}, {answer, strings.Repeat("é", columns+1), true}})
	dec := xml.NewDecoder(bytes.NewReader(b))
	var text []string
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, b)
		}
		if c, ok := tok.(xml.CharData); ok && strings.TrimSpace(string(c)) != "" {
			text = append(text, string(c))
		}
	}
	if len(text) != 3 || text[1] != "a < b & c" || len([]rune(text[2])) != columns {
		t.Errorf("%q", text)
	}
}
