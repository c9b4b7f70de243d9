package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// inMemory is a new directory in memory where there is one: on a disk it takes as long as others use that.
func inMemory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "interrupt")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// manyFiles makes a tree of a hundred small files a directory.
func manyFiles(t *testing.T, n int) string {
	t.Helper()
	dir := inMemory(t)
	for i := range n {
		d := filepath.Join(dir, fmt.Sprintf("d%d", i/100))
		if i%100 == 0 {
			if err := os.Mkdir(d, 0o750); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(d, fmt.Sprintf("f%d", i)), fmt.Appendf(nil, "this is file %d\n", i), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// listed is what a tree looks like to someone who knows nothing of the engine.
func listed(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := e.Info()
		if err != nil {
			return err
		}
		var data []byte
		if e.Type().IsRegular() {
			if data, err = os.ReadFile(p); err != nil {
				return err
			}
		}
		out[strings.TrimPrefix(p, dir)] = fmt.Sprintf("%v %v %x", st.Mode(), st.ModTime().UnixNano(), sha256.Sum256(data))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// interruptAt runs the program as a process of its own, interrupts it, as Ctrl-C does, when it has said a line that begins so, and
// gives its exit code.
func interruptAt(t *testing.T, head string, args ...string) (code int, out, errs string) {
	t.Helper()
	cmd := exec.Command("migrate-init", args...)
	var o bytes.Buffer
	cmd.Stdout = &o
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(pipe)
	for line := "."; line != ""; errs += line {
		line, _ = r.ReadString('\n') // the end is an empty line
		if strings.HasPrefix(line, head) {
			if err := cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
				t.Error(err)
			}
			head = "\x00"
		}
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), o.String(), errs
}

// A real interrupt of the real program, after its first progress: it ends by itself with code 1 and the words that say how to
// go on; the same command, here with --json, goes on, and the copy is equal to the source.
func TestCopySIGINT(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: copying needs root")
	}
	const after = "migrate-init: copy: interrupted after "
	var src, dst, errs string
	n := 40_000
	for ; ; n *= 4 {
		src, dst = manyFiles(t, n), inMemory(t)
		var out string
		var code, partly int
		code, out, errs = interruptAt(t, "copy: ", "copy", src, dst)
		if _, rest, ok := strings.Cut(errs, after); ok {
			_, err := fmt.Sscan(rest, &partly)
			if err != nil || partly <= 0 || partly > n || code != 1 || out != "" || !unfinished(dst) {
				t.Fatalf("of %d files: %v, code %d, a state on the target %v\n%s%s", n, err, code, unfinished(dst), out, errs)
			}
			if partly < n {
				break
			}
		}
		if n > 300_000 {
			t.Fatalf("%d files, and it is not interrupted while it copies: code %d\n%s%.2000s", n, code, out, errs)
		}
		t.Logf("this machine copies %d files before the interrupt comes: more", n)
	}
	if !strings.HasSuffix(errs, " files; run the same command again to resume it, as long as the source stays unchanged\n") {
		t.Errorf("said %s", errs)
	}
	// No one looks at the target in between: that would change its times.
	code, out, errs := interruptAt(t, "\x00", "copy", "--json", src, dst)
	if code != 0 || !strings.Contains(errs, "resuming an interrupted copy of "+src+"\n") {
		t.Fatalf("code %d\n%s%.2000s", code, out, errs)
	}
	want, got := listed(t, src), listed(t, dst)
	for name, is := range want {
		if got[name] != is {
			t.Fatalf("%s: is %s, want %s", name, got[name], is)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d names, want %d", len(got), len(want))
	}
	resultAndEvents(t, out, errs, int64(n))
}

// resultAndEvents: one object on stdout, and on stderr nothing that begins as an object but events.
func resultAndEvents(t *testing.T, out, errs string, files int64) {
	t.Helper()
	var res copied
	d := json.NewDecoder(strings.NewReader(out))
	if err := d.Decode(&res); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		t.Errorf("after the result: %v in %s", err, out)
	}
	if !res.Resumed || res.Copied.Resumed == 0 || res.Copied.Resumed >= files+res.Verified.Dirs || res.Verified.Files != files {
		t.Errorf("%s", out)
	}
	stages := map[string]int{}
	for line := range strings.Lines(errs) {
		if !strings.HasPrefix(line, "{") {
			continue
		}
		var p toldProgress
		if err := json.Unmarshal([]byte(line), &p); err != nil || p.Event != "progress" {
			t.Errorf("%v in %s", err, line)
		}
		stages[p.Stage]++
		if p.Path == "" {
			t.Errorf("no path in %s", line)
		}
	}
	if stages["copy"] == 0 || stages["verify"] == 0 {
		t.Errorf("events: %v", stages)
	}
}
