package image

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"migrate-init/pkg/plan"
)

const (
	release = "6.1.0-9-test"
	loader  = "/lib64/ld-linux-x86-64.so.2"
	modDir  = "usr/lib/modules/" + release + "/"
)

// program is the smallest ELF program with a dynamic section; without interp it is a static one.
func program(interp string, needed ...string) []byte {
	const base = 64 + 3*56
	strs := []byte{0}
	var dyn []uint64
	for _, n := range needed {
		dyn = append(dyn, uint64(elf.DT_NEEDED), uint64(len(strs)))
		strs = append(append(strs, n...), 0)
	}
	at := uint64(base + len(interp) + 1)
	dynAt := at + uint64(len(strs))
	dyn = append(dyn, uint64(elf.DT_STRTAB), at, uint64(elf.DT_STRSZ), uint64(len(strs)), 0, 0)
	end := dynAt + uint64(8*len(dyn))
	var b bytes.Buffer
	w := func(v any) { _ = binary.Write(&b, binary.LittleEndian, v) }
	h := elf.Header64{Type: uint16(elf.ET_DYN), Machine: uint16(elf.EM_X86_64), Version: 1, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 3}
	copy(h.Ident[:], "\x7fELF\x02\x01\x01")
	w(h)
	w(elf.Prog64{Type: uint32(elf.PT_LOAD), Filesz: end, Memsz: end})
	w(elf.Prog64{Type: uint32(elf.PT_DYNAMIC), Off: dynAt, Vaddr: dynAt, Filesz: end - dynAt})
	if interp != "" {
		w(elf.Prog64{Type: uint32(elf.PT_INTERP), Off: base, Filesz: uint64(len(interp) + 1)})
	} else {
		w(elf.Prog64{})
	}
	b.WriteString(interp + "\x00")
	b.Write(strs)
	w(dyn)
	return b.Bytes()
}

// module is the smallest ELF file with a section .modinfo.
func module(kernel string, more ...string) []byte {
	const names = "\x00.modinfo\x00.shstrtab\x00"
	info := strings.Join(append(more, "vermagic="+kernel+" SMP preempt mod_unload "), "\x00") + "\x00"
	var b bytes.Buffer
	w := func(v any) { _ = binary.Write(&b, binary.LittleEndian, v) }
	h := elf.Header64{Type: uint16(elf.ET_REL), Machine: uint16(elf.EM_X86_64), Version: 1, Ehsize: 64, Shentsize: 64, Shnum: 3, Shstrndx: 2}
	copy(h.Ident[:], "\x7fELF\x02\x01\x01")
	h.Shoff = uint64(64 + len(info) + len(names))
	w(h)
	b.WriteString(info + names)
	w(elf.Section64{})
	w(elf.Section64{Name: 1, Type: uint32(elf.SHT_PROGBITS), Off: 64, Size: uint64(len(info))})
	w(elf.Section64{Name: 10, Type: uint32(elf.SHT_STRTAB), Off: uint64(64 + len(info)), Size: uint64(len(names))})
	return b.Bytes()
}

// kernelFile is the head of an x86 kernel image (Documentation/arch/x86/boot.rst).
func kernelFile(version string) []byte {
	b := make([]byte, 0x400)
	copy(b[0x1fe:], "\x55\xaa")
	copy(b[0x202:], "HdrS")
	binary.LittleEndian.PutUint16(b[0x206:], 0x20f)
	binary.LittleEndian.PutUint16(b[0x20e:], 0x100)
	copy(b[0x300:], version+" (builder@test) #1\x00")
	return b
}

// aPlan is the main scenario: one ext4 and swap onto a RAID1.
func aPlan() *plan.Plan {
	phases, err := plan.PhasesOf("offline")
	if err != nil {
		panic(err)
	}
	target := plan.Graph{
		{Ref: "disk:new1", Size: 1 << 30, Layer: plan.Layer{Disk: &plan.Disk{Sector: 512, Scheme: "gpt", Table: "table"}}},
		{Ref: "part:p", On: []plan.Ref{"disk:new1"}, Size: 1 << 29, Layer: plan.Layer{Part: &plan.Part{Number: 1, Role: plan.RoleRaid, Start: 1 << 20}}},
		{Ref: "md:a", On: []plan.Ref{"part:p", ""}, Layer: plan.Layer{MD: &plan.MD{Name: "h:root", Level: 1, Devices: []string{"m", "n"}}}},
		{Ref: "fs:new", On: []plan.Ref{"md:a"}, Layer: plan.Layer{FS: &plan.FS{Type: "ext4", Mount: "/"}}},
		{Ref: "swap:t", On: []plan.Ref{"md:a"}, Layer: plan.Layer{Swap: &plan.Swap{}}},
	}
	return &plan.Plan{
		Version: plan.Version, ID: "6f1c", Created: time.Unix(1700000000, 0).UTC(), Strategy: "offline", To: "raid1", Phases: phases,
		Policy:  plan.Policy{OnFailure: "reboot", Panic: 30, ReadError: "stop", DeadlineSecs: 60},
		Machine: plan.Host{Hostname: "h", Firmware: "bios", Family: "debian"},
		Source: plan.Graph{
			{Ref: "disk:old1", Size: 1 << 30, Layer: plan.Layer{Disk: &plan.Disk{Sector: 512}}},
			{Ref: "fs:old", On: []plan.Ref{"disk:old1"}, Layer: plan.Layer{FS: &plan.FS{Type: "ext4", Mount: "/"}}},
			{Ref: "swap:s", On: []plan.Ref{"disk:old1"}, Layer: plan.Layer{Swap: &plan.Swap{}}},
		},
		Target:  target,
		Final:   target,
		Moves:   []plan.Move{{From: "fs:old", To: "fs:new", Engine: plan.EngineTree}, {From: "swap:s", To: "swap:t", Engine: plan.EngineMake}},
		Journal: "part:p",
		Boot:    plan.Booting{Root: "new", Kernel: "/boot/vmlinuz-" + release, Release: release},
		Drivers: []string{"virtio_blk", "libata", "pcieportdrv"},
	}
}

