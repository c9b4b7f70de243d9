package pid1

import (
	"slices"
	"strings"
	"testing"

	"migrate-init/pkg/machine"
)

// A disk that never answers becomes a panic during the migration only: the new system finds the settings of its kernel.
func TestBoundsHangs(t *testing.T) {
	r := newRig("console=ttyS0")
	r.put(hungPanic, "0\n")
	r.put(hungTimeout, "120\n")
	r.boot(t)
	set := []string{machine.WriteSys{Path: hungTimeout, Value: hungSeconds}.String(), machine.WriteSys{Path: hungPanic, Value: "1"}.String()}
	at := slices.Index(r.m.log, set[0])
	if at < 0 || at+1 >= len(r.m.log) || r.m.log[at+1] != set[1] || slices.Index(r.m.log, "listen") < at {
		t.Fatalf("effects: %q", r.m.log)
	}
	r.m.log = nil
	if _, err := (pid1Machine{r.Init}).Do(t.Context(), machine.SwitchRoot{NewRoot: "/mnt/target", Init: "/sbin/init"}); err != nil {
		t.Fatal(err)
	}
	back := []string{machine.WriteSys{Path: hungTimeout, Value: "120"}.String(), machine.WriteSys{Path: hungPanic, Value: "0"}.String()}
	if len(r.m.log) != 3 || !slices.Equal(r.m.log[:2], back) {
		t.Errorf("effects of the switch: %q", r.m.log)
	}
}

// A kernel without that watch is no reason to say anything.
func TestWithoutHangWatch(t *testing.T) {
	r := newRig("console=ttyS0")
	if said := r.boot(t); strings.Contains(said, "hung") || strings.Contains(strings.Join(r.m.log, "\n"), "hung") {
		t.Errorf("%s\n%q", said, r.m.log)
	}
}
