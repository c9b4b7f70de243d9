package tree

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
)

// Manifest is an index of a manifest: the offsets of the blocks of each directory. The records are read when they are needed.
// It is safe for concurrent use.
type Manifest struct {
	r      io.ReaderAt
	size   int64 // of the intact prefix, in bytes
	heads  tables[uint32]
	refs   []blockRef
	done   tables[dirDone]
	links  tables[linkSeen] // multiply linked inodes that were copied; only for resuming
	short  map[inode]bool   // directories whose names could not all be read
	unread map[inode]bool   // names that could not be read, until a directory of that inode is finished
	gaps   bool             // some names could not be read
}

// blockRef is the offset of a block, and the range of inodes in it. next is the number, counted from 1, of the directory's
// previous block; 0 if there is none.
type blockRef struct {
	at       int64
	low, top uint64
	next     uint32
	bytes    uint32
}

// dirDone is the number of files and bytes below a finished directory, without the directory itself.
type dirDone struct{ files, sizeLow, sizeHigh uint32 }

func (d dirDone) size() int64 { return int64(d.sizeHigh)<<32 | int64(d.sizeLow) }

// linkSeen is the block of the first name of an inode, and the number of its names so far. The offset is split into halves to
// keep the alignment, and so the size, small.
type linkSeen struct{ atLow, atHigh, bytes, seen uint32 }

// ContinueManifest opens a manifest file for writing after its first keep bytes, which the last checkpoint covers. It truncates
// the file there; 0 starts an empty manifest.
func ContinueManifest(path string, keep int64) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err = f.Truncate(keep); err == nil {
		_, err = f.Seek(keep, io.SeekStart)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// OpenManifest indexes the first size bytes of r. It stops without an error at a torn or damaged block: what follows is copied,
// or hashed, again.
func OpenManifest(r io.ReaderAt, size int64) (*Manifest, error) {
	return indexManifest(r, size, false, nil)
}

// Close releases the memory of the index, which is not garbage collected. The Manifest must not be used afterwards.
func (m *Manifest) Close() {
	m.heads.free()
	m.done.free()
	m.links.free()
}

// indexManifest calls each, if it is not nil, for every block with its offset and size.
func indexManifest(r io.ReaderAt, size int64, links bool, each func(b *block, at int64, n int)) (*Manifest, error) {
	m := &Manifest{r: r}
	in := bufio.NewReaderSize(io.NewSectionReader(r, 0, size), 256<<10)
	var buf []byte
	for m.size < size {
		var b block
		var n int
		raw, err := nextBlock(in, buf, size-m.size)
		if err == nil {
			buf = raw
			b, n, err = parseBlock(raw)
		}
		if err == nil {
			err = m.index(&b, n, links)
		}
		if errors.Is(err, errManifest) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			m.Close()
			return nil, err
		}
		if each != nil {
			each(&b, m.size, n)
		}
		m.size += int64(n)
	}
	return m, nil
}

// nextBlock reads one block, of at most limit bytes, into buf or a larger one.
func nextBlock(r *bufio.Reader, buf []byte, limit int64) ([]byte, error) {
	head, err := r.Peek(8)
	if err != nil {
		return nil, err
	}
	n := int64(binary.LittleEndian.Uint32(head[4:])) + 16
	if n > manifestMaxBody+16 || n > limit {
		return nil, errManifest
	}
	buf = slices.Grow(buf[:0], int(n))[:n]
	_, err = io.ReadFull(r, buf)
	return buf, err
}

