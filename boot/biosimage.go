package boot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/ulikunitz/xz/lzma"
)

// The objects that follow the kernel (include/grub/kernel.h).
const (
	moduleMagic  = "mimg" // GRUB_MODULE_MAGIC, little endian
	objectELF    = 0
	objectConfig = 2
	objectPrefix = 3
)

// unpackCore returns kernel.img with the objects that follow it. The image is diskboot.img, the decompressor, and a raw
// LZMA stream with lc=3 lp=0 pb=2 and no header (compress_kernel_lzma in util/mkimage.c). The length of the
// decompressor is not recorded, so unpackCore tries every 16-byte boundary and recognizes the stream by what it unpacks
// to.
func unpackCore(core []byte) ([]byte, error) {
	if len(core) < coreRedundancy+4 {
		return nil, fmt.Errorf("%d bytes, too short for the decompressor", len(core))
	}
	packed := uint64(binary.LittleEndian.Uint32(core[coreCompressedSize:]))
	size := uint64(binary.LittleEndian.Uint32(core[coreUncompressedSize:]))
	if packed == 0 || size == 0 || packed > uint64(len(core)) || size > maxCore {
		return nil, fmt.Errorf("sizes packed %d, unpacked %d in an image of %d bytes: not an LZMA image", packed, size, len(core))
	}
	for at := coreRedundancy + 16; at < biosSector+coreDecompressorMax && uint64(at)+packed <= uint64(len(core)); at += 16 {
		// The first byte of a range coder's stream is 0.
		if core[at] != 0 {
			continue
		}
		if image := unlzma(core[at:at+int(packed)], size); image != nil && moduleInfo(image) >= 0 {
			return image, nil
		}
	}
	return nil, errors.New("no LZMA stream with GRUB's modules found")
}

// unlzma returns nil if packed is not a stream of exactly size bytes.
func unlzma(packed []byte, size uint64) []byte {
	const props, dictionary = 3 + 9*(0+5*2), 1 << 16
	head := make([]byte, lzma.HeaderLen)
	head[0] = props
	binary.LittleEndian.PutUint32(head[1:], dictionary)
	binary.LittleEndian.PutUint64(head[5:], size)
	r, err := lzma.ReaderConfig{DictCap: dictionary}.NewReader(io.MultiReader(bytes.NewReader(head), bytes.NewReader(packed)))
	if err != nil {
		return nil
	}
	out := make([]byte, size)
	if _, err := io.ReadFull(r, out); err != nil {
		return nil
	}
	return out
}

// moduleInfo finds struct grub_module_info32 {magic, offset, size}: the last one whose size reaches the end of the
// image.
func moduleInfo(image []byte) int {
	for at := len(image); at > 0; {
		if at = bytes.LastIndex(image[:at], []byte(moduleMagic)); at < 0 {
			break
		}
		if at+12 > len(image) {
			continue
		}
		offset, size := binary.LittleEndian.Uint32(image[at+4:]), binary.LittleEndian.Uint32(image[at+8:])
		if offset >= 12 && offset <= size && uint64(size) <= uint64(len(image)-at) {
			return at
		}
	}
	return -1
}

func (c *Core) readModules(image []byte) error {
	at := moduleInfo(image)
	if at < 0 {
		return errors.New("no table of modules")
	}
	objects := image[at:]
	objects = objects[binary.LittleEndian.Uint32(objects[4:]):binary.LittleEndian.Uint32(objects[8:])]
	for len(objects) >= 8 {
		kind, size := binary.LittleEndian.Uint32(objects), binary.LittleEndian.Uint32(objects[4:])
		if size < 8 || uint64(size) > uint64(len(objects)) {
			return fmt.Errorf("object %d of %d bytes in %d left", kind, size, len(objects))
		}
		body := objects[8:size]
		switch kind {
		case objectELF:
			name, err := moduleName(body)
			if err != nil {
				return fmt.Errorf("module %d: %w", len(c.Modules)+1, err)
			}
			c.Modules = append(c.Modules, name)
		case objectConfig:
			c.Config = cString(body)
		case objectPrefix:
			c.Prefix = cString(body)
		}
		objects = objects[min(len(objects), int(size+3)&^3):]
	}
	return nil
}

// moduleName reads the .modname section of a 32-bit little-endian ELF object.
func moduleName(elf []byte) (string, error) {
	if len(elf) < 52 || string(elf[:6]) != "\x7fELF\x01\x01" {
		return "", errors.New("not a 32-bit little-endian ELF object")
	}
	le := binary.LittleEndian
	table, entry := uint64(le.Uint32(elf[32:])), uint64(le.Uint16(elf[46:]))
	count, names := uint64(le.Uint16(elf[48:])), uint64(le.Uint16(elf[50:]))
	if entry < 40 || names >= count || table+entry*count > uint64(len(elf)) {
		return "", fmt.Errorf("section table at %d, %d entries of %d bytes, names in %d, in %d bytes", table, count, entry, names, len(elf))
	}
	section := func(i uint64) (name uint32, body []byte) {
		h := elf[table+i*entry:]
		off, size := uint64(le.Uint32(h[16:])), uint64(le.Uint32(h[20:]))
		if off+size > uint64(len(elf)) {
			return le.Uint32(h), nil
		}
		return le.Uint32(h), elf[off : off+size]
	}
	_, strings := section(names)
	for i := range count {
		name, body := section(i)
		if uint64(name) < uint64(len(strings)) && cString(strings[name:]) == ".modname" {
			return cString(body), nil
		}
	}
	return "", errors.New("no section .modname")
}

func cString(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}
