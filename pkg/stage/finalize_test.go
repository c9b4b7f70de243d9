package stage

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"migrate-init/pkg/copy"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/sim"
)

// image makes a file of a size, with an ext4 filesystem in its first bytes where fs is not 0.
func image(t *testing.T, name string, size, fs int64) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, max(size, fs)); err != nil {
		t.Fatal(err)
	}
	if fs > 0 {
		tool(t, "mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", file)
	}
	return file
}

func tool(t *testing.T, argv ...string) {
	t.Helper()
	if _, err := exec.LookPath(argv[0]); err != nil {
		t.Skipf("SKIPPED, NOT TESTED: %s is not installed", argv[0])
	}
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", argv, err, out)
	}
}

// finalizesFor settles with the real engine, which works on two image files; what it says goes to the fake machine's device.
type finalizesFor struct {
	finalizing
	src, dst string
}

func (s finalizesFor) Finalize(j copy.Job) ([]machine.Effect, error) {
	if j.Engine != plan.EngineExtent {
		return s.finalizing.Finalize(j)
	}
	dev := j.ToDev
	j.FromDev, j.ToDev = s.src, s.dst
	effs, err := (&copy.Engines{}).Finalize(j)
	for i, e := range effs {
		switch e := e.(type) {
		case machine.WriteDevice:
			e.Dev = dev
			effs[i] = e
		case machine.Exec:
			e.Alters, e.Argv = []string{dev}, slices.Clone(e.Argv)
			for k, a := range e.Argv {
				if a == s.dst {
					e.Argv[k] = dev
				}
			}
			effs[i] = e
		}
	}
	return effs, err
}

// TestIdentityIsChecked: a copy by blocks ends with a read-only fsck of what it has become, before its proof is recorded.
// What that finds ends the migration.
func TestIdentityIsChecked(t *testing.T) {
	src, dst := image(t, "src", 16*sim.MiB, 16*sim.MiB), image(t, "dst", 32*sim.MiB, 0)
	start := newWorld(t)
	p, text := planned(t, start, engines()["blocks"])
	migrate := func(f sim.Fault) (*world, error) {
		w := start.clone(t)
		w.Boot()
		w.Fault = f
		e := w.env(p, text)
		e.Copier = finalizesFor{finalizing{copier{w}}, src, dst}
		err := Run(t.Context(), e)
		return w, err
	}
	w, err := migrate(sim.Fault{})
	if err != nil || w.Entered != TargetDir {
		t.Fatalf("entered %q, %v", w.Entered, err)
	}
	// The last of each: every filesystem that was copied by blocks has its turn.
	at := func(words string) int {
		last := -1
		for i, line := range w.Log {
			if strings.Contains(line, words) {
				last = i
			}
		}
		return last
	}
	identity, fsck, done := at("write superblock with uuid"), -1, at(": verify done to")
	for i, line := range w.Log {
		if strings.Contains(line, "run e2fsck -fn /dev/md") {
			fsck = i // the last copy's
		}
	}
	if identity < 0 || fsck < identity || done < fsck {
		t.Fatalf("identity at %d, read-only fsck at %d, verify done at %d in\n%s", identity, fsck, done, strings.Join(w.Log, "\n"))
	}
	_, dev, _ := strings.Cut(w.Log[fsck], " => ") // another filesystem may be finalized after it
	for _, line := range w.Log[fsck+1 : done] {
		if !strings.Contains(line, dev) {
			continue
		}
		if strings.HasPrefix(line, "run ") || strings.HasPrefix(line, "write superblock") {
			t.Errorf("after the fsck, and so not checked: %s", line)
		}
	}
	w, err = migrate(sim.Fault{At: fsck + 1, How: "error"})
	if err == nil || !strings.HasPrefix(err.Error(), "stage verify: ") || w.Entered != "" || w.committedFile(p) || at(": verify done to") >= 0 {
		t.Errorf("the fsck failed: entered %q, %v", w.Entered, err)
	}
}
