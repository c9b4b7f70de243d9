package boot

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The snippet in a real GRUB: an old disk whose MBR and core image Relocate placed, and a new disk that is one member
// of a degraded RAID1 with 1.2 metadata. Every row is a boot; rows of one case share the old disk.

const (
	vmArray   = "0123456789abcdef0123456789abcdef"
	vmPart    = 2048 // first sector of the old disk's partition
	vmData    = 2048 // data offset of the array's member, in sectors
	vmSectors = 48 << 11
	vmNewFS   = "5a3407de-014b-458b-b5c1-848e92a327a3"
)

const vmOldConfig = `serial --unit=0
terminal_output serial
if [ -s $prefix/grubenv ]; then
	load_env
fi
if [ "${next_entry}" ] ; then
	set default="${next_entry}"
	set next_entry=
	save_env next_entry
	set boot_once=true
else
	set default=0
fi
set timeout=0
menuentry old --id old {
	echo MARK-OLD
	halt
}
if [ -f  ${config_directory}/custom.cfg ]; then
	source ${config_directory}/custom.cfg
fi
`

const vmNewConfig = `serial --unit=0
terminal_output serial
set timeout=0
menuentry new {
	echo MARK-NEW $prefix
	halt
}
if [ -f  ${config_directory}/custom.cfg ]; then
	source ${config_directory}/custom.cfg
fi
`

// vmTools skips the test if virtual machines are not wanted or not available.
func vmTools(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("SKIPPED: boots virtual machines, not with -short")
	}
	for tool, pkg := range map[string]string{"qemu-system-x86_64": "qemu-system-x86", "mke2fs": "e2fsprogs"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("SKIPPED: %s is missing (package %s)", tool, pkg)
		}
	}
}

func TestSnippetBoots(t *testing.T) {
	vmTools(t)
	noMemory := spec()
	noMemory.CanSaveEnv = false
	hostile := spec()
	hostile.Cmdline += " a=$b;c&d|e{f}<g># h=\"x $y\" * ? [i] (j) !k ~ UUID=é"
	broken := spec()
	broken.Kernel = "/boot/lost"
	const config = "boot/grub/grub.cfg"
	committed, confirmed := CommittedFile(spec().PlanID)[1:], ConfirmedFile(spec().PlanID)[1:]
	for _, story := range []struct {
		name  string
		spec  SnippetSpec
		next  string   // next_entry before the first boot
		files []string // on the new disk; nil pulls it out
		boots []string // the mark of each boot
		tried string   // TriedVariable at the end
	}{
		{"not committed", spec(), "", []string{config}, []string{"MARK-OLD"}, ""},
		{"committed and once without confirmation", spec(), "", []string{config, committed}, []string{"MARK-NEW", "MARK-OLD"}, spec().PlanID},
		{"snippet copied to the new system", spec(), "", []string{config, committed, confirmed, "boot/grub/custom.cfg"}, []string{"MARK-NEW"}, ""},
		{"new disk pulled out", spec(), "", nil, []string{"MARK-OLD"}, ""},
		{"confirmed", spec(), "", []string{config, committed, confirmed}, []string{"MARK-NEW"}, ""},
		{"an environment that cannot be saved", noMemory, "", []string{config, committed}, []string{"MARK-NEW"}, ""},
		{"new grub.cfg lost", spec(), "", []string{committed, confirmed}, []string{"MARK-OLD"}, ""},
		{"one-shot wins over committed", hostile, MigrateEntryID(spec().PlanID), []string{config, committed, confirmed}, []string{vmKernelMark, "MARK-NEW"}, ""},
		{"one-shot that fails does not wait", broken, MigrateEntryID(spec().PlanID), []string{config, committed}, []string{"MARK-OLD"}, ""},
	} {
		t.Run(story.name, func(t *testing.T) {
			t.Parallel()
			oldDisk := vmOldDisk(t, story.spec, story.next)
			disks := []string{oldDisk}
			if story.files != nil {
				disks = append(disks, vmNewDisk(t, story.spec, story.files))
			}
			for i, want := range story.boots {
				out := vmBoot(t, disks...)
				if !strings.Contains(out, want) {
					t.Errorf("boot %d: %s not reached:\n%s", i+1, want, out)
				}
				if n := strings.Count(out, "Booting `migrate-init: the migrated system"); n > 1 {
					t.Errorf("boot %d: handed over %d times", i+1, n)
				}
				if want == vmKernelMark {
					// GRUB is the oracle: the kernel that it boots must get the words of the spec.
					_, line, _ := strings.Cut(out, vmKernelMark)
					got := ParseCmdline(line)
					if d := cmp.Diff(append([]string{"BOOT_IMAGE=" + story.spec.Kernel}, words(ParseCmdline(story.spec.Cmdline))...), words(got)); d != "" {
						t.Errorf("boot %d: the kernel got %q: %s", i+1, line, d)
					}
				}
			}
			env := vmGrubenv(t, oldDisk)
			if v, _ := env.Get(TriedVariable); v != story.tried {
				t.Errorf("%s is %q, want %q", TriedVariable, v, story.tried)
			}
			if v, _ := env.Get("next_entry"); v != "" {
				t.Errorf("next_entry is still %q", v)
			}
		})
	}
}

