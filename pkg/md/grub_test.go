package md

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// GRUB reads a RAID10 of four members while one is missing. With two missing it does not, whichever they are, although the
// kernel starts such an array as long as a copy of everything is left. What it can read decides what is planned.
func TestJudgeGRUBDegradedRAID10(t *testing.T) {
	for _, prog := range []string{"grub-fstest", "mke2fs"} {
		if _, err := exec.LookPath(prog); err != nil {
			t.Skipf("SKIPPED: %s is missing (packages grub-common, e2fsprogs): GRUB judges nothing here", prog)
		}
	}
	const members, chunk, size = 4, 64 << 10, 16 << 20
	dir, id := t.TempDir(), UUID{15: 9}
	spec := Spec{Version: V12, UUID: id, Name: "host:root", Level: 10, RaidDisks: members, Chunk: chunk, AssumeClean: true, CTime: time.Unix(1700000000, 0)}
	for i := range members {
		spec.Members = append(spec.Members, MemberSpec{Size: size, DeviceUUID: UUID{0: byte(i + 1)}})
	}
	images, err := New(spec)
	if err != nil {
		t.Fatal(err)
	}
	tree, fs := filepath.Join(dir, "tree"), filepath.Join(dir, "fs")
	text := strings.Repeat("spread over all pairs\n", 40000)
	if err := os.Mkdir(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tree, "file"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mke2fs", "-q", "-F", "-t", "ext4", "-d", tree, fs, fmt.Sprint(images[0].Super.Size*members/2>>10)).CombinedOutput(); err != nil {
		t.Fatalf("mke2fs: %v: %s", err, out)
	}
	data, err := os.ReadFile(fs)
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for i, im := range images {
		b := make([]byte, size)
		for at := 0; at < len(data); at += chunk {
			// near=2: chunk n is on the members 2n and 2n+1, counted on from row to row.
			if n := at / chunk; 2*n%members == i/2*2 {
				copy(b[im.Super.DataOffset+int64(2*n/members*chunk):], data[at:min(at+chunk, len(data))])
			}
		}
		for _, w := range im.Writes {
			copy(b[w.Offset:], w.Data)
		}
		files = append(files, filepath.Join(dir, fmt.Sprint("member", i)))
		if err := os.WriteFile(files[i], b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, gone := range [][]int{nil, {0}, {3}, {0, 2}, {1, 3}, {0, 3}} {
		var argv []string
		for i, f := range files {
			if len(gone) == 0 || gone[0] != i && gone[len(gone)-1] != i {
				argv = append(argv, f)
			}
		}
		argv = append([]string{"-c", fmt.Sprint(len(argv))}, argv...)
		out, err := exec.Command("grub-fstest", append(argv, "cat", "(mduuid/"+id.Hex()+")/file")...).Output()
		if read := err == nil && string(out) == text; read != (len(gone) < 2) {
			t.Errorf("without %v: GRUB reads it: %v, %v, %d bytes", gone, read, err, len(out))
		}
	}
}
