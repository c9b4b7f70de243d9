package qemutests

import (
	"encoding/binary"
	"io"
	"os"
	"strings"
	"testing"

	"migrate-init/qemu-tests/lab"
)

// TestLayoutDirty moves a system whose power failed while it wrote: the journal of its root has yet to be replayed, and what was
// synced last is nowhere else. The replay happens in memory: no byte of the disk changes.
func TestLayoutDirty(t *testing.T) {
	if !full() {
		t.Skip("SKIPPED: in make qemu-tests only (MIGRATE_INIT_QEMU=full)")
	}
	for name, c := range map[string]struct{ words, how string }{
		"Files":  {"--engine tree", "file by file"},
		"Blocks": {"--engine extent", "by used blocks"},
	} {
		t.Run(name, func(t *testing.T) { layoutDirty(t, c.words, c.how) })
	}
}

func layoutDirty(t *testing.T, words, how string) {
	from := lab.FastDebian()
	r := layoutRig(t, from, lab.VirtioBlk, blank{from.Size + 64<<20, lab.VirtioBlk})
	vm := r.oldSystem()
	r.schedule(vm, "--to raid1 "+r.toDisks()+" "+words)
	c := r.outside(vm)
	// A writer that never ends, and a file that was synced: the directory entry of the file is in the journal alone, as
	// nothing but a full journal or half a minute moves it on.
	r.quiet(vm, `mkdir -p /home/dirty && sync /home/dirty
(i=0; while :; do i=$((i+1)); echo $i >/home/dirty/$i; sync /home/dirty/$i; done) >/dev/null 2>&1 &`)
	r.quiet(vm, `seq 100000 >/home/synced && sync /home/synced`)
	sum := strings.Fields(r.must(vm, "sha256sum /home/synced"))[0]
	if err := vm.Cut(); err != nil {
		t.Fatal(err)
	}
	if !needsRecovery(t, r.old, 2) {
		t.Fatal("the power cut left no journal to replay")
	}
	hashes := r.hashes(r.from)

	vm = r.boot(c)
	r.atConsole(vm)
	r.follow(vm)
	r.say("measured: the new system was entered %.0f s after the start of the machine", vm.Uptime().Seconds())
	if err := vm.Cut(); err != nil {
		t.Fatal(err)
	}
	r.unchanged(hashes)
	vm = r.comesUp("new system, by the boot loader", "new")
	if st := r.status(vm); st.State != "migrated" {
		t.Errorf("status says %q", st.State)
	}
	if got := r.must(vm, "sha256sum /home/synced"); !strings.HasPrefix(got, sum) {
		t.Errorf("the file that was synced before the cut is %q, want %s", got, sum)
	}
	if got := r.must(vm, "ls /home/dirty | wc -l; journalctl -k -b --no-pager | grep -i 'ext4-fs error' || true"); strings.HasPrefix(got, "0\n") || strings.Contains(got, "error") {
		t.Errorf("what was written while the power failed: %s", got)
	}
	// Nothing of the overlay came along.
	if got := r.must(vm, "ls /sys/class/block; cat /proc/mounts"); strings.Contains(got, "dm-") || strings.Contains(got, "/mnt/overlay") {
		t.Errorf("an overlay is left in the new system:\n%s", got)
	}
	r.off(vm)
}

// needsRecovery reports whether the ext4 on a partition of a GPT disk has a journal to replay.
func needsRecovery(t *testing.T, disk string, number int64) bool {
	t.Helper()
	f, err := os.Open(disk)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	entry, super := make([]byte, 128), make([]byte, 1024)
	if _, err := f.ReadAt(entry, 1024+128*(number-1)); err != nil {
		t.Fatal(err)
	}
	at := int64(binary.LittleEndian.Uint64(entry[32:])) * 512
	if _, err := f.ReadAt(super, at+1024); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	if binary.LittleEndian.Uint16(super[56:]) != 0xef53 {
		t.Fatalf("partition %d of %s has no ext4", number, disk)
	}
	return binary.LittleEndian.Uint32(super[96:])&4 != 0
}
