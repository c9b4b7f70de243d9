package mkfs

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"migrate-init/pkg/probe"
)

const id = "11111111-1111-4111-8111-111111111111"

func TestArgv(t *testing.T) {
	for _, c := range []struct {
		spec Spec
		want string
	}{
		{Spec{Type: "swap", Device: "/dev/md1", UUID: id}, "mkswap -f -U " + id + " /dev/md1"},
		{Spec{Type: "swap", Device: "/dev/md1", UUID: id, Label: "s"}, "mkswap -f -U " + id + " -L s /dev/md1"},
		{Spec{Type: "ext3", Device: "/dev/md0", UUID: id}, "mke2fs -q -F -t ext3 -U " + id + " -E lazy_itable_init=0,lazy_journal_init=0,nodiscard /dev/md0"},
		{Spec{Type: "ext4", Device: "/dev/md0", UUID: id, Label: "root", HashSeed: id, BlockSize: 4096, InodeSize: 256, Inodes: 1000,
			Features: []string{"has_journal", "extent", "needs_recovery", "FEATURE_C7", "orphan_present", "metadata_csum"}},
			"mke2fs -q -F -t ext4 -U " + id + " -L root -b 4096 -I 256 -N 1000 -O none,has_journal,extent,metadata_csum -E lazy_itable_init=0,lazy_journal_init=0,nodiscard,hash_seed=" + id + " /dev/md0"},
	} {
		argv, err := Argv(c.spec)
		if got := strings.Join(argv, " "); err != nil || got != c.want {
			t.Errorf("got  %s\nwant %s\n%v", got, c.want, err)
		}
	}
	if _, err := Argv(Spec{Type: "reiserfs"}); err == nil || !strings.Contains(err.Error(), "reiserfs") {
		t.Errorf("%v", err)
	}
}

// TestOracle creates each type with the host's program and probes the result; a second filesystem from the features of
// the first must have the same features.
func TestOracle(t *testing.T) {
	made := 0
	for name, types := range map[string][]string{"mke2fs": {"ext2", "ext3", "ext4"}, "mkswap": {"swap"}} {
		prog, err := exec.LookPath(name)
		if err != nil {
			t.Logf("SKIPPED: %s is missing", name)
			continue
		}
		for _, typ := range types {
			made++
			first := make1(t, prog, Spec{Type: typ, UUID: id, Label: "label", BlockSize: blockSize(typ)})
			again := Spec{Type: typ, UUID: id, Label: "label", BlockSize: blockSize(typ)}
			if first.Ext != nil {
				again.Features, again.InodeSize, again.Inodes = first.Ext.Features, int64(first.Ext.InodeSize), int64(first.Ext.Inodes)
			}
			second := make1(t, prog, again)
			if first.Type != typ || second.Type != typ || first.UUID != id || second.UUID != id || second.Label != "label" {
				t.Errorf("%s: made %+v, and then %+v", typ, first, second)
			}
			if first.Ext == nil {
				continue
			}
			if !slices.Equal(first.Ext.Features, second.Ext.Features) || first.Ext.InodeSize != second.Ext.InodeSize || first.Ext.Inodes != second.Ext.Inodes {
				t.Errorf("%s: features %v, %d inodes of %d; then %v, %d of %d", typ, first.Ext.Features, first.Ext.Inodes, first.Ext.InodeSize, second.Ext.Features, second.Ext.Inodes, second.Ext.InodeSize)
			}
		}
	}
}

func blockSize(typ string) int64 {
	if typ == "swap" {
		return 0
	}
	return 4096
}

func make1(t *testing.T, prog string, s Spec) probe.Signature {
	t.Helper()
	size := int64(64 << 20)
	if s.Type != "swap" && !strings.HasPrefix(s.Type, "ext") {
		size = 320 << 20
	}
	s.Device = image(t, size)
	argv, err := Argv(s)
	if err != nil {
		t.Fatal(err)
	}
	if msg, err := exec.Command(prog, argv[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %v: %s", argv, err, msg)
	}
	return probed(t, s.Device)
}

// image is an empty file of a size.
func image(t *testing.T, size int64) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "fs")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, size); err != nil {
		t.Fatal(err)
	}
	return name
}

// probed is the one signature of an image.
func probed(t *testing.T, name string) probe.Signature {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	res, err := probe.Probe(f, st.Size())
	if err != nil || len(res.Signatures) != 1 {
		t.Fatalf("%s: %v, %v", name, res, err)
	}
	return res.Signatures[0]
}
