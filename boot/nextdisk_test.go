package boot

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestNextDisk: the code fits, is recognized, and does not include the partition table and the signature.
func TestNextDisk(t *testing.T) {
	code := NextDisk()
	if len(code) != 440 {
		t.Errorf("%d bytes, want those before the disk's id", len(code))
	}
	lba0 := append(code, make([]byte, 72)...)
	if got := SectorOwner(lba0); got != "migrate-init" {
		t.Errorf("its owner is %q", got)
	}
	lba0[0] ^= 1
	if got := SectorOwner(lba0); got != "unknown" {
		t.Errorf("something else is of %q", got)
	}
}

// TestNextDiskListing assembles the listing in the comment: the result must be exactly the bytes of the code.
func TestNextDiskListing(t *testing.T) {
	as, err := exec.LookPath("as")
	if err != nil {
		t.Skip("SKIPPED: as is missing (package binutils)")
	}
	src, err := os.ReadFile("nextdisk.go")
	if err != nil {
		t.Fatal(err)
	}
	var asm strings.Builder
	asm.WriteString(".intel_syntax noprefix\n.code16\n.org 0\n")
	lines := regexp.MustCompile(`(?m)^//\t([0-9a-f]{4})  ([^\t\n]*)`).FindAllStringSubmatch(string(src), -1)
	if len(lines) < 10 {
		t.Fatalf("a listing of %d lines", len(lines))
	}
	jump := regexp.MustCompile(`^(j\w+) ([0-9a-f]{4})$`)
	far := regexp.MustCompile(`^jmp 0:(\w+)$`)
	for _, l := range lines {
		asm.WriteString(".org 0x" + l[1] + ", 0xcc\nat" + l[1] + ":\n") // moves forward only, and leaves a mark
		for _, op := range strings.Split(l[2], "; ") {
			op = jump.ReplaceAllString(op, "$1 at$2")
			op = far.ReplaceAllString(op, "ljmp 0,$1")
			op = strings.NewReplacer("word [", "word ptr ds:[", "byte [", "byte ptr ds:[").Replace(op)
			asm.WriteString(op + "\n")
		}
	}
	dir := t.TempDir()
	source, object, raw := filepath.Join(dir, "a.s"), filepath.Join(dir, "a.o"), filepath.Join(dir, "a.bin")
	text := strings.Replace(asm.String(), ".org 0\n", "start:\n", 1)
	if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(as, "--32", "-o", object, source).CombinedOutput(); err != nil {
		t.Fatalf("as: %v: %s\n%s", err, out, text)
	}
	if out, err := exec.Command("objcopy", "-O", "binary", "-j", ".text", object, raw).CombinedOutput(); err != nil {
		t.Fatalf("objcopy: %v: %s", err, out)
	}
	made, err := os.ReadFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	if want := 0x6b; len(made) != want || !bytes.HasPrefix(NextDisk(), made) {
		t.Errorf("the listing makes %d bytes\n%x\nthe code begins\n%x", len(made), made, NextDisk()[:0x6b])
	}
}

// TestNextDiskBoots checks what a BIOS does with the code. The machine must boot from the old disk.
func TestNextDiskBoots(t *testing.T) {
	vmTools(t)
	disk := func(code []byte) string {
		lba0 := make([]byte, 512)
		copy(lba0, code)
		lba0[450], lba0[510], lba0[511] = 0xee, 0x55, 0xaa
		return vmDisk(t, map[int][]byte{0: lba0})
	}
	next := func() string { return disk(NextDisk()) }
	hangs := func() string { return disk(nil) }
	empty := func() string { return vmDisk(t, nil) }
	old := func() string { return vmOldDisk(t, spec(), "") }
	for _, c := range []struct {
		name  string
		disks []string
		want  string
	}{
		{"the old disk is the next", []string{next(), old()}, "MARK-OLD"},
		{"disks that cannot be booted between them", []string{next(), hangs(), empty(), next(), old()}, "MARK-OLD"},
		{"no other disk", []string{next(), hangs()}, "No bootable device"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if out := vmBoot(t, c.disks...); !strings.Contains(out, c.want) {
				t.Errorf("%s not reached:\n%s", c.want, out)
			}
		})
	}
}
