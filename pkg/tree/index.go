package tree

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Manifest is an index of a manifest: per directory the places of its blocks.
// The records stay where they are. It is safe for concurrent use.
type Manifest struct {
	r      io.ReaderAt
	size   int64 // of the good prefix
	blocks map[inode][]blockRef
	done   map[inode]record   // kindDirDone
	links  map[inode]linkSeen // inodes with several links
}

// blockRef says where a block is, and which inodes it is about.
type blockRef struct {
	at       int64
	low, top uint64
}

type linkSeen struct {
	at   int64 // the block of its first name
	seen uint32
}

// OpenManifest indexes the first size bytes of r. A torn or damaged block ends
// the index quietly: what follows is copied, or hashed, again.
func OpenManifest(r io.ReaderAt, size int64) (*Manifest, error) {
	m := &Manifest{r: r, blocks: map[inode][]blockRef{}, done: map[inode]record{}, links: map[inode]linkSeen{}}
	for m.size < size {
		b, n, err := m.block(m.size, size)
		if errors.Is(err, errManifest) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		ref := blockRef{at: m.size, low: ^uint64(0)}
		for _, r := range b.recs {
			if r.kind == kindDirDone {
				m.done[b.dir] = r
				continue
			}
			ref.low, ref.top = min(ref.low, r.ino), max(ref.top, r.ino)
			if r.nlink > 1 && r.kind != kindPartial {
				k := inode{b.dir.dev, r.ino}
				l, ok := m.links[k]
				if !ok {
					l.at = m.size
				}
				l.seen++
				m.links[k] = l
			}
		}
		if ref.low <= ref.top {
			m.blocks[b.dir] = append(m.blocks[b.dir], ref)
		}
		m.size += n
	}
	return m, nil
}

func (m *Manifest) block(at, limit int64) (block, int64, error) {
	var head [8]byte
	if _, err := m.r.ReadAt(head[:], at); err != nil {
		return block{}, 0, err
	}
	n := int64(binary.LittleEndian.Uint32(head[4:])) + 16
	if n > manifestMaxBody+16 || at+n > limit {
		return block{}, 0, errManifest
	}
	b := make([]byte, n)
	if _, err := m.r.ReadAt(b, at); err != nil && !errors.Is(err, io.EOF) {
		return block{}, 0, err
	}
	blk, used, err := parseBlock(b)
	return blk, int64(used), err
}

// names returns the records of one directory for the inodes of es, by name; a
// later one replaces an earlier one. Only blocks about such inodes are read, so
// that a directory of millions of names does not fill the memory.
func (m *Manifest) names(d inode, es []entry) (map[string]record, error) {
	if m == nil || len(es) == 0 || len(m.blocks[d]) == 0 {
		return nil, nil
	}
	low, top := ^uint64(0), uint64(0)
	for _, e := range es {
		low, top = min(low, e.ino), max(top, e.ino)
	}
	rs := make(map[string]record, len(es))
	for _, ref := range m.blocks[d] {
		if ref.top < low || ref.low > top {
			continue
		}
		b, _, err := m.block(ref.at, m.size)
		if err != nil {
			return nil, fmt.Errorf("manifest: block at %d: %w", ref.at, err)
		}
		for _, r := range b.recs {
			if r.kind != kindDirDone && r.ino >= low && r.ino <= top {
				rs[r.name] = r
			}
		}
	}
	return rs, nil
}

// first returns the path of the first name of a multiply linked inode.
func (m *Manifest) first(k inode) (string, error) {
	l, ok := m.links[k]
	if !ok {
		return "", errManifest
	}
	b, _, err := m.block(l.at, m.size)
	if err != nil {
		return "", err
	}
	for _, r := range b.recs {
		if r.ino == k.ino && r.kind != kindPartial && r.kind != kindDirDone {
			if b.path == "." {
				return r.name, nil
			}
			return b.path + "/" + r.name, nil
		}
	}
	return "", errManifest
}
