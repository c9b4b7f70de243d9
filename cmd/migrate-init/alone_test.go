package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"migrate-init/pkg/plan"
)

// Two commands that change the machine do not do so at once; one that only prints need not wait.
func TestOneCommandAtATime(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "world")
	if err := buildWorld(t, dir); err != nil {
		t.Fatal(err)
	}
	p, text := planFor(t, dir, plan.Policy{})
	name := filepath.Join(filepath.Dir(dir), "plan.toml")
	if err := put(filepath.Dir(dir), "plan.toml", string(text), 0o600); err != nil {
		t.Fatal(err)
	}
	a := madeUp(dir)
	call := func(args ...string) (int, string) {
		var out, said bytes.Buffer
		return a.run(t.Context(), args, &out, &said), said.String()
	}
	release, err := a.alone()
	if err != nil {
		t.Fatal(err)
	}
	const busy = "another command may be running: "
	for _, args := range [][]string{{"schedule", name}, {"cancel"}, {"rollback"}, {"finish"}} {
		if code, said := call(args...); code != 1 || !strings.Contains(said, busy) {
			t.Errorf("%q beside another: code %d, %s", args, code, said)
		}
		if _, said := call(append(args, "--dry-run")...); strings.Contains(said, busy) {
			t.Errorf("%q --dry-run beside another: %s", args, said)
		}
	}
	if code, said := call("check", name); code != 0 {
		t.Errorf("check of %s beside another: code %d, %s", p.ID, code, said)
	}
	release()
	if code, said := call("cancel"); code != 1 || strings.Contains(said, busy) {
		t.Errorf("cancel alone: code %d, %s", code, said)
	}
}
