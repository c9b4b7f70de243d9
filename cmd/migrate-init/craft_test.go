package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"strings"

	"migrate-init/pkg/gpt"
)

const mib = int64(1) << 20

// putAt writes into a device's file.
func putAt(dir, dev string, off int64, data []byte) error {
	file, start, size, err := rangeOf(dir, dev)
	if err != nil {
		return err
	}
	if off < 0 || off+int64(len(data)) > size {
		return fmt.Errorf("%s: %d bytes at %d of %d", dev, len(data), off, size)
	}
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(data, start+off); err != nil {
		return err
	}
	return f.Close()
}

func uuidBytes(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil || len(b) != 16 {
		panic("uuid " + s)
	}
	return b
}

// extSuper is the superblock of an ext4 (fs/ext4/ext4.h) of size bytes, of which a tenth is used, mounted so many times.
func extSuper(uuid string, size int64, mounts int) []byte {
	le := binary.LittleEndian
	b := make([]byte, 1024)
	blocks := uint32(size / 4096)
	le.PutUint32(b[0:], 65536)           // inodes
	le.PutUint32(b[4:], blocks)          //
	le.PutUint32(b[12:], blocks/10*9)    // free
	le.PutUint32(b[24:], 2)              // blocks of 4096
	le.PutUint32(b[32:], 32768)          // blocks a group
	le.PutUint16(b[52:], uint16(mounts)) //
	le.PutUint16(b[56:], 0xef53)
	le.PutUint16(b[58:], 1) // clean
	le.PutUint32(b[76:], 1) // revision
	le.PutUint16(b[88:], 256)
	le.PutUint32(b[92:], 0x3c)  // has_journal ext_attr resize_inode dir_index
	le.PutUint32(b[96:], 0x242) // filetype extent flex_bg
	le.PutUint32(b[100:], 0x7b) // sparse_super large_file huge_file uninit_bg dir_nlink extra_isize
	copy(b[104:], uuidBytes(uuid))
	le.PutUint32(b[224:], 8) // the journal's inode
	return b
}

// swapHeader is the first page of a swap area (include/linux/swap.h); a hibernation image replaces the magic.
func swapHeader(uuid string, size int64, magic string) []byte {
	b := make([]byte, 4096)
	binary.LittleEndian.PutUint32(b[1024:], 1)
	binary.LittleEndian.PutUint32(b[1028:], uint32(size/4096-1))
	copy(b[1036:], uuidBytes(uuid))
	copy(b[4086:], magic)
	return b
}

func putTable(dir, disk string, size int64, t gpt.Table) error {
	writes, err := gpt.Encode(t, size, nil)
	if err != nil {
		return err
	}
	for _, w := range writes {
		if err := putAt(dir, disk, w.Offset, w.Data); err != nil {
			return err
		}
	}
	return nil
}

// kernelImage is the head of an x86 kernel image (Documentation/arch/x86/boot.rst).
func kernelImage(release string) string {
	b := make([]byte, 0x400)
	copy(b[0x1fe:], "\x55\xaa")
	copy(b[0x202:], "HdrS")
	binary.LittleEndian.PutUint16(b[0x206:], 0x20f)
	binary.LittleEndian.PutUint16(b[0x20e:], 0x100)
	copy(b[0x300:], release+" (builder@test) #1\x00")
	return string(b)
}

// program is the smallest statically linked ELF program.
func program() string {
	var b bytes.Buffer
	h := elf.Header64{Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: 1, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1}
	copy(h.Ident[:], "\x7fELF\x02\x01\x01")
	_ = binary.Write(&b, binary.LittleEndian, h)
	_ = binary.Write(&b, binary.LittleEndian, elf.Prog64{Type: uint32(elf.PT_LOAD), Filesz: 120, Memsz: 120})
	return b.String()
}

// moduleFile is the smallest ELF file with a section .modinfo.
func moduleFile(release string) string {
	const names = "\x00.modinfo\x00.shstrtab\x00"
	info := "vermagic=" + release + " SMP preempt mod_unload \x00"
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
	return b.String()
}
