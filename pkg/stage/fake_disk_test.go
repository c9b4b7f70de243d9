package stage

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"io"
	"strings"
	"sync"

	"github.com/google/uuid"
	"github.com/ulikunitz/xz/lzma"

	"migrate-init/pkg/gpt"
	"migrate-init/pkg/md"
)

const page = 4096

// disk is a sparse disk in memory: only pages that are not zero are kept, so that two disks of one content are equal.
type disk struct {
	name   string
	size   int64
	source bool
	pages  map[int64]*[page]byte
	sum    uint64 // over all pages but those of a journal's records
	whole  uint64 // over all pages
}

var (
	seed    = maphash.MakeSeed()
	nothing [page]byte
)

// count takes a page into the sums, or out of them.
func (d *disk) count(at int64, p *[page]byte) {
	if p == nil || *p == [page]byte{} {
		return
	}
	h := maphash.Bytes(seed, p[:]) * uint64(2*at+1)
	d.whole ^= h
	if m := string(p[:4]); m != recordMark {
		d.sum ^= h
	}
}

func newDisk(name string, size int64) *disk {
	return &disk{name: name, size: size, pages: map[int64]*[page]byte{}}
}

func (d *disk) ReadAt(b []byte, off int64) (int, error) {
	clear(b)
	n := int64(len(b))
	for at := off / page * page; at < off+n; at += page {
		if p := d.pages[at]; p != nil {
			from, to := max(at, off), min(at+page, off+n)
			copy(b[from-off:to-off], p[from-at:to-at])
		}
	}
	if off+n > d.size {
		return int(max(0, d.size-off)), io.EOF
	}
	return len(b), nil
}

func (d *disk) write(b []byte, off int64) {
	for len(b) > 0 {
		at := off / page * page
		n := min(int64(len(b)), at+page-off)
		p := d.pages[at]
		if p == nil && bytes.Equal(b[:n], nothing[:n]) {
			b, off = b[n:], off+n
			continue
		}
		if p == nil {
			p = new([page]byte)
			d.pages[at] = p
		}
		d.count(at, p)
		copy(p[off-at:], b[:n])
		d.count(at, p)
		if *p == [page]byte{} {
			delete(d.pages, at)
		}
		b, off = b[n:], off+n
	}
}

func (d *disk) clone() *disk {
	c := newDisk(d.name, d.size)
	c.source, c.sum, c.whole = d.source, d.sum, d.whole
	for k, p := range d.pages {
		q := *p
		c.pages[k] = &q
	}
	return c
}

// bdev is what the kernel makes of a disk: the disk itself, a partition, or an array over legs.
type bdev struct {
	name     string
	maj, min uint32
	size     int64
	disk     *disk // nil for an array
	off      int64
	number   int
	ro       bool
	cached   bool // metadata that a copy wrote is in the page cache
	legs     []*bdev
	legOff   int64
}

func (b *bdev) ReadAt(p []byte, off int64) (int, error) {
	var n int
	var err error
	room := max(0, b.size-off)
	cut := p[:min(int64(len(p)), room)]
	if b.disk != nil {
		n, err = b.disk.ReadAt(cut, b.off+off)
	} else if len(b.legs) > 0 {
		n, err = b.legs[0].ReadAt(cut, b.legOff+off)
	}
	if err == nil && len(cut) < len(p) {
		err = io.EOF
	}
	return n, err
}

func (b *bdev) Close() error { return nil }

func (b *bdev) put(p []byte, off int64) {
	if b.disk != nil {
		b.disk.write(p, b.off+off)
	}
	for _, l := range b.legs {
		l.put(p, b.legOff+off)
	}
}

func (b *bdev) disks() []*disk {
	if b.disk != nil {
		return []*disk{b.disk}
	}
	var out []*disk
	for _, l := range b.legs {
		out = append(out, l.disks()...)
	}
	return out
}

func mustID(s string) []byte {
	u, err := uuid.Parse(s)
	if err != nil {
		panic(err)
	}
	return u[:]
}

// extSuper is an ext4 superblock as mke2fs leaves it, as far as a prober looks. mounts changes its stamp.
func extSuper(id, label string, size int64, mounts int) []byte {
	le := binary.LittleEndian
	b := make([]byte, 1024)
	blocks := uint32(size / 4096)
	le.PutUint32(b[0:], 65536)
	le.PutUint32(b[4:], blocks)
	le.PutUint32(b[12:], blocks-blocks/8)
	le.PutUint32(b[16:], 60000)
	le.PutUint32(b[24:], 2)
	le.PutUint32(b[32:], 32768)
	le.PutUint32(b[40:], 8192)
	le.PutUint16(b[52:], uint16(mounts))
	le.PutUint16(b[56:], 0xef53)
	le.PutUint16(b[58:], 1)
	le.PutUint32(b[76:], 1)
	le.PutUint16(b[88:], 256)
	le.PutUint32(b[92:], 0x3c)
	le.PutUint32(b[96:], 0x2c2)
	le.PutUint32(b[100:], 0x6b)
	copy(b[104:], mustID(id))
	copy(b[120:136], label)
	le.PutUint32(b[224:], 8)
	return b
}

func swapHead(id string, size int64) []byte {
	b := make([]byte, 4096)
	binary.LittleEndian.PutUint32(b[1024:], 1)
	binary.LittleEndian.PutUint32(b[1028:], uint32(size/4096)-1)
	copy(b[1036:], mustID(id))
	copy(b[4086:], "SWAPSPACE2")
	return b
}

// bootImg is what of GRUB's boot.img a reader can tell; core is where its core image is.
func bootImg(core uint64) []byte {
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

var packed sync.Map // of prefix and modules, to the core image without block list

// coreImg is a core image of GRUB's form: a diskboot sector, the decompressor's header, and the packed module objects.
func coreImg(lba uint64, prefix string, modules ...string) []byte {
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
	for _, m := range modules {
		object(0, moduleELF(m))
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

// embedGRUB does what grub-install does: the core image into the bios_grub partition, and then the boot sector. torn
// leaves the boot sector as it was.
func embedGRUB(d *bdev, prefix string, torn bool) error {
	t, err := gpt.Read(d, d.size, 512)
	if err != nil {
		return err
	}
	for _, p := range t.Partitions {
		if k, _ := gpt.KindOf(p.Type); k.Name != "bios_grub" {
			continue
		}
		lba := uint64(p.Start / 512)
		core := coreImg(lba, prefix, "biosdisk", "part_gpt", "part_msdos", "diskfilter", "mdraid1x", "ext2")
		if int64(len(core)) > p.Size {
			return fmt.Errorf("core image of %d bytes", len(core))
		}
		d.put(core, p.Start)
		if torn {
			return nil
		}
		old := make([]byte, 512)
		if _, err := d.ReadAt(old, 0); err != nil {
			return err
		}
		b := bootImg(lba)
		copy(b[440:], old[440:])
		d.put(b, 0)
		return nil
	}
	return fmt.Errorf("disk %s: no bios_grub partition", d.name)
}

func superOf(b *bdev) (md.Superblock, bool) {
	supers, _ := md.Scan(b, b.size)
	if len(supers) == 0 {
		return md.Superblock{}, false
	}
	return supers[0], true
}
