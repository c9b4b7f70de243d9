package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"migrate-init/pkg/copy"
	"migrate-init/pkg/stage"
)

// teller is a progress that the test's clock drives.
type teller struct {
	progress
	bytes.Buffer
	clock time.Time
}

func newTeller() *teller {
	l := &teller{clock: time.Unix(1000, 0)}
	l.progress.w, l.progress.now = &l.Buffer, func() time.Time { return l.clock }
	return l
}

func (l *teller) tell(stg, text string, p copy.Progress) {
	l.event(stage.Event{Stage: stg, Text: text, Progress: &p})
}

func TestProgressOnTerminal(t *testing.T) {
	l := newTeller()
	l.width = func() int { return 80 }
	l.tell("copy", "/a/longer/path", copy.Progress{Bytes: 5})
	l.tell("copy", "/a", copy.Progress{Bytes: 6}) // too early
	l.clock = l.clock.Add(onTerminal)
	l.tell("copy", "/a", copy.Progress{Bytes: 5})
	l.event(stage.Event{Stage: "copy", Text: "done"})
	long, short := "copy: /a/longer/path, 5 B", "copy: /a, 5 B"
	want := "\r" + long + "\r" + short + strings.Repeat(" ", len(long)-len(short)) + "\r" + strings.Repeat(" ", len(short)) + "\rcopy: done\n"
	if l.String() != want {
		t.Errorf("got  %q\nwant %q", &l.Buffer, want)
	}
}

// Whatever a name is and however wide the terminal, the line is one line of it and tells nothing to the terminal itself; and a
// window that was made narrow is not wiped in its old width.
func TestProgressFits(t *testing.T) {
	var all []byte
	for c := range 256 {
		all = append(all, byte(c))
	}
	most := copy.Progress{Files: 1_234_567, Bytes: 123 << 30, TotalBytes: 456 << 30, Rate: 789 << 20, ETA: 45_296}
	for _, path := range []string{"", "a", "usr/share/doc/x", strings.Repeat("dir/", 2000) + "name", string(all), "\u202egnp.exe", "\xff\x9b2J", "a\nb", strings.Repeat("\x1b", 500)} {
		for _, columns := range []int{0, 1, 5, 20, 40, 79, 80, 132, 300} {
			l := newTeller()
			real := columns
			if columns == 0 {
				real = fewColumns
			}
			l.width = func() int { return 500 }
			g := most
			g.Path = path
			l.tell("copy", "/mnt/"+path, g)
			l.Reset()
			l.width = func() int { return columns }
			l.tell("verify", "/mnt/"+path, g)
			l.clear()
			for part := range strings.SplitSeq(l.String(), "\r") {
				if len(part) >= real {
					t.Errorf("%q in %d columns: %d are written: %q", path, columns, len(part), part)
				}
				if i := strings.IndexFunc(part, func(r rune) bool { return r < ' ' || r > '~' }); i >= 0 {
					t.Errorf("%q in %d columns: %q", path, columns, part)
				}
			}
		}
	}
}

func TestProgressLine(t *testing.T) {
	most := copy.Progress{Files: 123_456, Bytes: 5 << 30, TotalBytes: 20 << 30, Rate: 200 << 20, ETA: 62}
	const figures = "123456 files, 5.0 GiB of 20 GiB (25 %), 200 MiB/s, 1m2s left"
	for _, c := range []struct {
		path    string
		columns int
		want    string
	}{
		{"", 79, "copy: /mnt, " + figures},
		{"usr/bin/x", 200, "copy: /mnt, " + figures + `: "usr/bin/x"`},
		{"usr/bin/x", 80, "copy: " + figures + `: "usr/bin/x"`},
		{"usr/share/doc/base-files/README", 79, `copy: 123456 files, 5.0 GiB (25 %), 200 MiB/s, 1m2s left: "usr/s...iles/README"`},
		{"gr\u00fcn \xff \"\n", 200, "copy: /mnt, " + figures + `: "gr\u00fcn \xff \"\n"`},
		{"\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n", 79, `copy: 123456 files, 5.0 GiB (25 %), 200 MiB/s, 1m2s left: "\n\n...\n\n\n\n\n\n"`}, // no escape is cut
		{"usr/bin/x", 60, "copy: 123456 files, 5.0 GiB (25 %), 200 MiB/s, 1m2s left"},
		{"usr/bin/x", 30, "copy: 123...0 MiB/s, 1m2s left"},
	} {
		g := most
		g.Path = c.path
		got := progressLine(stage.Event{Stage: "copy", Text: "/mnt", Progress: &g}, c.columns)
		if got != c.want || len(got) > c.columns {
			t.Errorf("%q in %d columns:\ngot  %s\nwant %s", c.path, c.columns, got, c.want)
		}
	}
}

