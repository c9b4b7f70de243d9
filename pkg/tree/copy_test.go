package tree

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

func tool(dir, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %q: %w: %s", name, args, err, out)
	}
	return nil
}

func TestCopyEverything(t *testing.T) {
	for _, fs := range []string{"ext4", "xfs", "btrfs"} {
		t.Run(fs, func(t *testing.T) {
			src, dst := newDisk(t, fs, 512<<20), newDisk(t, fs, 512<<20)
			apply(t, src.dir, everything(src)...)
			src.remount(t, unix.MS_RDONLY)
			var man bytes.Buffer
			res, err := Copy(t.Context(), src.dir, dst.dir, Options{Manifest: &man, Workers: 3})
			if err != nil {
				t.Fatal(err)
			}
			if len(res.Problems) > 0 {
				t.Errorf("problems: %v", res.Problems)
			}
			dst.remount(t, unix.MS_RDONLY)
			src.remount(t, unix.MS_RDONLY)
			sameTree(t, src.dir, dst.dir)
			for _, hashes := range []*Manifest{openManifest(t, man.Bytes()), nil} {
				rep, err := Verify(t.Context(), src.dir, dst.dir, Options{Hashes: hashes})
				if err != nil || !rep.Equal() {
					t.Errorf("verify: %v, differences: %v", err, rep.Differences)
				}
				if hashes != nil && rep.Reread != 0 {
					t.Errorf("%d bytes of the source read again in spite of the manifest", rep.Reread)
				}
				if rep.Files != res.Files+res.Links+res.Special || rep.Dirs != res.Dirs {
					t.Errorf("copied %+v, verified %d files, %d directories", res, rep.Files, rep.Dirs)
				}
			}
		})
	}
}

func TestMain(m *testing.M) {
	unix.Umask(0o077)
	os.Exit(m.Run())
}

func openManifest(t *testing.T, b []byte) *Manifest {
	t.Helper()
	m, err := OpenManifest(bytes.NewReader(b), int64(len(b)))
	if err != nil || m.size != int64(len(b)) {
		t.Fatalf("manifest: %v, %d of %d bytes", err, m.size, len(b))
	}
	return m
}
