package sim

import (
	"bytes"
	"hash/maphash"
	"io"
	"iter"
)

const page = 4096

// journalMark begins a record of a migration's journal. No look reads those, so they do not count in Disk.Sum.
const journalMark = "MIJR"

// Disk is a sparse disk in memory: only pages that are not zero are kept, so that two disks of one content are equal.
type Disk struct {
	Name   string
	Serial string // "" where it has none
	Size   int64
	Source bool
	pages  map[int64]*[page]byte
	Sum    uint64 // over all pages but those of a journal's records
	Whole  uint64 // over all pages
}

//nolint:gochecknoglobals // sums of two machines are compared, so that all must be made with one seed
var seed = maphash.MakeSeed()

// count takes a page into the sums, or out of them.
func (d *Disk) count(at int64, p *[page]byte) {
	if p == nil || *p == [page]byte{} {
		return
	}
	h := maphash.Bytes(seed, p[:]) * uint64(2*at+1)
	d.Whole ^= h
	if head := string(p[:4]); head != journalMark {
		d.Sum ^= h
	}
}

// NewDisk is an empty disk.
func NewDisk(name string, size int64) *Disk {
	return &Disk{Name: name, Serial: "SER-" + name, Size: size, pages: map[int64]*[page]byte{}}
}

// ReadAt reads.
func (d *Disk) ReadAt(b []byte, off int64) (int, error) {
	clear(b)
	n := int64(len(b))
	for at := off / page * page; at < off+n; at += page {
		if p := d.pages[at]; p != nil {
			from, to := max(at, off), min(at+page, off+n)
			copy(b[from-off:to-off], p[from-at:to-at])
		}
	}
	if off+n > d.Size {
		return int(max(0, d.Size-off)), io.EOF
	}
	return len(b), nil
}

// Write writes.
func (d *Disk) Write(b []byte, off int64) {
	for len(b) > 0 {
		at := off / page * page
		n := min(int64(len(b)), at+page-off)
		p := d.pages[at]
		if p == nil && bytes.Count(b[:n], []byte{0}) == int(n) {
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

func (d *Disk) clone() *Disk {
	c := NewDisk(d.Name, d.Size)
	c.Serial, c.Source, c.Sum, c.Whole = d.Serial, d.Source, d.Sum, d.Whole
	for k, p := range d.pages {
		q := *p
		c.pages[k] = &q
	}
	return c
}

// Pages gives the pages that are not zero, by their offset.
func (d *Disk) Pages() iter.Seq2[int64, []byte] {
	return func(yield func(int64, []byte) bool) {
		for at, p := range d.pages {
			if !yield(at, p[:]) {
				return
			}
		}
	}
}
