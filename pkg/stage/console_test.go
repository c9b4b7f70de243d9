package stage

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"migrate-init/pkg/plan"
)

func sampleReport(t testing.TB) ConsoleReport {
	r := ConsoleReport{Version: "1.2", Time: "2026-11-30T16:00:00Z", Cmdline: "console=ttyS0,115200 migrate.plan=x", Plan: "33333333-0000-4000-8000-000000000001",
		Error: "stage check: source disk /dev/vda: no disk with serial OLD1 is here\nstage check: another", Said: []string{"reveal: begins", "driver x: no such file", "check: begins"}}
	w := newWorld(t)
	f, err := w.Look(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	f.Rules = plan.Rules{}
	r.Facts = f
	return r
}

func blockOf(t testing.TB, r ConsoleReport) []string {
	t.Helper()
	lines, err := r.Lines()
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// TestConsoleReport: what a console shows is what is read back from a log of it, whatever stands around it.
func TestConsoleReport(t *testing.T) {
	r := sampleReport(t)
	lines := blockOf(t, r)
	for _, line := range lines {
		if len("migrate-init: "+line) > 76 {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
	if n := len(lines); n > 120 || !strings.HasPrefix(lines[0], "-----BEGIN REPORT ") || !strings.HasPrefix(lines[n-1], "-----END REPORT ") {
		t.Errorf("%d lines, from %q to %q", n, lines[0], lines[n-1])
	}
	plainly := strings.Join(lines, "\n")
	shuffled := append([]string(nil), lines...)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	stamped, noisy := "", ""
	for i, line := range lines {
		stamped += fmt.Sprintf("2026-11-30T16:00:%02d host kernel: [%12.6f] migrate-init: %s\r\n", i%60, float64(i)/7, line)
		noisy += fmt.Sprintf("\x1b[0;32mmigrate-init: %s\x1b[0m\r\n[   3.141592] usb 1-1: new device\r\n", line)
	}
	for name, log := range map[string]string{
		"plain": plainly, "no end": plainly, "stamped": stamped, "noisy": noisy, "twice": stamped + noisy, "in any order": strings.Join(shuffled, "\r\n"),
		"without its marker lines": strings.Join(lines[1:len(lines)-1], "\n"), "behind binary": strings.Repeat("\x00\xff", 1<<20) + "\n" + plainly,
	} {
		got, err := ReadConsoleReports(strings.NewReader(log))
		if err != nil || len(got) != 1 {
			t.Errorf("%s: %d reports, %v", name, len(got), err)
			continue
		}
		if d := cmp.Diff(r, got[0]); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	text := r.String()
	for _, want := range []string{"error: stage check: source disk /dev/vda: no disk with serial OLD1 is here\n  stage check: another\n", "  driver x: no such file\n", "Disks\n", "/dev/vdb"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

// TestConsoleReportIncomplete: what is missing is named, and no other report suffers.
func TestConsoleReportIncomplete(t *testing.T) {
	r, other := sampleReport(t), sampleReport(t)
	other.Facts, other.Error = nil, "stage reveal: another try"
	lines := blockOf(t, r)
	without := func(gone ...int) string {
		out := append([]string(nil), lines...)
		for _, i := range gone {
			out[i] = "[   9.9] interrupted here " + out[i][:30]
		}
		return strings.Join(out, "\n") + "\n" + strings.Join(blockOf(t, other), "\n")
	}
	swapped := strings.Replace(strings.Join(lines, "\n"), lines[5], lines[5][:30]+"x"+lines[5][31:], 1) // a character that a line lost
	n := len(lines) - 2
	for _, c := range []struct{ log, want string }{
		{without(3), fmt.Sprintf("lines 3 of %d are missing or damaged", n)},
		{without(1, 4, 5, 6, n), fmt.Sprintf("lines 1, 4-6, %d of %d", n, n)},
		{swapped + "\n" + strings.Join(blockOf(t, other), "\n"), fmt.Sprintf("lines 5 of %d", n)},
	} {
		got, err := ReadConsoleReports(strings.NewReader(c.log))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), lines[1][:8]) || len(got) != 1 || got[0].Error != other.Error {
			t.Errorf("%v, %d reports; want %q and the other one", err, len(got), c.want)
		}
	}
	if _, err := ReadConsoleReports(strings.NewReader("[ 1.0] Linux version 6.1\n")); !errors.Is(err, ErrNoReport) {
		t.Errorf("a log without one: %v", err)
	}
	if _, err := ReadConsoleReports(brokenLog{}); err == nil || errors.Is(err, ErrNoReport) {
		t.Errorf("a log that cannot be read: %v", err)
	}
}

type brokenLog struct{}

func (brokenLog) Read([]byte) (int, error) { return 0, os.ErrPermission }

// TestConsoleReportIsBounded: a serial line is slow. The reason stays, whatever else there is.
func TestConsoleReportIsBounded(t *testing.T) {
	r := sampleReport(t)
	rnd := rand.NewChaCha8([32]byte{})
	noise := make([]byte, 64<<10)
	if _, err := rnd.Read(noise); err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		r.Said = append(r.Said, fmt.Sprintf("%x", noise[i*100:i*100+100]))
	}
	r.Said = append(r.Said, "the last one")
	lines := blockOf(t, r)
	got, err := ReadConsoleReports(strings.NewReader(strings.Join(lines, "\n")))
	if err != nil || len(lines) > maxConsoleReport/consoleLineBytes+3 || got[0].Error != r.Error || got[0].Facts != nil || len(got[0].Said) < 10 || got[0].Said[len(got[0].Said)-1] != "the last one" {
		t.Errorf("%d lines, %v", len(lines), err)
	}
	r.Error = fmt.Sprintf("the reason %x", noise)
	if got, err = ReadConsoleReports(strings.NewReader(strings.Join(blockOf(t, r), "\n"))); err != nil || !strings.HasPrefix(got[0].Error, "the reason ") || !strings.HasSuffix(got[0].Error, " (cut)") {
		t.Errorf("%v", err)
	}
}

// A log is what anyone may have written: nothing in it reaches the terminal as it is.
func TestConsoleReportIsQuiet(t *testing.T) {
	r := ConsoleReport{Error: "x\x1b[2J", Said: []string{"\x9b2J\a"}}
	if s := r.String(); strings.ContainsAny(s, "\x1b\a") || strings.Contains(s, "\u009b") {
		t.Errorf("%q", s)
	}
}

func FuzzReadConsoleReports(f *testing.F) {
	lines := strings.Join(blockOf(f, sampleReport(f)), "\r\n")
	f.Add([]byte(lines), 0, byte('x'))
	f.Add([]byte(strings.ReplaceAll(lines, "\n", "\n[ 1.5] migrate-init: ")), 400, byte('\n'))
	f.Fuzz(func(t *testing.T, log []byte, at int, with byte) {
		if len(log) > 0 {
			log = bytes.Clone(log)
			log[(at%len(log)+len(log))%len(log)] = with
		}
		got, err := ReadConsoleReports(bytes.NewReader(log))
		if err == nil && len(got) == 0 {
			t.Fatal("neither a report nor an error")
		}
		for _, r := range got {
			_ = r.String()
		}
	})
}
