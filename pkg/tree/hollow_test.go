package tree

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestHollow: one tree becomes two. The directory at the border is made with its metadata and stays empty, its contents are a copy
// of their own, and names of one file on both sides of the border become two files, each complete.
func TestHollow(t *testing.T) {
	src, root, boot := newDisk(t, "ext4", 64<<20), newDisk(t, "ext4", 64<<20), newDisk(t, "ext4", 64<<20)
	apply(t, src.dir, mkdir("boot", 0o710), mkdir("boot/grub", 0o755), file("boot/grub/cfg", 0o600, noise(1, 5000)), file("boot/kernel", 0o600, noise(2, 90000)),
		file("top", 0o640, noise(3, 7000)), link("boot/kernel", "kernel"), link("kernel", "kernel.again"), mkdir("d", 0o755), mkdir("d/boot", 0o755), file("d/boot/in", 0o600, noise(4, 10)))
	for _, c := range []struct {
		name     string
		from     string
		to       disk
		o        Options
		has, not []string
	}{
		{"all but it", src.dir, root, Options{Hollow: []string{"boot"}}, []string{"boot", "top", "kernel", "kernel.again", "d/boot/in"}, []string{"boot/grub", "boot/kernel"}},
		{"it", filepath.Join(src.dir, "boot"), boot, Options{Part: true}, []string{"grub/cfg", "kernel"}, []string{"top", "boot"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			caps, err := ProbeCaps(c.to.dir)
			if err != nil {
				t.Fatal(err)
			}
			scan, err := Precheck(t.Context(), c.from, caps, c.o)
			if err != nil || !slices.ContainsFunc(scan.Findings, func(f Finding) bool { return f.ID == "tree.border" && f.Severity == Info }) {
				t.Errorf("precheck: %v, and it does not tell that a file comes apart: %+v", err, scan.Findings)
			}
			var man bytes.Buffer
			o := c.o
			o.Manifest = &man
			if _, err := Copy(t.Context(), c.from, c.to.dir, o); err != nil {
				t.Fatal(err)
			}
			for _, n := range c.has {
				if _, err := os.Lstat(filepath.Join(c.to.dir, n)); err != nil {
					t.Error(err)
				}
			}
			for _, n := range c.not {
				if _, err := os.Lstat(filepath.Join(c.to.dir, n)); err == nil {
					t.Errorf("%s was copied, too", n)
				}
			}
			o.Hashes = openManifest(t, man.Bytes())
			if rep, err := Verify(t.Context(), c.from, c.to.dir, o); err != nil || !rep.Equal() {
				t.Errorf("verify: %v %v", err, rep.Differences)
			}
			if rep, err := Verify(t.Context(), c.from, c.to.dir, Options{}); err != nil || rep.Equal() {
				t.Errorf("without the options nothing differs: %v", err)
			}
			n := int64(man.Len())
			o.Hashes, o.Resume = nil, &Resume{Manifest: bytes.NewReader(bytes.Clone(man.Bytes())), ManifestBytes: n}
			if res, err := Copy(t.Context(), c.from, c.to.dir, o); err != nil || res.Files+res.Links > 0 || res.Skipped == 0 {
				t.Errorf("resume of a finished copy: %v %+v", err, res)
			}
		})
	}
	o := Options{Hollow: []string{"boot"}}
	apply(t, root.dir, file("boot/kernel", 0o600, nil))
	if rep, err := Verify(t.Context(), src.dir, root.dir, o); err != nil || !slices.ContainsFunc(rep.Differences, func(d Difference) bool { return d.Path == "boot/kernel" && d.What == "extra" }) {
		t.Errorf("a file below the border, which the source has, is not named: %v %v", err, rep.Differences)
	}
	if err := os.Remove(filepath.Join(root.dir, "kernel.again")); err != nil {
		t.Fatal(err)
	}
	if rep, err := Verify(t.Context(), src.dir, root.dir, o); err != nil || !slices.ContainsFunc(rep.Differences, func(d Difference) bool { return d.Path == "kernel.again" }) {
		t.Errorf("a missing name of a file that has others outside is not named: %v %v", err, rep.Differences)
	}
}