func vmSnippet(t *testing.T, s SnippetSpec) []byte {
	t.Helper()
	s.BootModules, s.Modules = nil, nil // all are in the core image
	snippet, err := GRUBSnippet(s)
	if err != nil {
		t.Fatal(err)
	}
	return snippet
}

func vmOldDisk(t *testing.T, s SnippetSpec, next string) string {
	t.Helper()
	return vmOldDiskWith(t, s, next, nil)
}

// vmOldDiskWith has some of its files changed; nil empties one.
func vmOldDiskWith(t *testing.T, s SnippetSpec, next string, change map[string][]byte) string {
	t.Helper()
	boot, core := grubImages(t, append([]string{"-p", "(,msdos1)/boot/grub"}, vmModules()...)...)
	env := NewGrubenv()
	if next != "" {
		if err := env.Set("next_entry", next); err != nil {
			t.Fatal(err)
		}
	}
	files := map[string][]byte{
		"boot/grub/grub.cfg": []byte(vmOldConfig), "boot/grub/custom.cfg": vmSnippet(t, s), "boot/grub/grubenv": env.Bytes(), "boot/vmlinuz-6.1": vmKernel(), "boot/migrate.img": []byte("image"),
	}
	maps.Copy(files, change)
	fs := vmFilesystem(t, s.BootFSUUID, files)
	lba0 := make([]byte, 512)
	lba0[510], lba0[511] = 0x55, 0xaa
	entry := lba0[446:]
	entry[4] = 0x83
	binary.LittleEndian.PutUint32(entry[8:], vmPart)
	binary.LittleEndian.PutUint32(entry[12:], vmSectors-vmPart)
	newBoot, newCore, err := Relocate(boot, core, lba0, 100)
	if err != nil {
		t.Fatal(err)
	}
	return vmDisk(t, map[int][]byte{0: newBoot, 100: newCore, vmPart: fs})
}

const vmKernelMark = "MARK-KERNEL "

// vmKernel is the smallest bzImage that GRUB accepts (Documentation/arch/x86/boot.rst): it prints its command line and
// powers off.
func vmKernel() []byte {
	k := make([]byte, 5*512+4096)
	le := binary.LittleEndian
	k[0x1f1] = 4 // setup sectors
	le.PutUint16(k[0x1fe:], 0xaa55)
	copy(k[0x200:], "\xeb\x66HdrS")
	le.PutUint16(k[0x206:], 0x020a)   // protocol
	k[0x211] = 1                      // loaded high
	le.PutUint32(k[0x214:], 0x100000) // code32_start
	le.PutUint32(k[0x22c:], 0x37ffffff)
	le.PutUint32(k[0x230:], 0x1000) // alignment
	le.PutUint32(k[0x238:], 2047)   // command line
	le.PutUint32(k[0x258:], 0x100000)
	le.PutUint32(k[0x260:], 0x10000)
	le.PutUint32(k[0x1f4:], 4096/16)
	code := k[5*512:]
	n := 0
	for _, c := range []byte(vmKernelMark) {
		n += copy(code[n:], []byte{0xba, 0xf8, 3, 0, 0, 0xb0, c, 0xee}) // mov edx,0x3f8; mov al,c; out dx,al
	}
	copy(code[n:], []byte{
		0x8b, 0xb6, 0x28, 2, 0, 0, // mov esi,[esi+cmd_line_ptr]
		0xac,       // next: lodsb
		0x84, 0xc0, // test al,al
		0x74, 22, // jz done
		0x88, 0xc3, // mov bl,al
		0xba, 0xfd, 3, 0, 0, // mov edx,0x3fd
		0xec,       // wait: in al,dx
		0xa8, 0x20, // test al,0x20
		0x74, 0xfb, // jz wait
		0x88, 0xd8, // mov al,bl
		0xba, 0xf8, 3, 0, 0, // mov edx,0x3f8
		0xee,       // out dx,al
		0xeb, 0xe5, // jmp next
		0xba, 4, 6, 0, 0, // done: mov edx,0x604 (ACPI PM1a control)
		0xb8, 0, 0x20, 0, 0, // mov eax,0x2000
		0x66, 0xef, // out dx,ax
		0xf4, 0xeb, 0xfd, // hlt
	})
	return k
}

// vmModules are in both core images, which load nothing from a disk.
func vmModules() []string {
	return []string{"biosdisk", "part_msdos", "ext2", "normal", "serial", "terminal", "test",
		"loadenv", "configfile", "echo", "halt", "linux", "search", "search_fs_uuid", "diskfilter", "mdraid1x", "part_gpt"}
}

func vmNewDisk(t *testing.T, s SnippetSpec, files []string) string {
	t.Helper()
	content := map[string][]byte{}
	for _, f := range files {
		content[f] = []byte(vmNewConfig)
		if strings.HasSuffix(f, "/custom.cfg") {
			content[f] = vmSnippet(t, s)
		}
	}
	return vmArrayDisk(t, content)
}

