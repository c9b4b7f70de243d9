package sim

import (
	"bytes"
	"encoding/binary"
	"strings"
	"sync"

	"github.com/ulikunitz/xz/lzma"
)

// GRUBBootSector is what of GRUB's boot.img a reader can tell; core is where its core image is.
func GRUBBootSector(core uint64) []byte {
	b := make([]byte, 512)
	copy(b, "\xeb\x63\x90")
	copy(b[0x5a:], "\x00\x80")
	binary.LittleEndian.PutUint64(b[0x5c:], core)
	b[0x64] = 0xff
	copy(b[0x66:], "\x90\x90")
	copy(b[0x180:], "GRUB \x00Geom\x00Hard Disk\x00Read\x00 Error\r\n")
	copy(b[510:], "\x55\xaa")
	return b
}

//nolint:gochecknoglobals // a memory of a pure function, which costs
var packed sync.Map // of prefix and modules, to the core image without block list

// GRUBCore is a core image of GRUB's form: a diskboot sector, the decompressor's header, and the packed module objects.
func GRUBCore(lba uint64, prefix string, modules ...string) []byte {
	key := prefix + " " + strings.Join(modules, " ")
	made, ok := packed.Load(key)
	if !ok {
		made, _ = packed.LoadOrStore(key, packCore(prefix, modules))
	}
	core := bytes.Clone(made.([]byte))
	binary.LittleEndian.PutUint64(core[500:], lba+1)
	binary.LittleEndian.PutUint16(core[508:], uint16(len(core)/512-1))
	binary.LittleEndian.PutUint16(core[510:], 0x820)
	return core
}

func packCore(prefix string, modules []string) []byte {
	le := binary.LittleEndian
	objects := make([]byte, 12)
	object := func(kind uint32, body []byte) {
		h := make([]byte, 8)
		le.PutUint32(h, kind)
		le.PutUint32(h[4:], uint32(8+len(body)))
		objects = append(append(objects, h...), body...)
		for len(objects)%4 != 0 {
			objects = append(objects, 0)
		}
	}
	for _, mod := range modules {
		object(0, moduleELF(mod))
	}
	object(3, append([]byte(prefix), 0))
	copy(objects, "mimg")
	le.PutUint32(objects[4:], 12)
	le.PutUint32(objects[8:], uint32(len(objects)))
	image := append(bytes.Repeat([]byte("kernel.img "), 90), objects...)

	var z bytes.Buffer
	w, err := lzma.WriterConfig{Properties: &lzma.Properties{LC: 3, LP: 0, PB: 2}, DictCap: 1 << 16, Size: int64(len(image)), SizeInHeader: true}.NewWriter(&z)
	if err != nil {
		panic(err)
	}
	if _, err := w.Write(image); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	stream := z.Bytes()[lzma.HeaderLen:]
	core := make([]byte, 512+32)
	copy(core[0x100:], "loading\x00.\x00\r\n\x00Geom\x00Read\x00 Error\x00")
	le.PutUint32(core[512+8:], uint32(len(stream)))
	le.PutUint32(core[512+12:], uint32(len(image)))
	core = append(core, stream...)
	return append(core, make([]byte, (512-len(core)%512)%512)...)
}

// moduleELF is a 32-bit object of which only section .modname is there.
func moduleELF(name string) []byte {
	le := binary.LittleEndian
	strs := []byte("\x00.modname\x00.shstrtab\x00")
	mod := append([]byte(name), 0)
	for len(mod)%4 != 0 {
		mod = append(mod, 0)
	}
	b := make([]byte, 52)
	copy(b, "\x7fELF\x01\x01\x01")
	at := uint32(len(b))
	b = append(append(b, mod...), strs...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	le.PutUint32(b[32:], uint32(len(b)))
	le.PutUint16(b[46:], 40)
	le.PutUint16(b[48:], 3)
	le.PutUint16(b[50:], 2)
	section := func(name, off uint32, size int) {
		h := make([]byte, 40)
		le.PutUint32(h, name)
		le.PutUint32(h[16:], off)
		le.PutUint32(h[20:], uint32(size))
		b = append(b, h...)
	}
	section(0, 0, 0)
	section(1, at, len(mod))
	section(10, at+uint32(len(mod)), len(strs))
	return b
}
