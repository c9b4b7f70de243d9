package probe

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mounted runs f while path is mounted, and returns a copy of the device from before the unmount.
func mounted(t *testing.T, path string, f func(dir string)) (crashed string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("ROOT MISSING: cannot mount")
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-o", "loop", path, dir).CombinedOutput(); err != nil {
		t.Skipf("MOUNT MISSING: %v: %s", err, out)
	}
	done := false
	unmount := func() {
		if !done {
			done = true
			if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
				t.Errorf("umount: %v: %s", err, out)
			}
		}
	}
	t.Cleanup(unmount)
	f(dir)
	crashed = filepath.Join(t.TempDir(), "crashed")
	tool(t, path, "cp", "--sparse=always", "@", crashed)
	unmount()
	return crashed
}

// churn creates files and syncs the last of them.
func churn(t *testing.T, dir string, n int) {
	t.Helper()
	for i := range n {
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("f%d", i)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString("x"); err != nil {
			t.Fatal(err)
		}
		if i == n-1 {
			if err := f.Sync(); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A filesystem copied while mounted is dirty; after its unmount it is clean and its stamp has changed.
func TestDirtyAndClean(t *testing.T) {
	for _, c := range []struct {
		name  string
		size  int64
		argv  []string
		state func(Signature) string
	}{
		{"ext4", 64 * mib, []string{"mke2fs", "-q", "-t", "ext4", "@"}, func(s Signature) string { return fmt.Sprint(s.Ext.NeedsRecovery) }},
		{"xfs", 320 * mib, []string{"mkfs.xfs", "-q", "@"}, func(s Signature) string { return fmt.Sprint(s.XFS.Log != LogClean) }},
		{"xfs striped log", 320 * mib, []string{"mkfs.xfs", "-q", "-l", "su=256k", "@"}, func(s Signature) string { return fmt.Sprint(s.XFS.Log != LogClean) }},
		{"btrfs", 128 * mib, []string{"mkfs.btrfs", "-q", "@"}, func(s Signature) string { return fmt.Sprint(s.Btrfs.LogTree) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := made(t, c.size, c.argv...)
			fresh := probeFile(t, path).Signatures[0]
			crashed := mounted(t, path, func(dir string) {
				churn(t, dir, 50)
				if out, err := exec.Command("sync", "-f", dir).CombinedOutput(); err != nil {
					t.Fatalf("sync: %v: %s", err, out)
				}
				churn(t, dir, 3)
			})
			d, after := probeFile(t, crashed).Signatures[0], probeFile(t, path).Signatures[0]
			if fresh.Dirty != "" || c.state(fresh) != "false" {
				t.Errorf("fresh: %q, %+v", fresh.Dirty, fresh)
			}
			if d.Dirty == "" || c.state(d) != "true" {
				t.Errorf("while mounted: %q, %+v", d.Dirty, d)
			}
			if after.Dirty != "" || c.state(after) != "false" {
				t.Errorf("after unmount: %q, %+v", after.Dirty, after)
			}
			if fresh.Stamp == "" || fresh.Stamp == after.Stamp {
				t.Errorf("stamp %q before, %q after a mount", fresh.Stamp, after.Stamp)
			}
			if strings.HasPrefix(c.name, "xfs") {
				for p, want := range map[string]string{crashed: "<DIRTY>", path: "<CLEAN>"} {
					if out := tool(t, p, "xfs_logprint", "-t", "@"); !strings.Contains(out, want) {
						t.Errorf("xfs_logprint: wants %s:\n%s", want, out)
					}
				}
			}
		})
	}
}

// Every feature bit has the name that e2fsprogs gives it.
func TestOracleFeatureNames(t *testing.T) {
	path := made(t, 16*mib, "mke2fs", "-q", "-t", "ext4", "-O", "64bit", "@")
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// One word at a time; a journal device (incompat bit 3) has no features to show.
	for word, bits := range []uint32{^uint32(0), ^uint32(extJournalDev), ^uint32(0)} {
		var words [3]uint32
		words[word] = bits
		raw := binary.LittleEndian.AppendUint32(nil, words[0])
		raw = binary.LittleEndian.AppendUint32(raw, words[1])
		if _, err := f.WriteAt(binary.LittleEndian.AppendUint32(raw, words[2]), 1024+92); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("dumpe2fs", "-f", "-h", path).CombinedOutput()
		if err != nil && len(out) == 0 {
			t.Skipf("ORACLE MISSING: dumpe2fs: %v", err)
		}
		_, line, ok := strings.Cut(string(out), "Filesystem features:")
		if !ok {
			t.Errorf("dumpe2fs shows no features for word %d: %s", word, out)
			continue
		}
		line, _, _ = strings.Cut(line, "\n")
		if have, want := strings.Join(extFeatures(words[0], words[1], words[2]), " "), strings.TrimSpace(line); have != want {
			t.Errorf("word %d\nours     %s\ndumpe2fs %s", word, have, want)
		}
	}
}
