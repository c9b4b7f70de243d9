package sim

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"strings"
)

// KernelImage is the head of an x86 kernel image (Documentation/arch/x86/boot.rst).
func KernelImage(release string) []byte {
	b := make([]byte, 0x400)
	copy(b[0x1fe:], "\x55\xaa")
	copy(b[0x202:], "HdrS")
	binary.LittleEndian.PutUint16(b[0x206:], 0x20f)
	binary.LittleEndian.PutUint16(b[0x20e:], 0x100)
	copy(b[0x300:], release+" (debian) #1 SMP\x00")
	return b
}

// Program is the smallest ELF program with a dynamic section; without interp it is a static one.
func Program(interp string, needed ...string) []byte {
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

// Module is the smallest ELF file with a section .modinfo; more are lines of it beside the kernel's release.
func Module(release string, more ...string) []byte {
	const names = "\x00.modinfo\x00.shstrtab\x00"
	info := strings.Join(append(more, "vermagic="+release+" SMP preempt mod_unload "), "\x00") + "\x00"
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
