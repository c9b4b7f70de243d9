package kmod

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// moduleFile returns the smallest ELF file with a .modinfo section.
func moduleFile(modinfo string) []byte {
	const names = "\x00.modinfo\x00.shstrtab\x00"
	var b bytes.Buffer
	w := func(v any) { _ = binary.Write(&b, binary.LittleEndian, v) }
	h := elf.Header64{Type: uint16(elf.ET_REL), Machine: uint16(elf.EM_X86_64), Version: 1, Ehsize: 64, Shentsize: 64, Shnum: 3, Shstrndx: 2}
	copy(h.Ident[:], "\x7fELF\x02\x01\x01")
	h.Shoff = uint64(64 + len(modinfo) + len(names))
	w(h)
	b.WriteString(modinfo)
	b.WriteString(names)
	w(elf.Section64{})
	w(elf.Section64{Name: 1, Type: uint32(elf.SHT_PROGBITS), Off: 64, Size: uint64(len(modinfo))})
	w(elf.Section64{Name: 10, Type: uint32(elf.SHT_STRTAB), Off: uint64(64 + len(modinfo)), Size: uint64(len(names))})
	return b.Bytes()
}

const modinfo = "license=GPL\x00alias=md-raid1\x00firmware=x/a.bin\x00firmware=b.bin\x00depends=md-mod,dm-mod\x00" +
	"softdep=pre: ahci\x00parmtype=max_queued:int\x00name=raid1\x00vermagic=6.1.0-56-cloud-amd64 SMP preempt mod_unload \x00"

