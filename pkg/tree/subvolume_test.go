package tree

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// subvolumed is a btrfs with subvolumes: at the top, nested in a directory of another, read-only, and a snapshot.
func subvolumed(t *testing.T) disk {
	t.Helper()
	d := newDisk(t, "btrfs", 512<<20)
	at := func(name string) string { return filepath.Join(d.dir, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	run(t, "btrfs", "subvolume", "create", at("@"))
	run(t, "btrfs", "subvolume", "create", at("@home"))
	must(os.MkdirAll(at("@/var/lib"), 0o755))
	run(t, "btrfs", "subvolume", "create", at("@/var/lib/machines"))
	must(os.MkdirAll(at("@home/user/.snapshots"), 0o700))
	for _, f := range []string{"@/etc", "@/var/lib/machines/m", "@home/user/f", "top"} {
		must(os.WriteFile(at(f), bytes.Repeat([]byte(f), 5000), 0o640))
	}
	must(os.Link(at("@home/user/f"), at("@home/user/g")))
	must(os.Chown(at("@/var/lib/machines"), 7, 8))
	must(os.Chmod(at("@home"), 0o711))
	run(t, "btrfs", "subvolume", "snapshot", "-r", at("@home"), at("@home/user/.snapshots/1"))
	run(t, "btrfs", "subvolume", "snapshot", at("@"), at("copy of @"))
	run(t, "btrfs", "property", "set", "-ts", at("@/var/lib/machines"), "ro", "true")
	return d
}

func TestSubvolumes(t *testing.T) {
	d := subvolumed(t)
	run(t, "btrfs", "subvolume", "set-default", filepath.Join(d.dir, "@"))
	run(t, "btrfs", "subvolume", "create", filepath.Join(d.dir, "gone"))
	run(t, "btrfs", "subvolume", "delete", filepath.Join(d.dir, "gone"))
	want := []Subvolume{{Path: "@", Default: true}, {Path: "@/var/lib/machines", ReadOnly: true}, {Path: "@home"},
		{Path: "@home/user/.snapshots/1", ReadOnly: true, Snapshot: true}, {Path: "copy of @", Snapshot: true}}
	for _, dir := range []string{d.dir, filepath.Join(d.dir, "@home")} {
		if got, err := Subvolumes(dir); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %+v, %v", dir, got, err)
		}
	}
	if _, err := Subvolumes("/proc"); err == nil {
		t.Error("/proc has subvolumes")
	}
}

// TestSubvolumesMany: a list longer than one answer of the kernel.
func TestSubvolumesMany(t *testing.T) {
	d := newDisk(t, "btrfs", 256<<20)
	names := make([]string, 60)
	for i := range names {
		names[i] = filepath.Join(d.dir, string(rune('a'+i/26))+string(rune('a'+i%26)))
	}
	for _, n := range names {
		run(t, "btrfs", "subvolume", "create", n)
	}
	got, err := Subvolumes(d.dir)
	if err != nil || len(got) != len(names) || got[59].Path != filepath.Base(names[59]) {
		t.Errorf("%d subvolumes, %v", len(got), err)
	}
}

// TestCopySubvolumes: those that are named become subvolumes, with the metadata of their roots; what is excluded is left out.
func TestCopySubvolumes(t *testing.T) {
	src, dst := subvolumed(t), newDisk(t, "btrfs", 512<<20)
	src.remount(t, unix.MS_RDONLY)
	o := Options{Subvolumes: []string{"@", "@/var/lib/machines", "@home"}, Exclude: []string{"@home/user/.snapshots/1", "copy of @"}}
	if _, err := Copy(t.Context(), src.dir, dst.dir, o); err != nil {
		t.Fatal(err)
	}
	dst.remount(t, unix.MS_RDONLY)
	got, err := Subvolumes(dst.dir)
	if want := []Subvolume{{Path: "@"}, {Path: "@/var/lib/machines"}, {Path: "@home"}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	rep, err := Verify(t.Context(), src.dir, dst.dir, o)
	if err != nil || !rep.Equal() {
		t.Errorf("%v, %v", err, rep.Differences)
	}
	if _, err := os.Lstat(filepath.Join(dst.dir, "@home/user/.snapshots")); err != nil {
		t.Error(err)
	}
	// What a directory in place of a subvolume would be.
	o.Subvolumes = []string{"@", "@home"}
	if rep, err = Verify(t.Context(), src.dir, dst.dir, o); err != nil || rep.Count != 1 || rep.Differences[0].Path != "@/var/lib/machines" || rep.Differences[0].What != "subvolume" {
		t.Errorf("%v, %v", err, rep.Differences)
	}
	scan, err := Precheck(t.Context(), src.dir, capable(), o)
	if err != nil || !slices.ContainsFunc(scan.Findings, func(f Finding) bool {
		return f.ID == "tree.subvolume" && slices.Equal(f.Paths, []string{"@/var/lib/machines"})
	}) {
		t.Errorf("%v, %+v", err, scan.Findings)
	}
}

// TestCopyUnlistedSubvolume: a subvolume that the caller does not know of ends the copy.
func TestCopyUnlistedSubvolume(t *testing.T) {
	src, dst := subvolumed(t), newDisk(t, "btrfs", 512<<20)
	_, err := Copy(t.Context(), src.dir, dst.dir, Options{Subvolumes: []string{"@", "@home"}, Exclude: []string{"copy of @", "@home/user"}})
	var e *Error
	if !errors.Is(err, errUnlisted) || !errors.As(err, &e) || e.Path != "@/var/lib/machines" {
		t.Errorf("%v", err)
	}
}

// TestResumeSubvolumes: a copy that was stopped goes on in the subvolumes that it made.
func TestResumeSubvolumes(t *testing.T) {
	src, dst := subvolumed(t), newDisk(t, "btrfs", 512<<20)
	o := Options{Subvolumes: []string{"@", "@/var/lib/machines", "@home"}, Exclude: []string{"@home/user/.snapshots/1", "copy of @"}}
	var man bytes.Buffer
	ctx, stop := context.WithCancel(t.Context())
	first := o
	first.Manifest, first.pace, first.Workers = &man, func() { stop() }, 1
	if _, err := Copy(ctx, src.dir, dst.dir, first); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v", err)
	}
	again := o
	var more bytes.Buffer
	again.Manifest, again.Resume = &more, &Resume{Manifest: bytes.NewReader(man.Bytes()), ManifestBytes: int64(man.Len())}
	if _, err := Copy(t.Context(), src.dir, dst.dir, again); err != nil {
		t.Fatal(err)
	}
	if rep, err := Verify(t.Context(), src.dir, dst.dir, o); err != nil || !rep.Equal() {
		t.Errorf("%v, %v", err, rep.Differences)
	}
}
