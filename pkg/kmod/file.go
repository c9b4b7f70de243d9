package kmod

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"
)

const (
	maxModule = 256 << 20 // bytes, unpacked; the largest without debug information have about 30 MiB
	maxWindow = 128 << 20
)

// Decompress returns the ELF bytes of a module file, plain or compressed with gzip, xz or zstd. The first bytes say
// which, and must agree with the suffix of name. It returns an error for more than 256 MiB, for trailing garbage, and
// if the contents are not ELF.
func Decompress(name string, data []byte) ([]byte, error) {
	kind := compression(data)
	want := "ELF"
	for suffix, k := range map[string]string{".gz": "gzip", ".xz": "xz", ".zst": "zstd"} {
		if strings.HasSuffix(name, suffix) {
			want = k
		}
	}
	if kind != want {
		return nil, fmt.Errorf("module file %s: it is %s, not %s as its name says", name, orUnknown(kind), want)
	}
	if kind == "ELF" {
		return data, nil
	}
	plain, err := decompress(kind, data)
	if err != nil {
		return nil, fmt.Errorf("module file %s: %s: %w", name, kind, err)
	}
	if compression(plain) != "ELF" {
		return nil, fmt.Errorf("module file %s: its contents are not ELF", name)
	}
	return plain, nil
}

func orUnknown(kind string) string {
	if kind == "" {
		return "in an unknown format"
	}
	return kind
}

func compression(b []byte) string {
	for _, m := range []struct{ magic, kind string }{
		{"\x7fELF", "ELF"}, {"\x1f\x8b", "gzip"}, {"\xfd7zXZ\x00", "xz"}, {"\x28\xb5\x2f\xfd", "zstd"},
	} {
		if bytes.HasPrefix(b, []byte(m.magic)) {
			return m.kind
		}
	}
	return ""
}

func decompress(kind string, data []byte) ([]byte, error) {
	var r io.Reader
	switch in := bytes.NewReader(data); kind {
	case "gzip":
		g, err := gzip.NewReader(in)
		if err != nil {
			return nil, err
		}
		r = g
	case "xz":
		x, err := xz.NewReader(in, maxWindow)
		if err != nil {
			return nil, err
		}
		r = x
	case "zstd":
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		defer z.Close()
		r = z
	}
	return readBounded("content", r, maxModule)
}

// Info is the .modinfo section of a module.
type Info struct {
	Name       string
	VerMagic   string   // "6.1.0-56-cloud-amd64 SMP preempt mod_unload modversions "
	Depends    []string // canonical names
	Firmware   []string // below /lib/firmware
	Aliases    []string
	SoftDeps   []string // as stored: "pre: a b post: c"
	Parameters []string // names
}

// Release returns the release of the kernel for which the module was built: the first word of VerMagic.
func (i Info) Release() string {
	release, _, _ := strings.Cut(i.VerMagic, " ")
	return release
}

// ReadInfo reads the .modinfo section of an uncompressed module: NUL-terminated strings KEY=VALUE.
func ReadInfo(module []byte) (info Info, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("module: damaged ELF file: %v", p)
		}
	}()
	f, err := elf.NewFile(bytes.NewReader(module))
	if err != nil {
		return Info{}, fmt.Errorf("module: %w", err)
	}
	section := f.Section(".modinfo")
	if section == nil {
		return Info{}, errors.New("module: no .modinfo section")
	}
	if section.Flags&elf.SHF_COMPRESSED != 0 || section.Size > uint64(len(module)) {
		return Info{}, fmt.Errorf("module: section .modinfo claims %d bytes, flags %v", section.Size, section.Flags)
	}
	data, err := section.Data()
	if err != nil {
		return Info{}, fmt.Errorf("module: section .modinfo: %w", err)
	}
	for s := range strings.SplitSeq(string(data), "\x00") {
		key, value, _ := strings.Cut(s, "=")
		switch key {
		case "name":
			info.Name = Name(value)
		case "vermagic":
			info.VerMagic = value
		case "depends":
			for d := range strings.SplitSeq(value, ",") {
				if d != "" {
					info.Depends = append(info.Depends, Name(d))
				}
			}
		case "firmware":
			info.Firmware = append(info.Firmware, value)
		case "alias":
			info.Aliases = append(info.Aliases, value)
		case "softdep":
			info.SoftDeps = append(info.SoftDeps, value)
		case "parmtype":
			p, _, _ := strings.Cut(value, ":")
			info.Parameters = append(info.Parameters, p)
		}
	}
	return info, nil
}

// Release returns the release ("6.1.0-56-cloud-amd64") of an x86 kernel image, from the whole image or its first 64
// KiB. The setup header has "HdrS" at 0x202, and at 0x20e the offset of the version text minus 0x200
// (Documentation/arch/x86/boot.rst). An image of another architecture is an error.
func Release(vmlinuz []byte) (string, error) {
	if len(vmlinuz) < 0x210 || string(vmlinuz[0x202:0x206]) != "HdrS" || vmlinuz[0x1fe] != 0x55 || vmlinuz[0x1ff] != 0xaa {
		return "", errors.New("kernel image: no x86 setup header (HdrS at 0x202)")
	}
	pointer := int(binary.LittleEndian.Uint16(vmlinuz[0x20e:]))
	if pointer == 0 {
		return "", errors.New("kernel image: the header has no version")
	}
	at := pointer + 0x200
	if at >= len(vmlinuz) {
		return "", fmt.Errorf("kernel image: version at byte %d of %d", at, len(vmlinuz))
	}
	text := vmlinuz[at:min(at+256, len(vmlinuz))]
	text, _, ended := bytes.Cut(text, []byte{0})
	release, _, _ := strings.Cut(string(text), " ")
	if !ended || release == "" || strings.ContainsFunc(release, func(r rune) bool { return r <= ' ' || r > '~' || r == '/' }) {
		return "", fmt.Errorf("kernel image: version at byte %d is %.40q", at, text)
	}
	return release, nil
}
