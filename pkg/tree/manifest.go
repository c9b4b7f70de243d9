package tree

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/zeebo/xxh3"
)

// A manifest is a sequence of blocks:
//
//	u32  magic "mgt2"
//	u32  length of the body
//	     body
//	u64  xxh3-64 of all before
//
// Numbers outside the body are little endian. A body begins with the directory of its records: the uvarints volume (0 for that
// of the root; see dir.volume) and inode, and the length and bytes of the path. Records follow:
//
//	u8 kind, uvarint inode, uvarint size, [16]byte sum (kinds f, y, p and e), uvarint nlink,
//	uvarint len(name), name
//
// A torn block ends the manifest. A name whose kind is unknown is copied again.
const (
	manifestMagic   = 0x3274676d
	manifestMagic1  = 0x3174676d // without kind e
	manifestMaxBody = 64 << 20
)

// kind of a record.
type kind uint8

const (
	kindFile          kind = 'f' // complete regular file, with its sum
	kindDamaged       kind = 'y' // regular file of which a part could not be read; that part is zero on the target and in the sum
	kindUnread        kind = 'u' // name of which nothing could be read; the target does not have it
	kindLink          kind = 'l' // another name of an inode that has a record
	kindSpecial       kind = 's' // symlink, device, fifo or socket
	kindPartial       kind = 'p' // regular file whose first size bytes are complete
	kindShared        kind = 'e' // extent that files of the source share; sum is its place in the source and length, size its offset in this file
	kindDirDone       kind = 'd' // the directory itself (name empty); size is that of the subtree
	kindDirIncomplete kind = 'h' // the same, but something in or below it could not be read; size 1: including some of its names
)

func (k kind) hasSum() bool {
	return k == kindFile || k == kindDamaged || k == kindPartial || k == kindShared
}

// ofName reports whether a record is about a name, and not about a directory itself or an extent.
func (k kind) ofName() bool { return k != kindDirDone && k != kindDirIncomplete && k != kindShared }

// complete reports whether the target has everything of a name.
func (k kind) complete() bool { return k == kindFile || k == kindLink || k == kindSpecial }

// record is one entry of a manifest, usually a name that is finished on the target.
type record struct {
	kind  kind
	name  string
	ino   uint64
	size  int64
	sum   Sum
	nlink uint32
}

func appendRecord(b []byte, r record) []byte {
	b = append(b, byte(r.kind))
	b = binary.AppendUvarint(b, r.ino)
	b = binary.AppendUvarint(b, uint64(r.size))
	if r.kind.hasSum() {
		b = binary.LittleEndian.AppendUint64(b, r.sum.Hi)
		b = binary.LittleEndian.AppendUint64(b, r.sum.Lo)
	}
	b = binary.AppendUvarint(b, uint64(r.nlink))
	b = binary.AppendUvarint(b, uint64(len(r.name)))
	return append(b, r.name...)
}

// manifestWriter writes whole blocks, one at a time.
type manifestWriter struct {
	mu  sync.Mutex
	w   io.Writer
	n   int64
	buf []byte
	err error
}

func (m *manifestWriter) write(in inode, path string, rs []record) error {
	if m.w == nil || len(rs) == 0 {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	b := append(m.buf[:0], 0, 0, 0, 0, 0, 0, 0, 0)
	b = binary.AppendUvarint(b, in.dev)
	b = binary.AppendUvarint(b, in.ino)
	b = binary.AppendUvarint(b, uint64(len(path)))
	b = append(b, path...)
	for _, r := range rs {
		b = appendRecord(b, r)
	}
	binary.LittleEndian.PutUint32(b, manifestMagic)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)-8))
	b = binary.LittleEndian.AppendUint64(b, xxh3.Hash(b))
	m.buf = b
	n, err := m.w.Write(b)
	if err == nil && n != len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		m.err = fmt.Errorf("manifest: write of %d bytes at %d: %w", len(b), m.n, err)
		return m.err
	}
	m.n += int64(n)
	return nil
}

func (m *manifestWriter) offset() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.n
}

var errManifest = errors.New("malformed block")

// block is a parsed manifest block.
type block struct {
	dir  inode
	path string
	recs []record
}

// parseBlock parses the first block of b, and returns its size in bytes.
func parseBlock(b []byte) (block, int, error) {
	if len(b) < 16 {
		return block{}, 0, errManifest
	}
	if m := binary.LittleEndian.Uint32(b); m != manifestMagic && m != manifestMagic1 {
		return block{}, 0, errManifest
	}
	n := int64(binary.LittleEndian.Uint32(b[4:]))
	if n > manifestMaxBody || n+16 > int64(len(b)) {
		return block{}, 0, errManifest
	}
	end := int(n) + 8
	if xxh3.Hash(b[:end]) != binary.LittleEndian.Uint64(b[end:]) {
		return block{}, 0, errManifest
	}
	p := parser{b: b[8:end]}
	blk := block{dir: inode{p.uvarint(), p.uvarint()}, path: p.str()}
	for len(p.b) > 0 && !p.bad {
		r := record{kind: kind(p.byte()), ino: p.uvarint(), size: int64(p.uvarint())}
		if r.kind.hasSum() {
			r.sum = Sum{p.u64(), p.u64()}
		}
		r.nlink = uint32(p.uvarint())
		r.name = p.str()
		if r.size < 0 {
			p.bad = true
		}
		blk.recs = append(blk.recs, r)
	}
	if p.bad {
		return block{}, 0, errManifest
	}
	return blk, end + 8, nil
}

type parser struct {
	b   []byte
	bad bool
}

func (p *parser) take(n uint64) []byte {
	if n > uint64(len(p.b)) {
		p.bad, p.b = true, nil
		return nil
	}
	b := p.b[:n]
	p.b = p.b[n:]
	return b
}

func (p *parser) byte() byte {
	if b := p.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (p *parser) u64() uint64 {
	if b := p.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (p *parser) uvarint() uint64 {
	v, n := binary.Uvarint(p.b)
	if n <= 0 {
		p.bad, p.b = true, nil
		return 0
	}
	p.b = p.b[n:]
	return v
}

func (p *parser) str() string { return string(p.take(p.uvarint())) }
