package elf

import (
	"bytes"
	delf "debug/elf"
	"errors"
	"fmt"
	"io"
	"strings"

	"migrate-init/pkg/rootfs"
)

// abi is what a library must have in common with the object that needs it.
type abi struct {
	class   delf.Class
	data    delf.Data
	machine delf.Machine
}

// object is the dynamic section of an ELF file.
type object struct {
	abi
	interp  string
	soname  string
	needed  []string
	rpath   []string
	runpath []string
}

const (
	maxFile    = 512 << 20 // only for a file that cannot be read at an offset
	maxStrings = 64 << 20  // of the dynamic string table
	maxDynamic = 1 << 20
)

// readObject reads only program headers, as the loader does: section headers may
// be stripped.
func (t *tree) readObject(final string) (o *object, err error) {
	f, err := t.root.Open(rootfs.Name(final))
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // read only
	at, ok := f.(io.ReaderAt)
	if !ok {
		data, err := t.read(final, maxFile)
		if err != nil {
			return nil, err
		}
		at = bytes.NewReader(data)
	}
	if o, err = parseObject(at); err != nil {
		return nil, fmt.Errorf("%s: %w", final, err)
	}
	return o, nil
}

func parseObject(r io.ReaderAt) (o *object, err error) {
	defer func() {
		if p := recover(); p != nil {
			o, err = nil, fmt.Errorf("damaged ELF file: %v", p)
		}
	}()
	var magic [4]byte
	if _, err := r.ReadAt(magic[:], 0); err != nil || string(magic[:]) != delf.ELFMAG {
		return nil, errors.New("neither an ELF file nor a script")
	}
	f, err := delf.NewFile(r)
	if err != nil {
		return nil, fmt.Errorf("damaged ELF file: %w", err)
	}
	if f.Type != delf.ET_EXEC && f.Type != delf.ET_DYN {
		return nil, fmt.Errorf("ELF file is %v: neither a program nor a library", f.Type)
	}
	o = &object{abi: abi{f.Class, f.Data, f.Machine}}
	for _, p := range f.Progs {
		switch p.Type {
		case delf.PT_INTERP:
			b, err := segment(p, pathMax)
			if err != nil {
				return nil, fmt.Errorf("name of the loader: %w", err)
			}
			o.interp, _, _ = strings.Cut(string(b), "\x00")
		case delf.PT_DYNAMIC:
			if err := o.dynamic(f, p); err != nil {
				return nil, fmt.Errorf("dynamic section: %w", err)
			}
		}
	}
	return o, nil
}

func segment(p *delf.Prog, limit uint64) ([]byte, error) {
	if p.Filesz > limit {
		return nil, fmt.Errorf("%d bytes, limit is %d", p.Filesz, limit)
	}
	b := make([]byte, p.Filesz)
	if _, err := io.ReadFull(p.Open(), b); err != nil {
		return nil, err
	}
	return b, nil
}

// dynamic reads the pairs of tag and value (gABI, chapter 5).
func (o *object) dynamic(f *delf.File, p *delf.Prog) error {
	b, err := segment(p, maxDynamic)
	if err != nil {
		return err
	}
	word := func(b []byte) uint64 { return f.ByteOrder.Uint64(b) }
	size := 8
	if f.Class == delf.ELFCLASS32 {
		word = func(b []byte) uint64 { return uint64(f.ByteOrder.Uint32(b)) }
		size = 4
	}
	var table, length uint64
	type name struct{ tag, offset uint64 }
	var named []name
	for ; len(b) >= 2*size; b = b[2*size:] {
		tag, value := word(b), word(b[size:])
		switch delf.DynTag(tag) {
		case delf.DT_STRTAB:
			table = value
		case delf.DT_STRSZ:
			length = value
		case delf.DT_NEEDED, delf.DT_SONAME, delf.DT_RPATH, delf.DT_RUNPATH:
			if named = append(named, name{tag, value}); len(named) > maxNeeded {
				return fmt.Errorf("more than %d names", maxNeeded)
			}
		}
		if delf.DynTag(tag) == delf.DT_NULL {
			break
		}
	}
	if len(named) == 0 {
		return nil
	}
	strs, err := mapped(f, table, length)
	if err != nil {
		return fmt.Errorf("string table: %w", err)
	}
	for _, n := range named {
		if n.offset >= uint64(len(strs)) {
			return fmt.Errorf("name at %d of a string table of %d bytes", n.offset, len(strs))
		}
		raw, _, ended := bytes.Cut(strs[n.offset:min(uint64(len(strs)), n.offset+pathMax*16)], []byte{0})
		if !ended {
			return errors.New("a name has no end")
		}
		o.name(delf.DynTag(n.tag), string(raw))
	}
	return nil
}

func (o *object) name(tag delf.DynTag, s string) {
	switch tag {
	case delf.DT_NEEDED:
		o.needed = append(o.needed, s)
	case delf.DT_SONAME:
		o.soname = s
	case delf.DT_RPATH:
		o.rpath = strings.Split(s, ":")
	case delf.DT_RUNPATH:
		o.runpath = strings.Split(s, ":")
	}
}

// mapped reads bytes at a virtual address.
func mapped(f *delf.File, addr, length uint64) ([]byte, error) {
	if length > maxStrings {
		return nil, fmt.Errorf("%d bytes, limit is %d", length, maxStrings)
	}
	for _, p := range f.Progs {
		if p.Type != delf.PT_LOAD || addr < p.Vaddr || addr-p.Vaddr >= p.Filesz || p.Filesz-(addr-p.Vaddr) < length {
			continue
		}
		r := io.NewSectionReader(p, int64(addr-p.Vaddr), int64(length))
		b, err := io.ReadAll(r)
		if err == nil && uint64(len(b)) != length {
			err = io.ErrUnexpectedEOF
		}
		return b, err
	}
	return nil, fmt.Errorf("address %#x is in no segment", addr)
}
