package copy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"migrate-init/pkg/extent"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/tree"
)

// bench makes loop devices, mounts and a file for checkpoints, and removes them at the end of the test.
type bench struct {
	t   *testing.T
	dir string
	m   machine.Real
}

func newBench(t *testing.T) *bench {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOT TESTED: only root has loop devices")
	}
	dir, err := os.MkdirTemp("/dev/shm", "copy")
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	b := &bench{t: t, dir: dir}
	for _, tool := range []string{"losetup", "mke2fs", "e2fsck", "tune2fs", "resize2fs"} {
		if _, err := b.m.Do(t.Context(), machine.Exec{Argv: []string{tool, "-V"}, OK: []int{0, 1}}); err != nil {
			t.Skipf("SKIPPED, NOT TESTED: %v", err)
		}
	}
	return b
}

func (b *bench) do(effs ...machine.Effect) string {
	b.t.Helper()
	out := machine.Output{}
	for _, e := range effs {
		var err error
		if out, err = b.m.Do(context.Background(), e); err != nil { // not the test's context: cleaning up runs after its end
			b.t.Fatal(err)
		}
	}
	return strings.TrimSpace(string(out.Stdout))
}

func (b *bench) run(argv ...string) string {
	b.t.Helper()
	return b.do(machine.Exec{Argv: argv})
}

func (b *bench) file(name string, mib int64) string {
	b.t.Helper()
	name = filepath.Join(b.dir, name)
	if err := errors.Join(os.WriteFile(name, nil, 0o600), os.Truncate(name, mib<<20)); err != nil {
		b.t.Fatal(err)
	}
	return name
}

func (b *bench) loop(name string, mib int64) string {
	b.t.Helper()
	dev := b.run("losetup", "--find", "--show", b.file(name, mib))
	b.t.Cleanup(func() { b.run("losetup", "-d", dev) })
	return dev
}

// mount mounts a device until the function returned is called, or to the end of the test.
func (b *bench) mount(dev string, flags machine.MountFlag) (dir string, unmount func()) {
	b.t.Helper()
	dir = filepath.Join(b.dir, "mnt-"+filepath.Base(dev))
	b.do(machine.Mkdir{Path: dir, Mode: 0o700}, machine.Mount{Source: dev, Target: dir, Type: "ext4", Flags: flags})
	on := true
	unmount = func() {
		if on {
			on = false
			b.do(machine.Unmount{Target: dir})
		}
	}
	b.t.Cleanup(unmount)
	return dir, unmount
}

// source is a device with 50 MiB in 160 files of an ext4.
func (b *bench) source() string {
	b.t.Helper()
	dev := b.loop("source", 80)
	b.run("mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-U", "11111111-2222-4333-8444-555555555555", dev)
	dir, unmount := b.mount(dev, 0)
	for i := range 160 {
		name := filepath.Join(dir, fmt.Sprintf("d%d", i%10), fmt.Sprintf("f%d", i))
		data := bytes.Repeat(fmt.Appendf(nil, "line %7d\n", i), 25_000)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, data, 0o640)); err != nil {
			b.t.Fatal(err)
		}
	}
	unmount()
	return dev
}

