package qemutests

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"migrate-init/qemu-tests/lab"
	"migrate-init/qemu-tests/lab/manifest"
)

// layer is what a source lies on: how it is made over /dev/vdb and /dev/vdc, where it is then, and how it goes away again.
type layer struct{ name, make, dev, drop string }

func layersToCopy() []layer {
	const volumes = "pvcreate -q /dev/vdb /dev/vdc; vgcreate -q vg /dev/vdb /dev/vdc; lvcreate -q -y -n l "
	const drop = "vgremove -q -y vg; pvremove -q -y /dev/vdb /dev/vdc"
	return []layer{
		{"disk", "", "/dev/vdb", ""},
		{"RAID1", "mdadm --create /dev/md9 --run --level 1 --raid-devices 2 --assume-clean /dev/vdb /dev/vdc 2>&1", "/dev/md9", "mdadm --stop /dev/md9; mdadm --zero-superblock /dev/vdb /dev/vdc"},
		{"LVM, linear", volumes + "-l 100%PVS vg /dev/vdb", "/dev/vg/l", drop},
		{"LVM, striped", volumes + "-l 100%VG --type striped --stripes 2 vg", "/dev/vg/l", drop},
		{"LUKS2", "printf x | cryptsetup luksFormat -q --pbkdf pbkdf2 --iter-time 10 --key-file - /dev/vdb; printf x | cryptsetup open --key-file - /dev/vdb l", "/dev/mapper/l", "cryptsetup close l"},
		// As a migration reads a source whose journal is to be replayed: through a snapshot, whose store is in memory.
		{"snapshot in memory", "truncate --size 32M /run/store; losetup /dev/loop7 /run/store; echo 0 $(blockdev --getsz /dev/vdb) snapshot /dev/vdb /dev/loop7 N 8 | dmsetup create l", "/dev/mapper/l", "dmsetup remove l; losetup -d /dev/loop7; rm /run/store"},
	}
}

// copyLayers copies one filesystem from what a source may lie on, and compares the copy. The times depend on the machine; what
// counts is how they compare with those from the disk itself.
func copyLayers(t *testing.T) {
	if !full() {
		t.Skip("SKIPPED: measures; in make qemu-tests only (MIGRATE_INIT_QEMU=full)")
	}
	r := layoutRig(t, lab.LayeredDebian(), lab.VirtioBlk, blank{768 << 20, lab.VirtioBlk}, blank{768 << 20, lab.VirtioBlk}, blank{768 << 20, lab.VirtioBlk}, blank{512 << 20, lab.VirtioBlk})
	host := &copyCut{t: t, ctx: r.ctx}
	host.command("mke2fs", "-q", "-t", "ext4", "-F", r.to[3].File)
	host.mounted(r.to[3].File, "rw", func(dir string) {
		if err := manifest.Fixture(filepath.Join(dir, "srv"), manifest.Size{Files: 3000, Big: 280 << 20}); err != nil {
			t.Fatal(err)
		}
	})
	vm := r.start("copies")
	r.ready(vm)
	r.install(vm)
	r.quiet(vm, "systemctl stop lvm2-monitor.service lvm2-monitor.socket mdmonitor.service 2>/dev/null; mkdir -p /src /dst")
	seconds := map[string][]float64{}
	for range 3 {
		for _, l := range layersToCopy() {
			r.quiet(vm, "set -e; wipefs -q -a /dev/vdb /dev/vdc; "+l.make+"\nudevadm settle; dd if=/dev/vde of="+l.dev+" bs=4M conv=fsync status=none")
			for engine, script := range map[string]string{
				"extent": "dd if=/dev/zero of=/dev/vdd bs=1M count=4 conv=fsync status=none; migrate-init copy --engine extent --no-grow --wipe /dev/vdd --json " + l.dev + " /dev/vdd",
				"tree":   "mke2fs -q -F /dev/vdd; mount -o ro,noload " + l.dev + " /src; mount /dev/vdd /dst; code=0; migrate-init copy --disk-kind flash --json /src /dst || code=$?; umount /src /dst; exit $code",
			} {
				out := r.quiet(vm, "echo 3 >/proc/sys/vm/drop_caches; "+script+" 2>/dev/null")
				var got struct {
					Copied, Verified struct {
						Bytes   int64
						Seconds float64
					}
				}
				if err := json.Unmarshal([]byte(out), &got); err != nil || got.Copied.Bytes < 250<<20 || got.Copied.Seconds <= 0 {
					t.Fatalf("%s from %s: %v\n%s", engine, l.name, err, out)
				}
				for part, s := range map[string]float64{"copy": got.Copied.Seconds, "verify": got.Verified.Seconds} {
					key := fmt.Sprintf("%s %s from %s", engine, part, l.name)
					seconds[key] = append(seconds[key], s)
				}
			}
			r.quiet(vm, "set -e; "+l.drop+"\nudevadm settle")
		}
	}
	for _, engine := range []string{"extent", "tree"} {
		for _, l := range layersToCopy() {
			copied, base := seconds[engine+" copy from "+l.name], seconds[engine+" copy from disk"]
			slices.Sort(copied)
			slices.Sort(base)
			verified := seconds[engine+" verify from "+l.name]
			slices.Sort(verified)
			r.say("measured: | %s | %s | %.2f (%.2f-%.2f) | %.2f | %.2f |", engine, l.name, copied[1], copied[0], copied[2], verified[1], copied[1]/base[1])
		}
	}
	r.off(vm)
}
