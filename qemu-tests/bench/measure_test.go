package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestCopied: the parts of the shipped program's time are in its result, which comes after lines of progress.
func TestCopied(t *testing.T) {
	said := "disk /dev/loop0: flash: x\n" + `{"event":"progress","stage":"copy"}` + "\n{\n  \"copied\": {\"files\": 1, \"seconds\": 2.5},\n  \"verified\": {\"seconds\": 1.5}\n}\n"
	got, err := copied([]byte(said))
	if err != nil || len(got) != 2 || got["its copying"] != 2.5 || got["its verification"] != 1.5 {
		t.Errorf("%v, %v", got, err)
	}
	for _, said := range []string{"", "x\n", "{}\n", "{\n"} {
		if got, err := copied([]byte(said)); err == nil {
			t.Errorf("%q: %v", said, got)
		}
	}
}

// Whatever a command that fails has said can be read afterwards, to the last line.
func TestFailedKeepsAllThatWasSaid(t *testing.T) {
	l := &lab{o: options{dir: t.TempDir(), driver: "driver"}}
	src, dst := &disk{dir: t.TempDir(), mounted: true}, &disk{dir: t.TempDir(), mounted: true}
	script := `echo first; i=0; while [ $i -lt 2000 ]; do echo "difference $i of many" >&2; i=$((i+1)); done; echo last; exit 3`
	_, err := measure(l, pass{name: "talker", argv: []string{"sh", "-c", script}}, src, dst)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Fatalf("error %v, want exit status 3", err)
	}
	name := filepath.Join(l.o.dir, "failed.txt")
	if len(err.Error()) > 8<<10 || !strings.Contains(err.Error(), "difference 0 of many") || !strings.Contains(err.Error(), name) {
		t.Errorf("%d bytes of error: %.200s", len(err.Error()), err)
	}
	all, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"first\n", "difference 0 of many\n", "difference 1999 of many\n", "last\n", "exit status 3"} {
		if !bytes.Contains(all, []byte(want)) {
			t.Errorf("%q was not kept", want)
		}
	}
	// Two commands of a pipe, each with its own words.
	_, err = measure(l, pass{argv: []string{"sh", "-c", "echo one >&2; exit 4"}, into: []string{"sh", "-c", "echo two; cat; exit 5"}}, src, dst)
	if err == nil || !strings.Contains(err.Error(), "one") || !strings.Contains(err.Error(), "two") {
		t.Errorf("of a pipe: %v", err)
	}
}