func text(t testing.TB, p *plan.Plan) []byte {
	t.Helper()
	b, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// aHost is a merged-/usr system in the manner of Debian, with kernel modules of which only some are wanted.
func aHost() fstest.MapFS {
	root := fstest.MapFS{}
	put := func(name string, mode fs.FileMode, data []byte) { root[name] = &fstest.MapFile{Mode: mode, Data: data} }
	link := func(name, to string) { put(name, fs.ModeSymlink|0o777, []byte(to)) }
	link("bin", "usr/bin")
	link("sbin", "usr/sbin")
	link("lib", "usr/lib")
	link("lib64", "usr/lib64")
	link("usr/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/ld-2.36.so")
	put("usr/lib/x86_64-linux-gnu/ld-2.36.so", 0o755, program(""))
	put("usr/lib/x86_64-linux-gnu/libc.so.6", 0o755, program("", "ld-linux-x86-64.so.2"))
	link("usr/lib/x86_64-linux-gnu/libext2fs.so.2", "libext2fs.so.2.4")
	put("usr/lib/x86_64-linux-gnu/libext2fs.so.2.4", 0o644, program("", "libc.so.6"))
	for _, n := range []string{"sbin/mke2fs", "sbin/e2fsck", "sbin/tune2fs", "sbin/resize2fs", "sbin/mkswap", "bin/dash", "bin/cat", "bin/mount"} {
		put("usr/"+n, 0o755, program(loader, "libext2fs.so.2", "libc.so.6"))
	}
	link("usr/bin/sh", "dash")
	put("etc/mke2fs.conf", 0o600, []byte("[defaults]\n"))
	put("opt/migrate-init", 0o700, program(""))
	put("boot/vmlinuz-"+release, 0o600, kernelFile(release))

	var dep strings.Builder
	mod := func(file, deps string, info ...string) {
		put(modDir+file, 0o600, module(release, info...))
		dep.WriteString(file + ": " + deps + "\n")
	}
	mod("kernel/drivers/block/virtio_blk.ko", "kernel/drivers/virtio/virtio.ko")
	mod("kernel/drivers/virtio/virtio_pci.ko", "kernel/drivers/virtio/virtio.ko")
	mod("kernel/drivers/virtio/virtio.ko", "")
	mod("kernel/drivers/ata/libata.ko", "", "firmware=ata/present.bin", "firmware=ata/packed.bin", "firmware=ata/absent.bin")
	mod("kernel/drivers/scsi/sd_mod.ko", "")
	mod("kernel/drivers/md/md-mod.ko", "")
	mod("kernel/drivers/md/raid1.ko", "kernel/drivers/md/md-mod.ko")
	mod("kernel/drivers/md/raid10.ko", "kernel/drivers/md/md-mod.ko")
	mod("kernel/fs/ext4/ext4.ko", "kernel/fs/jbd2/jbd2.ko")
	mod("kernel/fs/jbd2/jbd2.ko", "")
	mod("kernel/crypto/crc32c_generic.ko", "")
	mod("kernel/net/unrelated.ko", "")
	put(modDir+"modules.dep", 0o644, []byte(dep.String()))
	put(modDir+"modules.alias", 0o644, []byte("alias fs-ext4 ext4\nalias crypto-crc32c crc32c_generic\nalias net-x unrelated\nalias md-personality-3 raid1\n"))
	put(modDir+"modules.softdep", 0o644, []byte("# comment\nsoftdep ext4 pre: crc32c_generic\nsoftdep unrelated pre: x\n"))
	put(modDir+"modules.builtin", 0o644, []byte("kernel/fs/xfs/xfs.ko\n"))
	put(modDir+"modules.order", 0o644, []byte("not taken\n"))
	put("usr/lib/modprobe.d/h.conf", 0o600, []byte("options libata noacpi=1\n"))
	put("etc/modprobe.d/b.conf", 0o600, []byte("blacklist unrelated\n"))
	link("etc/modprobe.d/masked.conf", "/dev/null")
	put("dev/null", fs.ModeDevice|fs.ModeCharDevice|0o666, nil)
	put("run/modprobe.d/r.conf", 0o644, []byte("install ext4 /bin/false\n"))
	put("usr/lib/firmware/ata/present.bin", 0o600, []byte("firmware"))
	put("usr/lib/firmware/ata/packed.bin.zst", 0o600, zstdOf("unpacked"))
	put("proc/sys/kernel/osrelease", 0o444, []byte(release+"\n"))
	put("sys/module/pcieportdrv/uevent", 0o200, nil)
	return root
}

func input(t testing.TB, root fs.FS, p *plan.Plan) Input {
	t.Helper()
	return Input{Plan: p, PlanText: text(t, p), Root: root, Self: "/opt/migrate-init", Family: families().Family(p.Machine.Family)}
}

func collect(t testing.TB, in Input) *Image {
	t.Helper()
	img, err := Collect(in)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func packed(t testing.TB, img *Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := img.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func families() plan.Rules {
	return plan.Rules{Families: []plan.Family{{Name: "debian", Install: "apt-get install PACKAGES", Reinstall: "apt-get install --reinstall PACKAGES", Kernel: "linux-image-RELEASE"}}}
}