// vmArrayDisk is a disk that boots by the files of the array whose only member it is.
func vmArrayDisk(t *testing.T, content map[string][]byte) string {
	t.Helper()
	return vmArrayDiskOf(t, vmArray, vmNewFS, content, nil)
}

// vmBlock is the first sector of the partition of a block, behind the filesystem.
const vmBlock = 44 << 11

// vmArrayDiskOf is one of an array and a filesystem of these UUIDs, and with a block in a partition of its own, nil for none.
func vmArrayDiskOf(t *testing.T, array, fsUUID string, content map[string][]byte, block []byte) string {
	t.Helper()
	boot, core := grubImages(t, append([]string{"-p", "(mduuid/" + array + ")/boot/grub"}, vmModules()...)...)
	lba0 := make([]byte, 512)
	lba0[510], lba0[511] = 0x55, 0xaa
	if block != nil {
		entry := lba0[446:]
		entry[4] = 0x83
		binary.LittleEndian.PutUint32(entry[8:], vmBlock)
		binary.LittleEndian.PutUint32(entry[12:], BlockSize/512)
	}
	newBoot, newCore, err := Relocate(boot, core, lba0, 100)
	if err != nil {
		t.Fatal(err)
	}
	uuid, err := hex.DecodeString(array)
	if err != nil {
		t.Fatal(err)
	}
	// struct mdp_superblock_1 (linux/raid/md_p.h) for member 0 of 2, at 4 KiB.
	sb := make([]byte, 512)
	le := binary.LittleEndian
	le.PutUint32(sb[0:], 0xa92b4efc)
	le.PutUint32(sb[4:], 1)
	copy(sb[16:], uuid)
	copy(sb[32:], "test:0")
	le.PutUint32(sb[72:], 1) // level
	le.PutUint64(sb[80:], vmSectors-vmData)
	le.PutUint32(sb[92:], 2) // members
	le.PutUint64(sb[128:], vmData)
	le.PutUint64(sb[136:], vmSectors-vmData)
	le.PutUint64(sb[144:], 8)
	le.PutUint64(sb[200:], 1) // events
	le.PutUint32(sb[220:], 2) // roles
	le.PutUint16(sb[258:], 0xffff)
	return vmDisk(t, map[int][]byte{0: newBoot, 100: newCore, 8: sb, vmData: vmFilesystem(t, fsUUID, content), vmBlock: block})
}

func vmFilesystem(t *testing.T, uuid string, files map[string][]byte) []byte {
	t.Helper()
	dir, image := t.TempDir(), filepath.Join(t.TempDir(), "fs")
	for name, data := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("mke2fs", "-q", "-t", "ext4", "-U", uuid, "-d", dir, image, "40M").CombinedOutput(); err != nil {
		t.Fatalf("mke2fs: %v: %s", err, out)
	}
	data, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func vmDisk(t *testing.T, parts map[int][]byte) string {
	t.Helper()
	data := make([]byte, vmSectors*512)
	for lba, part := range parts {
		if copy(data[lba*512:], part) != len(part) {
			t.Fatalf("part at sector %d does not fit", lba)
		}
	}
	path := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// vmReadOnly ends the name of a disk that refuses writes.
const vmReadOnly = " read-only"

// vmBoot returns what came over the serial line until the machine halted, and the BIOS's own messages. The BIOS tries
// the disks in their order, and gives up if it finds nothing to boot.
func vmBoot(t *testing.T, disks ...string) string {
	t.Helper()
	args := []string{"-accel", "tcg", "-m", "64", "-nodefaults", "-display", "none", "-no-reboot", "-boot", "c,reboot-timeout=1",
		"-chardev", "stdio,id=out,mux=on", "-serial", "chardev:out", "-device", "isa-debugcon,iobase=0x402,chardev=out"}
	for _, d := range disks {
		d, ro := strings.CutSuffix(d, vmReadOnly)
		more := ""
		if ro {
			more = ",readonly=on"
		}
		args = append(args, "-drive", "if=virtio,format=raw,cache=unsafe,file="+d+more)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "qemu-system-x86_64", args...).CombinedOutput()
	if err != nil {
		t.Errorf("qemu: %v:\n%s", err, out)
	}
	return string(out)
}

// vmGrubenv finds the block on the old disk by its signature: GRUB wrote it in place.
func vmGrubenv(t *testing.T, disk string) Grubenv {
	t.Helper()
	data, err := os.ReadFile(disk)
	if err != nil {
		t.Fatal(err)
	}
	data = data[vmPart*512:]
	for at := 0; ; at += 1024 {
		i := bytes.Index(data[at:], []byte(grubenvMagic))
		if i < 0 {
			t.Fatal("no grubenv on the old disk")
		}
		if at += i; at%1024 == 0 {
			env, err := ParseGrubenv(data[at : at+grubenvSize])
			if err != nil {
				t.Fatal(err)
			}
			return env
		}
	}
}