// Only a terminal has its line rewritten, and not with JSON.
func TestProgressKnowsATerminal(t *testing.T) {
	for name, tty := range map[string]bool{filepath.Join(t.TempDir(), "log"): false, "/dev/null": false, "/dev/ptmx": true} {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_NOCTTY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		p := newProgress(&call{app: thisMachine(), err: f})
		if (p.width != nil) != tty || tty && p.columns() != fewColumns-1 {
			t.Errorf("%s: taken for a terminal: %v", name, p.width != nil)
		}
		if p = newProgress(&call{app: thisMachine(), err: f, opt: options{json: true}}); p.width != nil || !p.json {
			t.Errorf("%s: no JSON", name)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Work that reads no data is told by its names, and what goes on is not over in no time.
func TestProgressLineFigures(t *testing.T) {
	for _, c := range []struct {
		of   copy.Progress
		want string
	}{
		{copy.Progress{Files: 21, TotalFiles: 234, ETA: 4}, "precheck: /home, 21 of 234 files, 4s left"},
		{copy.Progress{Files: 21, TotalFiles: 234, TotalBytes: 4096}, "precheck: /home, 21 files, 0 B of 4.0 KiB (0 %)"},
		{copy.Progress{Files: 21}, "precheck: /home, 21 files, 0 B"},
		{copy.Progress{Bytes: 4095, TotalBytes: 4096, ETA: 0.2}, "precheck: /home, 4.0 KiB of 4.0 KiB (99 %), 1s left"},
		{copy.Progress{Bytes: 4096, TotalBytes: 4096}, "precheck: /home, 4.0 KiB of 4.0 KiB (100 %)"},
	} {
		if got := progressLine(stage.Event{Stage: "precheck", Text: "/home", Progress: &c.of}, 80); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

// A file gets a line every five seconds, and one at once when something else begins.
func TestProgressElsewhere(t *testing.T) {
	l := newTeller()
	for i := range 82 { // 20.5 s
		stg := "copy"
		if i >= 70 { // 17.5 s
			stg = "verify"
		}
		l.tell(stg, "/mnt", copy.Progress{Files: int64(i + 1), Path: "a/b"})
		l.clock = l.clock.Add(250 * time.Millisecond)
	}
	l.clear()
	want := `copy: /mnt, 1 files, 0 B: "a/b"
copy: /mnt, 21 files, 0 B: "a/b"
copy: /mnt, 41 files, 0 B: "a/b"
copy: /mnt, 61 files, 0 B: "a/b"
verify: /mnt, 71 files, 0 B: "a/b"
`
	if l.String() != want {
		t.Errorf("got\n%swant\n%s", &l.Buffer, want)
	}
}

// --json gives a line every five seconds wherever it goes, and no name is lost in it.
func TestProgressJSON(t *testing.T) {
	l := newTeller()
	l.json = true
	names := []string{"a/b", "a\nb <&> \u2028\u00fc", "no utf-8: \xff\xfe", "\xc3", `{"base64":"YQ=="}`, ""}
	for i := range 20 * len(names) {
		l.tell("copy", "/mnt", copy.Progress{Files: 3, TotalFiles: 9, Bytes: 5, TotalBytes: 11, Rate: 2.5, ETA: 1.5, Path: names[i/20]})
		l.clock = l.clock.Add(250 * time.Millisecond)
	}
	lines := slices.Collect(strings.Lines(l.String()))
	if len(lines) != len(names) {
		t.Fatalf("%d lines of %d: %q", len(lines), len(names), lines)
	}
	if want := `{"event":"progress","stage":"copy","files":3,"total_files":9,"bytes":5,"total_bytes":11,"rate":2,"eta":1.5,"path":"a/b"}` + "\n"; lines[0] != want {
		t.Errorf("got  %swant %s", lines[0], want)
	}
	for i, line := range lines {
		var got toldProgress
		if err := json.Unmarshal([]byte(line), &got); err != nil || string(got.Path) != names[i] {
			t.Errorf("%q: %q %v in %s", names[i], got.Path, err, line)
		}
	}
	// A finding's paths are names too.
	b, err := json.Marshal(copied{Findings: []copyFinding{{ID: "x", Paths: []anyName{"a", "\xff"}}}})
	if err != nil || !strings.Contains(string(b), `"paths":["a",{"base64":"/w=="}]`) {
		t.Errorf("%s %v", b, err)
	}
}
