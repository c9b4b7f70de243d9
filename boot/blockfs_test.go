package boot

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const blockUUID = "4a3407de-014b-458b-b5c1-848e92a327a3"

func armedBlock(t testing.TB, kv ...string) Grubenv {
	t.Helper()
	env := NewGrubenv()
	for i := 0; i < len(kv); i += 2 {
		if err := env.Set(kv[i], kv[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	return env
}

func blockImage(t testing.TB, env Grubenv) []byte {
	t.Helper()
	b, err := BlockFS(blockUUID, env)
	if err != nil {
		t.Fatal(err)
	}
	return append(b, make([]byte, BlockSize-len(b))...)
}

// The judges are e2fsprogs and GRUB's own driver.
func TestBlockFSJudged(t *testing.T) {
	env := armedBlock(t, NextVariable, "a-plan", AttemptVariable, "1")
	img := filepath.Join(t.TempDir(), "block")
	if err := os.WriteFile(img, blockImage(t, env), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(pkg string, argv ...string) (string, bool) {
		if _, err := exec.LookPath(argv[0]); err != nil {
			t.Logf("SKIPPED the judge: %s is missing (package %s)", argv[0], pkg)
			return "", false
		}
		out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v: %s", argv, err, out)
		}
		return string(out), true
	}
	run("e2fsprogs", "e2fsck", "-f", "-n", img)
	if out, ok := run("e2fsprogs", "dumpe2fs", "-h", img); ok {
		for _, want := range []string{blockUUID, BlockLabel, "Filesystem state:         clean", "Block size:               1024", "Filesystem features:      filetype\n"} {
			if !strings.Contains(out, want) {
				t.Errorf("dumpe2fs does not say %q:\n%s", want, out)
			}
		}
	}
	if out, ok := run("e2fsprogs", "debugfs", "-R", "stat "+BlockFile, img); ok && !strings.Contains(out, "(0):11") {
		t.Errorf("debugfs: %s", out)
	}
	if out, ok := run("grub-common", "grub-fstest", img, "cat", "(loop0)"+BlockFile); ok && out != string(env.Bytes()) {
		t.Errorf("grub-fstest reads %q", out)
	}
}

func TestReadBlock(t *testing.T) {
	env := armedBlock(t, NextVariable, "a-plan")
	img := blockImage(t, env)
	got, whole, err := ReadBlock(bytes.NewReader(img), blockUUID)
	if err != nil || !whole || !bytes.Equal(got.Bytes(), env.Bytes()) {
		t.Errorf("%q, %v, %v", got.Bytes(), whole, err)
	}
	if _, whole, err := ReadBlock(bytes.NewReader(img), "5"+blockUUID[1:]); err != nil || whole {
		t.Errorf("another UUID: whole %v, %v", whole, err)
	}
	for at := range img[:blockUsed*blockUnit] {
		if at >= BlockAt && at < BlockAt+grubenvSize {
			continue
		}
		img[at] ^= 1
		if _, whole, _ := ReadBlock(bytes.NewReader(img), blockUUID); whole {
			t.Fatalf("byte %d was changed, and it counts as whole", at)
		}
		img[at] ^= 1
	}
	if _, _, err := ReadBlock(bytes.NewReader(make([]byte, BlockSize)), blockUUID); err == nil {
		t.Error("a block was read from zeros")
	}
	if _, _, err := ReadBlock(bytes.NewReader(nil), blockUUID); err == nil {
		t.Error("a block was read from nothing")
	}
	if _, err := BlockFS("x", env); err == nil {
		t.Error("a filesystem of UUID x was made")
	}
}

// A torn write of the block, sector by sector, never shows a state that was not meant: everything that changes is in
// the first sector.
func TestBlockFitsOneSector(t *testing.T) {
	long := strings.Repeat("p", 64)
	env := armedBlock(t, NextVariable, long, AttemptVariable, "99", TriedVariable, long)
	if rest := env.Bytes()[512:]; strings.Trim(string(rest), "#") != "" {
		t.Errorf("the second sector holds %q", rest)
	}
}