func (m *Manifest) index(b *block, n int, links bool) error {
	if b.dir.ino == 0 {
		return errManifest
	}
	ref := blockRef{at: m.size, low: ^uint64(0), bytes: uint32(n)}
	for _, r := range b.recs {
		if r.kind == kindDirDone {
			if err := m.done.put(b.dir, dirDone{r.nlink, uint32(r.size), uint32(r.size >> 32)}); err != nil {
				return err
			}
			delete(m.short, b.dir)
			delete(m.unread, b.dir)
			continue
		}
		if r.kind == kindUnread {
			if m.unread == nil {
				m.unread = map[inode]bool{}
			}
			m.unread[inode{b.dir.dev, r.ino}] = true
		}
		m.gaps = m.gaps || r.kind == kindUnread || r.kind == kindDirIncomplete && r.size > 0
		if r.kind == kindDirIncomplete {
			m.done.del(b.dir)
			delete(m.short, b.dir)
			delete(m.unread, b.dir)
			if r.size > 0 {
				if m.short == nil {
					m.short = map[inode]bool{}
				}
				m.short[b.dir] = true
			}
			continue
		}
		if r.kind == kindShared {
			continue
		}
		ref.low, ref.top = min(ref.low, r.ino), max(ref.top, r.ino)
		if links && r.nlink > 1 && (r.kind.complete() || r.kind == kindDamaged) && r.ino != 0 {
			k := inode{b.dir.dev, r.ino}
			l, ok := m.links.get(k)
			if !ok {
				l.atLow, l.atHigh, l.bytes = uint32(m.size), uint32(m.size>>32), uint32(n)
			}
			l.seen++
			if err := m.links.put(k, l); err != nil {
				return err
			}
		}
	}
	if ref.low > ref.top {
		return nil
	}
	ref.next, _ = m.heads.get(b.dir)
	m.refs = append(m.refs, ref)
	if len(m.refs) > math.MaxUint32 {
		return errors.New("manifest: more than 2^32 blocks")
	}
	return m.heads.put(b.dir, uint32(len(m.refs)))
}

// isShort reports whether some names of a directory could not be read when it was copied.
func (m *Manifest) isShort(d inode) bool { return m != nil && m.short[d] }

// blocks returns the blocks of a directory in the order in which they were written.
func (m *Manifest) blocks(d inode) (refs []blockRef) {
	i, _ := m.heads.get(d)
	for ; i != 0; i = m.refs[i-1].next {
		refs = append(refs, m.refs[i-1])
	}
	slices.Reverse(refs)
	return refs
}

// block reads the block of n bytes at offset at.
func (m *Manifest) block(at int64, n uint32) (block, error) {
	b := make([]byte, n)
	if _, err := m.r.ReadAt(b, at); err != nil && !errors.Is(err, io.EOF) {
		return block{}, err
	}
	blk, used, err := parseBlock(b)
	if err == nil && used != len(b) {
		err = errManifest
	}
	return blk, err
}

// names returns the records of one directory for the inodes of es, by name; a later record replaces an earlier one. It reads
// only blocks with such inodes, so that a directory with millions of names does not fill the memory.
func (m *Manifest) names(d inode, es []entry) (map[string]record, error) {
	if m == nil || len(es) == 0 {
		return nil, nil
	}
	blocks := m.blocks(d)
	if len(blocks) == 0 {
		return nil, nil
	}
	low, top := ^uint64(0), uint64(0)
	for _, e := range es {
		low, top = min(low, e.ino), max(top, e.ino)
	}
	rs := make(map[string]record, len(es))
	for _, ref := range blocks {
		if ref.top < low || ref.low > top {
			continue
		}
		b, err := m.block(ref.at, ref.bytes)
		if err != nil {
			return nil, fmt.Errorf("manifest: block at %d: %w", ref.at, err)
		}
		for _, r := range b.recs {
			if r.kind.ofName() && r.ino >= low && r.ino <= top {
				rs[r.name] = r
			}
		}
	}
	return rs, nil
}

// first returns the path of the first name of a multiply linked inode.
func (m *Manifest) first(k inode) (string, error) {
	l, ok := m.links.get(k)
	if !ok {
		return "", errManifest
	}
	b, err := m.block(int64(l.atHigh)<<32|int64(l.atLow), l.bytes)
	if err != nil {
		return "", err
	}
	for _, r := range b.recs {
		if r.ino == k.ino && (r.kind.complete() || r.kind == kindDamaged) {
			if b.path == "." {
				return r.name, nil
			}
			return b.path + "/" + r.name, nil
		}
	}
	return "", errManifest
}

// completeFile returns the path and size of the complete file to which the extent record at p belongs.
func (m *Manifest) completeFile(p place) (path string, size int64, err error) {
	if m == nil {
		return "", 0, errManifest
	}
	b, err := m.block(p.at, p.bytes)
	if err != nil {
		return "", 0, err
	}
	rs, err := m.names(b.dir, []entry{{ino: p.ino}})
	if err != nil {
		return "", 0, err
	}
	for _, r := range b.recs {
		if f := rs[r.name]; r.kind == kindShared && r.ino == p.ino && f.kind == kindFile && f.ino == p.ino {
			if b.path == "." {
				return r.name, f.size, nil
			}
			return b.path + "/" + r.name, f.size, nil
		}
	}
	return "", 0, errManifest
}
