package main

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"

	"migrate-init/pkg/plan"
)

func TestNearest(t *testing.T) {
	commands := commandNames()
	for word, want := range map[string]string{
		"shedule": "schedule", "sched": "schedule", "stauts": "status", "chek": "check", "finihs": "finish",
		"cpoy": "copy", "verison": "version", "roll": "rollback", "x": "", "frobnicate": "", "migrate": "", "": "",
	} {
		if got := nearest(word, commands); got != want {
			t.Errorf("nearest to %q: %q, want %q", word, got, want)
		}
	}
}

// Every command is in a group, has a help text that fits a sentence, and its options are shown as people type them.
func TestHelp(t *testing.T) {
	var all bytes.Buffer
	usage(&all)
	a := &app{}
	for _, v := range verbs() {
		if !strings.Contains(all.String(), "\n  "+v.name) {
			t.Errorf("%s: not in the help", v.name)
		}
		var out, errw bytes.Buffer
		if code := a.run(t.Context(), []string{"help", v.name}, &out, &errw); code != 0 || errw.Len() > 0 || out.Len() == 0 {
			t.Errorf("help %s: code %d, stderr %q", v.name, code, errw.String())
		}
		for line := range strings.SplitSeq(out.String(), "\n") {
			if len(line) > usageColumns && len(strings.Fields(line)) > 3 {
				t.Errorf("help %s: %d columns: %s", v.name, len(line), line)
			}
			if opt := strings.TrimSpace(line); strings.HasPrefix(opt, "-") && !strings.HasPrefix(opt, "--") && len(strings.Fields(opt)[0]) != 2 {
				t.Errorf("help %s: option %s is not spelled as people type it", v.name, opt)
			}
		}
	}
}

// Colours are for a terminal that wants them; a pipe and NO_COLOR get plain text, and so does a writer that is not a file.
func TestColors(t *testing.T) {
	yes := &call{app: &app{colors: func(io.Writer) bool { return true }}}
	if got := yes.severity(plan.Refuse); got != "\x1b[31mrefuse\x1b[0m" {
		t.Errorf("refuse in colour: %q", got)
	}
	if got := (&call{app: &app{}}).severity(plan.Refuse); got != "refuse" {
		t.Errorf("refuse without colours: %q", got)
	}
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if colored(w) || colored(&bytes.Buffer{}) {
		t.Error("a pipe or a buffer gets colours")
	}
	tty, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	if !colored(tty) {
		t.Error("a terminal gets no colours")
	}
	t.Setenv("NO_COLOR", "1")
	if colored(tty) {
		t.Error("colours in spite of NO_COLOR")
	}
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "dumb")
	if colored(tty) {
		t.Error("colours on a dumb terminal")
	}
}