func TestReadInfo(t *testing.T) {
	got, err := ReadInfo(moduleFile(modinfo))
	if err != nil {
		t.Fatal(err)
	}
	want := Info{
		Name: "raid1", VerMagic: "6.1.0-56-cloud-amd64 SMP preempt mod_unload ", Depends: []string{"md_mod", "dm_mod"},
		Firmware: []string{"x/a.bin", "b.bin"}, Aliases: []string{"md-raid1"}, SoftDeps: []string{"pre: ahci"}, Parameters: []string{"max_queued"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got.Release() != "6.1.0-56-cloud-amd64" {
		t.Errorf("release is %q", got.Release())
	}
	for _, bad := range [][]byte{nil, []byte("\x7fELF"), moduleFile(modinfo)[:100]} {
		if _, err := ReadInfo(bad); err == nil {
			t.Errorf("no error for %d bytes", len(bad))
		}
	}
	huge := moduleFile(modinfo)
	binary.LittleEndian.PutUint64(huge[len(huge)-128+32:], 1<<40)
	if _, err := ReadInfo(huge); err == nil {
		t.Error("no error for a section of 1 TiB")
	}
}

func TestDecompress(t *testing.T) {
	plain := moduleFile(modinfo + strings.Repeat("parm=padding\x00", 1000))
	for _, c := range []struct {
		suffix string
		argv   []string
	}{
		{"", nil}, {".gz", []string{"gzip", "-n"}}, {".xz", []string{"xz", "--check=crc32", "--lzma2=dict=2MiB"}},
		{".xz", []string{"xz", "--x86", "--lzma2"}}, {".zst", []string{"zstd", "-q", "-19"}},
	} {
		t.Run(strings.Join(c.argv, " "), func(t *testing.T) {
			data := plain
			if c.argv != nil {
				if _, err := exec.LookPath(c.argv[0]); err != nil {
					t.Skipf("SKIPPED: %v", err)
				}
				cmd := exec.Command(c.argv[0], append(c.argv[1:], "-c")...)
				cmd.Stdin = bytes.NewReader(plain)
				var err error
				if data, err = cmd.Output(); err != nil {
					t.Fatal(err)
				}
			}
			got, err := Decompress("m.ko"+c.suffix, data)
			if err != nil || !bytes.Equal(got, plain) {
				t.Errorf("%d bytes, %v; want the %d that were compressed", len(got), err, len(plain))
			}
			if _, err := Decompress("m.ko.lzma"+c.suffix+"x", data[:3]); err == nil {
				t.Error("no error for three bytes")
			}
			if c.suffix == "" {
				return
			}
			if _, err := Decompress("m.ko", data); err == nil || !strings.Contains(err.Error(), "not ELF as its name says") {
				t.Errorf("compressed data under a plain name: %v", err)
			}
			if _, err := Decompress("m.ko"+c.suffix, data[:len(data)-9]); err == nil {
				t.Error("no error for data cut short")
			}
		})
	}
}

func vmlinuz(version string) []byte {
	b := make([]byte, 0x3000)
	copy(b[0x1fe:], "\x55\xaa")
	copy(b[0x202:], "HdrS")
	binary.LittleEndian.PutUint16(b[0x20e:], 0x2b00)
	copy(b[0x2d00:], version)
	return b
}

func TestRelease(t *testing.T) {
	got, err := Release(vmlinuz("6.1.0-56-cloud-amd64 (debian-kernel@lists.debian.org) #1 SMP\x00"))
	if err != nil || got != "6.1.0-56-cloud-amd64" {
		t.Errorf("%q, %v", got, err)
	}
	at := func(pointer uint16) []byte {
		b := vmlinuz("6.1\x00")
		binary.LittleEndian.PutUint16(b[0x20e:], pointer)
		return b
	}
	for want, bad := range map[string][]byte{
		"no x86 setup header": make([]byte, 0x400),
		"has no version":      at(0),
		"of 12288":            at(0xffff),
		`is ""`:               at(0x2000),
		"version at byte":     vmlinuz(strings.Repeat("x", 300)),
		"../":                 vmlinuz("../../etc \x00"),
	} {
		if _, err := Release(bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want one with %q", err, want)
		}
	}
}

func FuzzReadInfo(f *testing.F) {
	f.Add(moduleFile(modinfo))
	f.Add([]byte("\x7fELF\x02\x01\x01"))
	f.Add(vmlinuz("6.1 (a)\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = ReadInfo(b)
		if r, err := Release(b); err == nil && strings.ContainsAny(r, " /\x00") {
			t.Fatalf("release %q", r)
		}
	})
}

func FuzzDecompress(f *testing.F) {
	for name, magic := range map[string]string{
		"m.ko": "\x7fELF", "m.ko.gz": "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", "m.ko.xz": "\xfd7zXZ\x00\x00\x01\x69\x22\xde\x36\x02\x00\x21\x01",
		"m.ko.zst": "\x28\xb5\x2f\xfd\x20\x04\x21\x00\x00\x7fELF",
	} {
		f.Add(name, []byte(magic))
	}
	f.Fuzz(func(t *testing.T, name string, b []byte) {
		if plain, err := Decompress(name, b); err == nil && !bytes.HasPrefix(plain, []byte("\x7fELF")) {
			t.Fatalf("%q of %d bytes is no ELF file", name, len(b))
		}
	})
}

func FuzzTables(f *testing.F) {
	f.Add("kernel/a.ko: kernel/b.ko\nkernel/b.ko:\n", "alias pci:v*[0-9] a\n", "softdep a pre: b post: c\n", "options a x=1\ninstall b /bin/true", `a.b="c d" module_blacklist=q`, "a")
	f.Add("k/a.ko: k/a.ko", "alias * a", "softdep a post: a", "alias a b\nalias b a\nsoftdep b pre: a", "", "b")
	f.Fuzz(func(t *testing.T, dep, alias, soft, conf, cmdline, ask string) {
		c := &Config{}
		_ = c.parse("conf", []byte(conf))
		c.Cmdline(strings.Fields(cmdline))
		x, err := NewIndex(mapFS(map[string]string{"modules.dep": dep, "modules.alias": alias, "modules.softdep": soft}), c)
		if err != nil {
			return
		}
		order, err := x.Resolve(ask)
		if err != nil {
			var r *RefusedError
			_ = errors.As(err, &r)
			return
		}
		done := map[string]bool{}
		for _, m := range order {
			if done[m.Name] {
				t.Fatalf("%s twice in %v", m.Name, order)
			}
			for _, d := range x.modules[m.Name].deps {
				if !done[d] && !x.Builtin(d) {
					t.Fatalf("%s comes before its dependency %s in %v", m.Name, d, order)
				}
			}
			done[m.Name] = true
		}
	})
}
