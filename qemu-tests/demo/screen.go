package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// A kind says how a line is shown in the picture.
type kind string

const (
	heading kind = "heading"
	command kind = "command"
	answer  kind = "answer"
	remark  kind = "remark"
)

// line is one line that stays. Those that the picture leaves out are only on the screen and in the transcript.
type line struct {
	kind    kind
	text    string
	picture bool
}

// screen shows the story. On a terminal one line below it lives: it says what is going on, and is never kept.
type screen struct {
	out   io.Writer
	width int // of the terminal; 0 when out is not one
	color bool
	live  bool // a live line is shown
	step  int
	lines []line
}

func newScreen(f *os.File) *screen {
	s := &screen{out: f}
	if ws, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil {
		s.width = max(20, int(ws.Col))
		s.color = os.Getenv("NO_COLOR") == ""
	}
	return s
}

func (s *screen) put(l line) {
	s.done()
	s.lines = append(s.lines, l)
	text := l.text
	if s.color {
		switch l.kind {
		case heading:
			text = "\x1b[1m" + text + "\x1b[0m"
		case command:
			text = "\x1b[36m" + text + "\x1b[0m"
		case answer, remark:
		}
	}
	fmt.Fprintln(s.out, text)
}

func (s *screen) blank() { s.put(line{remark, "", true}) }

// title opens the story.
func (s *screen) title(text string, more ...string) {
	s.put(line{heading, text, true})
	for _, m := range more {
		s.put(line{remark, m, false})
	}
}

// next begins a numbered step.
func (s *screen) next(title string) {
	s.step++
	s.blank()
	s.put(line{heading, fmt.Sprintf("%d. %s", s.step, title), true})
}

// say adds a line of the narrator's.
func (s *screen) say(format string, args ...any) {
	s.put(line{remark, fmt.Sprintf(format, args...), true})
}

// typed shows a command as a person types it.
func (s *screen) typed(prompt, text string) { s.put(line{command, prompt + " " + text, true}) }

// answered shows what a command printed: all of it on the screen, its first and last lines in the picture.
func (s *screen) answered(out string, first, last int) {
	if out == "" {
		return
	}
	all := strings.Split(strings.TrimRight(out, "\n"), "\n")
	for i, text := range all {
		s.put(line{answer, text, i < first || i >= len(all)-last})
	}
}

// wait replaces the live line. Where there is no terminal it prints nothing: lines that move are only noise in a file.
func (s *screen) wait(text string) {
	if s.width == 0 {
		return
	}
	text = strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, text)
	if utf8.RuneCountInString(text) >= s.width {
		text = string([]rune(text)[:s.width-1])
	}
	fmt.Fprint(s.out, "\r\x1b[K"+text)
	s.live = true
}

// done removes the live line.
func (s *screen) done() {
	if s.live {
		fmt.Fprint(s.out, "\r\x1b[K")
		s.live = false
	}
}

// transcript is all that was shown, without colour.
func (s *screen) transcript() string {
	var b strings.Builder
	for _, l := range s.lines {
		b.WriteString(l.text + "\n")
	}
	return b.String()
}
