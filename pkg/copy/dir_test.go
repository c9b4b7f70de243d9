package copy

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"migrate-init/pkg/extent"
	"migrate-init/pkg/tree"
)

// sides returns a source with two files and an empty target.
func sides(t *testing.T) (src, dst string) {
	t.Helper()
	src, dst = t.TempDir(), t.TempDir()
	if err := errors.Join(os.WriteFile(filepath.Join(src, "a"), []byte("a"), 0o640), os.WriteFile(filepath.Join(src, "b"), []byte("b"), 0o640)); err != nil {
		t.Fatal(err)
	}
	return src, dst
}

func openDir(t *testing.T, src, dst string) *Dir {
	t.Helper()
	d, err := OpenDir(src, dst)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func names(t *testing.T, dir string) string {
	t.Helper()
	es, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range es {
		out = append(out, e.Name())
	}
	return strings.Join(out, " ")
}

// TestDirResume checks that the next copy of the same source resumes an interrupted one, and reads the source again for its
// verification. Another source is refused, and so is a source that is an unfinished copy. No state is left in the end.
func TestDirResume(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOT TESTED: copying needs root")
	}
	src, dst := sides(t)
	var engines Engines
	gone, stop := context.WithCancel(t.Context())
	stop()
	var j Job
	d := openDir(t, src, dst)
	if err := d.Begin(t.Context(), &j); err != nil || j.Resume != nil || j.Reread || d.Resumed() {
		t.Fatalf("%+v, %v", j, err)
	}
	if _, err := engines.Copy(gone, j); !errors.Is(err, context.Canceled) {
		t.Fatalf("it was not cut: %v", err)
	}
	d.Abandon() // as after a refusal: the next copy finds an empty target
	if got := names(t, dst); got != "" {
		t.Fatalf("abandoned, and the target has %s", got)
	}
	if err := openDir(t, src, dst).Begin(t.Context(), &j); err != nil {
		t.Fatal(err)
	}
	if _, err := engines.Copy(gone, j); !errors.Is(err, context.Canceled) {
		t.Fatalf("it was not cut: %v", err)
	}
	if _, err := OpenDir(t.TempDir(), dst); err == nil || !strings.Contains(err.Error(), "a copy of "+src+" was interrupted there; name that source to resume it") {
		t.Errorf("of another source: %v", err)
	}
	if _, err := OpenDir(dst, t.TempDir()); err == nil || !strings.Contains(err.Error(), "so a copy into it was interrupted") {
		t.Errorf("from an unfinished copy: %v", err)
	}

	// The power failed in the middle of a file, and while the target was being probed.
	probe := filepath.Join(dst, ".migrate-init-probe-1")
	if err := errors.Join(os.WriteFile(filepath.Join(dst, "a"), []byte("half"), 0o600), os.Mkdir(probe, 0o700), os.WriteFile(filepath.Join(probe, "f"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	d, j = openDir(t, src, dst), Job{}
	if _, err := d.Precheck(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	if err := d.Begin(t.Context(), &j); err != nil || j.Resume == nil || !j.Reread || !d.Resumed() {
		t.Fatalf("%+v, %v", j, err)
	}
	d.Abandon() // a resumed copy keeps its state
	for _, do := range []func(context.Context, Job) (Counts, error){engines.Copy, engines.Verify} {
		if _, err := do(t.Context(), j); err != nil {
			t.Fatal(err)
		}
	}
	st, err := os.Stat(src)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Finish(); err != nil {
		t.Fatal(err)
	}
	if got := names(t, dst); got != "a b" {
		t.Errorf("the target has %s", got)
	}
	if is, err := os.Stat(dst); err != nil || !is.ModTime().Equal(st.ModTime()) {
		t.Errorf("times of the root: %v, want %v, %v", is.ModTime(), st.ModTime(), err)
	}
}

// TestDirState checks that a state file without a checkpoint resumes nothing, and does not allow a copy into a target that is
// not empty.
func TestDirState(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOT TESTED: copying needs root")
	}
	for _, text := range []string{"", "garbage", strings.Repeat("MIJC", 4096)} {
		src, dst := sides(t)
		if err := errors.Join(os.WriteFile(filepath.Join(dst, stateName), []byte(text), 0o600), os.WriteFile(filepath.Join(dst, "a"), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		var j Job
		d := openDir(t, src, dst)
		if err := d.Begin(t.Context(), &j); err != nil || d.Resumed() {
			t.Fatalf("%.10q: resumed %v, %v", text, d.Resumed(), err)
		}
		if _, err := new(Engines).Copy(t.Context(), j); !errors.Is(err, tree.ErrNotEmpty) {
			t.Errorf("%.10q: %v", text, err)
		}
	}
}

// TestOldState checks that the state of an older version is recognized, and never resumed.
func TestOldState(t *testing.T) {
	src, dst := sides(t)
	for _, n := range oldStateNames() {
		name := filepath.Join(dst, n)
		if err := os.WriteFile(name, []byte(`{"source":"`+src+`","manifest":0}`+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenDir(src, dst); err == nil || !strings.Contains(err.Error(), n+" is left over from a copy by an older migrate-init") {
			t.Errorf("target with %s: %v", n, err)
		}
		if _, err := OpenDir(dst, src); err == nil || !strings.Contains(err.Error(), "it contains "+n) {
			t.Errorf("source with %s: %v", n, err)
		}
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	for _, at := range deviceSlots().At {
		head := make([]byte, deviceStateSize)
		copy(head[at:], "migrate-init copy by blocks\n\x05\x00\x00\x00")
		if last, err := DeviceState(bytes.NewReader(head)); last != nil || !errors.Is(err, ErrOldState) {
			t.Errorf("at %d: %+v, %v", at, last, err)
		}
	}
}

// TestDeviceLoad checks that a copy resumes only from the same state of the same source.
func TestDeviceLoad(t *testing.T) {
	m := make(medium, deviceStateSize)
	of := func(uuid, identity string) *Device {
		return &Device{Source: "/dev/x", Alloc: &extent.Allocation{UUID: uuid, Identity: identity}, checkpoints: *m.on(deviceSlots())}
	}
	d := of("u", "i")
	if err := d.Load(m); err != nil || d.Resumed() {
		t.Fatalf("of nothing: resumed %v, %v", d.Resumed(), err)
	}
	var j Job
	d.checkpoints.Attach(t.Context(), &j, d.checkpoint())
	if err := j.Checkpoint(extent.Checkpoint{Identity: "i", Windows: math.MaxInt32}); err != nil {
		t.Fatal(err)
	}
	if d = of("u", "i"); d.Load(m) != nil || !d.Resumed() {
		t.Error("the same state is not resumed")
	}
	if d = of("u", "j"); !errors.Is(d.Load(m), ErrSourceChanged) || d.Resumed() {
		t.Error("a source that was in use is resumed")
	}
	if d = of("v", "k"); d.Load(m) == nil || !strings.Contains(d.Load(m).Error(), "a copy of u on /dev/x was interrupted there") || d.Resumed() {
		t.Errorf("of another source: %v", d.Load(m))
	}
	if d = of("u", "i"); d.Load(m) != nil || d.Invalidate(t.Context()) != nil {
		t.Fatal("not invalidated")
	}
	if d = of("u", "i"); d.Load(m) != nil || d.Resumed() || d.checkpoints.Last == nil {
		t.Error("resumes from an invalidated checkpoint")
	}
}
