package boot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const grubDir = "/usr/lib/grub/i386-pc"

// grubImages creates a core image with GRUB's own tool.
func grubImages(t testing.TB, args ...string) (boot, core []byte) {
	t.Helper()
	mkimage, err := exec.LookPath("grub-mkimage")
	if err != nil {
		t.Skip("SKIPPED: grub-mkimage is missing (package grub-common)")
	}
	boot, err = os.ReadFile(filepath.Join(grubDir, "boot.img"))
	if err != nil {
		t.Skip("SKIPPED: boot.img is missing (package grub-pc-bin)")
	}
	out := filepath.Join(t.TempDir(), "core.img")
	if msg, err := exec.Command(mkimage, append([]string{"-O", "i386-pc", "-d", grubDir, "-o", out}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("grub-mkimage: %v: %s", err, msg)
	}
	core, err = os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return boot, core
}

const arrayPrefix = "(mduuid/0123456789abcdef0123456789abcdef)/boot/grub"

func TestCoreOracle(t *testing.T) {
	config := filepath.Join(t.TempDir(), "load.cfg")
	if err := os.WriteFile(config, []byte("set debug=all\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	boot, core := grubImages(t, "-p", arrayPrefix, "-c", config, "biosdisk", "part_gpt", "mdraid1x", "diskfilter", "ext2")
	if b, err := ParseBootSector(boot); err != nil || b.CoreLBA != 1 || b.Drive != 0xff || SectorOwner(boot) != "GRUB" {
		t.Errorf("boot.img: %+v, %v", b, err)
	}
	for _, pad := range []int{0, 512 - len(core)%512, 40 << 10} {
		c, err := ParseCore(append(bytes.Clone(core), make([]byte, pad)...))
		if err != nil {
			t.Fatalf("padded by %d: %v", pad, err)
		}
		if c.Prefix != arrayPrefix || c.Config != "set debug=all\n" {
			t.Errorf("prefix %q, config %q", c.Prefix, c.Config)
		}
		if m := c.Missing("biosdisk", "part_gpt", "mdraid1x", "diskfilter", "ext2", "fshelp", "xfs"); !cmp.Equal(m, []string{"xfs"}) {
			t.Errorf("missing %v of %v", m, c.Modules)
		}
		if c.Sectors != uint64(len(core)+511)/512 {
			t.Errorf("%d sectors of %d bytes", c.Sectors, len(core))
		}
	}
	if _, err := ParseCore(core[:len(core)-600]); err == nil {
		t.Error("a truncated image was accepted")
	}
}

func TestRelocate(t *testing.T) {
	boot, core := grubImages(t, "-p", arrayPrefix, "biosdisk", "part_gpt", "mdraid1x", "ext2")
	// The image as grub-install embeds it around a bad sector, in two extents.
	total := (len(core) + 511) / 512
	disk := make([]byte, 512*4096)
	installed := append(bytes.Clone(core), make([]byte, total*512-len(core))...)
	copy(installed[512-2*listSize:512], make([]byte, 2*listSize))
	putList(installed, blockList{start: 2049, length: 10, segment: 0x820})
	second := installed[512-2*listSize:]
	binary.LittleEndian.PutUint64(second, 2070)
	binary.LittleEndian.PutUint16(second[8:], uint16(total-11))
	binary.LittleEndian.PutUint16(second[10:], 0x820+320)

	dst := bytes.Repeat([]byte{0xA5}, 512)
	dst[510], dst[511] = 0x55, 0xaa
	newBoot, newCore, err := Relocate(boot, installed, dst, 3000)
	if err != nil {
		t.Fatal(err)
	}
	copy(disk, newBoot)
	copy(disk[3000*512:], newCore)

	b, err := ParseBootSector(disk)
	if err != nil || b != (BootSector{CoreLBA: 3000, Drive: 0xff, DriveCheck: true}) {
		t.Errorf("boot sector %+v, %v", b, err)
	}
	ext, err := CoreExtents(disk[b.CoreLBA*512:])
	if err != nil || !cmp.Equal(ext, []Extent{{3001, uint64(total - 1)}}) {
		t.Errorf("extents %v, %v; want one of %d", ext, err, total-1)
	}
	if !bytes.Equal(newBoot[440:], dst[440:]) || !bytes.Equal(newBoot[3:0x5a], dst[3:0x5a]) {
		t.Error("partition table or parameter block not kept")
	}
	if !bytes.Equal(newBoot[0x68:440], boot[0x68:440]) {
		t.Error("boot code changed")
	}
	if !bytes.Equal(newCore[512:len(core)], core[512:]) || !bytes.Equal(newCore[:512-2*listSize], core[:512-2*listSize]) {
		t.Error("core changed beyond its block lists")
	}
	if c, err := ParseCore(newCore); err != nil || c.Prefix != arrayPrefix {
		t.Errorf("the copy: %+v, %v", c, err)
	}
	// Relocate the copy again: only the numbers may change.
	boot2, core2, err := Relocate(newBoot, newCore, dst, 3000)
	if err != nil || !bytes.Equal(boot2, newBoot) || !bytes.Equal(core2, newCore) {
		t.Errorf("a second time at the same place differs: %v", err)
	}

	for _, c := range []struct {
		want            string
		boot, core, dst []byte
		lba             uint64
	}{
		{"LBA 0", boot, core, dst, 0},
		{"overflow", boot, core, dst, ^uint64(0)},
		{"no partition table", boot, core, make([]byte, 512), 34},
		{"name", boot, core[:4096], dst, 34},
		{"not GRUB", make([]byte, 512), core, dst, 34},
		{"diskboot", boot, make([]byte, 4096), dst, 34},
	} {
		if _, _, err := Relocate(c.boot, c.core, c.dst, c.lba); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}

func TestBootSectorRefusals(t *testing.T) {
	legacy := make([]byte, 512)
	copy(legacy, "\xeb\x48\x90")
	copy(legacy[0x180:], "GRUB \x00Geom\x00Hard Disk\x00Read\x00 Error\x00")
	legacy[510], legacy[511] = 0x55, 0xaa
	empty := make([]byte, 512)
	empty[510], empty[511] = 0x55, 0xaa
	for name, b := range map[string][]byte{"legacy": legacy, "empty": empty, "zero": make([]byte, 512)} {
		if _, err := ParseBootSector(b); !errors.Is(err, ErrNotGRUB) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ParseBootSector(empty[:100]); err == nil || errors.Is(err, ErrNotGRUB) {
		t.Errorf("short: %v", err)
	}
}

// syntheticCore returns a first sector with one block list, and a header with hostile sizes.
func syntheticCore() []byte {
	c := make([]byte, 3*512)
	copy(c[0x100:], "loading\x00.\x00\r\n\x00Geom\x00Read\x00 Error\x00")
	putList(c, blockList{start: 2, length: 2, segment: coreSegment})
	binary.LittleEndian.PutUint32(c[coreCompressedSize:], 64)
	binary.LittleEndian.PutUint32(c[coreUncompressedSize:], 4096)
	return c
}

func TestCoreRefusals(t *testing.T) {
	edit := func(f func(c []byte)) []byte { c := syntheticCore(); f(c); return c }
	for want, c := range map[string][]byte{
		"no LZMA stream":  syntheticCore(),
		"no block list":   edit(func(c []byte) { putList(c, blockList{}) }),
		"segment":         edit(func(c []byte) { c[510] = 1 }),
		"overflow":        edit(func(c []byte) { putList(c, blockList{^uint64(0), 2, coreSegment}) }),
		"3 sectors, its":  edit(func(c []byte) { putList(c, blockList{2, 9, coreSegment}) }),
		"not an LZMA":     edit(func(c []byte) { binary.LittleEndian.PutUint32(c[coreUncompressedSize:], 1<<31) }),
		"less than a sec": make([]byte, 10),
	} {
		if _, err := ParseCore(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func FuzzCore(f *testing.F) {
	f.Add(syntheticCore())
	f.Add([]byte{})
	if _, err := exec.LookPath("grub-mkimage"); err == nil {
		_, core := grubImages(f, "-p", arrayPrefix, "biosdisk", "ext2")
		image, err := unpackCore(core)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(core)
		f.Add(image[moduleInfo(image):])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseCore(data)
		if err == nil && slices.Contains(c.Modules, "") {
			t.Fatal("a module without name")
		}
		var got Core
		if got.readModules(data) == nil && len(got.Modules) > len(data) {
			t.Fatal("more modules than bytes")
		}
	})
}

func FuzzBootSector(f *testing.F) {
	f.Add(make([]byte, 512), uint64(34))
	b := make([]byte, 512)
	copy(b, "\xeb\x63\x90")
	copy(b[bootKernelAddr:], "\x00\x80\x01")
	copy(b[0x180:], "GRUB \x00Geom\x00Hard Disk\x00Read\x00 Error\r\n")
	copy(b[bootSignature:], "\x55\xaa")
	if _, err := ParseBootSector(b); err != nil {
		f.Fatal(err)
	}
	f.Add(b, uint64(34))
	f.Fuzz(func(t *testing.T, data []byte, lba uint64) {
		if _, err := ParseBootSector(data); err != nil {
			return
		}
		core := syntheticCore()
		b, c, err := Relocate(data, core, data, lba)
		if err != nil {
			return
		}
		got, err := ParseBootSector(b)
		if err != nil || got.CoreLBA != lba || len(c) != len(core) {
			t.Fatalf("relocated to %d: %+v, %v", lba, got, err)
		}
	})
}

func TestSectorOwner(t *testing.T) {
	other := make([]byte, 512)
	other[0] = 0xeb
	for want, b := range map[string][]byte{"": make([]byte, 512), "unknown": other} {
		if got := SectorOwner(b); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := SectorOwner(nil); got != "" {
		t.Errorf("nothing: %q", got)
	}
}