// files returns the digest of each regular file of a filesystem, by its path.
func (b *bench) files(dev string) map[string][32]byte {
	b.t.Helper()
	dir, unmount := b.mount(dev, machine.ReadOnly)
	defer unmount()
	out := map[string][32]byte{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(p)
		out[strings.TrimPrefix(p, dir)] = sha256.Sum256(data)
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

func (b *bench) digest(dev string) [32]byte {
	b.t.Helper()
	data, err := os.ReadFile(dev)
	if err != nil {
		b.t.Fatal(err)
	}
	return sha256.Sum256(data)
}

var errPower = errors.New("the power is gone")

// checkpoints returns the checkpoints in a file, as the next boot finds them. After a checkpoint for which last returns true,
// all writes fail.
func (b *bench) checkpoints(name string, last func(Checkpoint) bool) *Checkpoints {
	b.t.Helper()
	gone := false
	k := &Checkpoints{Slots: Slots{At: [2]int64{0, 4096}, Size: 4096, Salt: "plan"}}
	k.Write = func(ctx context.Context, c Checkpoint, at int64, slot []byte) error {
		if gone {
			return errPower
		}
		gone = last(c)
		_, err := b.m.Do(context.WithoutCancel(ctx), machine.WriteDevice{Dev: name, Why: "checkpoint", Chunks: []machine.Chunk{{Offset: at, Data: slot}}})
		return err
	}
	f, err := os.Open(name)
	if err == nil {
		k.Last, err = k.Slots.Read(f)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return k
}

func never(Checkpoint) bool { return false }

// partly reports whether a checkpoint of either engine says that something has been copied.
func partly(c Checkpoint) bool {
	var at struct{ Files, Windows int }
	return json.Unmarshal(c.Data, &at) == nil && (at.Files >= 20 || at.Windows > 0)
}

// TestEnginesResume interrupts each engine after a checkpoint in the middle of a copy; for the tree engine, a full target does
// so at the latest. With nothing but that checkpoint, as after a power cut, another run resumes, is verified and finalized, and
// the copy is complete. A copy of a source in another state does not resume.
func TestEnginesResume(t *testing.T) {
	for _, engine := range []string{Tree, Extent} {
		t.Run(engine, func(t *testing.T) { enginesResume(t, engine) })
	}
}

func enginesResume(t *testing.T, engine string) {
	b := newBench(t)
	src, dst, slots := b.source(), b.loop("target", 96), b.file("slots", 1)
	want, before := b.files(src), b.digest(src)
	from, _ := b.mount(src, machine.ReadOnly)
	j := Job{Engine: engine, From: from, FromDev: src, ToDev: dst, Type: "ext4", NewUUID: "99999999-2222-4333-8444-555555555555", CheckpointEvery: time.Millisecond}
	unmount := func() {}
	mounts := func() {
		if engine == Tree {
			j.To, unmount = b.mount(dst, 0)
		}
	}
	if engine == Tree {
		b.run("mke2fs", "-q", "-F", "-t", "ext4", "-U", j.NewUUID, dst, "24M") // it will be full at the latest
	}
	mounts()
	of := Checkpoint{Key: "copy:" + j.NewUUID, Stamp: "mounts 1"}

	cut := j
	b.checkpoints(slots, partly).Attach(t.Context(), &cut, of)
	if cut.Resume != nil {
		t.Fatalf("nothing was copied, and %s", cut.Resume)
	}
	first, err := (&Engines{}).Copy(t.Context(), cut)
	if err == nil {
		t.Fatalf("it was not cut: %+v", first)
	}
	unmount()
	if engine == Tree {
		b.run("e2fsck", "-f", "-p", dst)
		b.run("resize2fs", dst)
	}

	changed := j
	b.checkpoints(slots, never).Attach(t.Context(), &changed, Checkpoint{Key: of.Key, Stamp: "mounts 2"})
	if changed.Resume != nil {
		t.Fatalf("the source was in use since, and the copy would go on from %s", changed.Resume)
	}

	mounts()
	again := j
	k := b.checkpoints(slots, never)
	saved := k.Last
	k.Attach(t.Context(), &again, of)
	if again.Resume == nil {
		t.Fatal("it would start again")
	}
	engines := &Engines{} // another boot: nothing is known but the checkpoint
	done, err := engines.Copy(t.Context(), again)
	if err != nil {
		t.Fatal(err)
	}
	b.resumedFrom(saved, engine, done, len(want))
	if _, err := engines.Verify(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	if engine == Tree {
		if _, err := (&Engines{}).Copy(t.Context(), j); !errors.Is(err, tree.ErrNotEmpty) {
			t.Errorf("from the start, over what is there: %v", err)
		}
	}
	effs, err := engines.Finalize(again)
	if err != nil {
		t.Fatal(err)
	}
	b.do(effs...)
	unmount()
	b.run("e2fsck", "-fn", dst)
	got := b.files(dst)
	for name, sum := range want {
		if got[name] != sum {
			t.Errorf("%s: differs", name)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d files, want %d", len(got), len(want))
	}
	if b.digest(src) != before {
		t.Error("the source was written to")
	}
}

// resumedFrom checks that a run copied what the checkpoint does not have, and that both are something.
func (b *bench) resumedFrom(c *Checkpoint, engine string, done Counts, files int) {
	b.t.Helper()
	if engine == Tree {
		if done.Resumed == 0 || done.Files == 0 || done.Resumed+done.Files < int64(files) {
			b.t.Errorf("resumed %d names and copied %d files of %d, from %s", done.Resumed, done.Files, files, c.Data)
		}
		return
	}
	var at extent.Checkpoint
	if err := json.Unmarshal(c.Data, &at); err != nil || at.Windows == 0 || done.Resumed != at.Bytes || done.Bytes == 0 {
		b.t.Errorf("resumed %d bytes and copied %d, from %s, %v", done.Resumed, done.Bytes, c.Data, err)
	}
}
