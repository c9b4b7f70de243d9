package stage

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/rogpeppe/go-internal/txtar"

	"migrate-init/pkg/sim"
)

var update = flag.Bool("update", false, "write the golden files again")

// golden compares sections with testdata/NAME.txtar.
func golden(t *testing.T, name string, got *txtar.Archive) {
	t.Helper()
	file := filepath.Join("testdata", name+".txtar")
	b := txtar.Format(got)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := diff.Diff(file, want, "got", b); d != nil {
		t.Errorf("%s", d)
	}
}

func TestOffline(t *testing.T) {
	w := newWorld(t)
	p, text := planned(t, w, nil)
	before := w.Disks[0].Whole
	if err := w.migrate(p, text, sim.Fault{}); err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(w.Told, "\n"))
	}
	if w.Disks[0].Whole != before {
		t.Error("source disk changed")
	}
	if w.Entered != TargetDir || !w.committedFile(p) {
		t.Errorf("entered %q, committed %v", w.Entered, w.committedFile(p))
	}
	golden(t, "offline", &txtar.Archive{Comment: []byte("Every effect of an undisturbed offline migration, with what it says it writes.\n"),
		Files: []txtar.File{{Name: "effects", Data: []byte(strings.Join(w.Log, "\n") + "\n")}}})
}

// TestHandoverWithUsr: init is in /usr, which may be a filesystem of its own and then has to be there when init is started.
func TestHandoverWithUsr(t *testing.T) {
	w := newWorld(t)
	for n, f := range w.Trees[sim.OldRoot] {
		if rel, ok := strings.CutPrefix(n, "usr/"); ok {
			w.Trees[sim.OldSrv][rel] = f
		}
	}
	fstab := w.Trees[sim.OldRoot]["etc/fstab"]
	w.Trees[sim.OldRoot]["etc/fstab"] = &fstest.MapFile{Data: []byte(strings.Replace(string(fstab.Data), " /srv\t", " /usr\t", 1)), Mode: fstab.Mode}
	for i := range w.Mounts {
		if w.Mounts[i].Dir == "/srv" {
			w.Mounts[i].Dir = "/usr"
		}
	}
	p, b := planned(t, w, nil)
	if err := w.migrate(p, b, sim.Fault{}); err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, m := range w.Mounts {
		if strings.HasPrefix(m.Dir, TargetDir) {
			left = append(left, m.Dir)
		}
	}
	if want := []string{TargetDir, TargetDir + "/usr"}; !slices.Equal(left, want) {
		t.Errorf("mounted when init is started: %v, want %v", left, want)
	}
}
