package tree

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"unsafe"
)

// TestTableIsAMap compares a table with a map, including growth, collisions and deletions.
func TestTableIsAMap(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var got tables[linkPair]
	defer got.free()
	want := map[inode]linkPair{}
	for range 300_000 {
		// Dense inodes of a few devices, some of them too large for the common table.
		k := inode{rnd.Uint64N(3) + 7, rnd.Uint64N(9000) + 1}
		if rnd.IntN(8) == 0 {
			k.ino |= 1 << 60
		}
		switch rnd.IntN(3) {
		case 0:
			delete(want, k)
			got.del(k)
		default:
			v := linkPair{rnd.Uint32(), rnd.Uint32(), 1}
			want[k] = v
			if err := got.put(k, v); err != nil {
				t.Fatal(err)
			}
		}
		k.ino ^= 1
		if w, ok := want[k]; ok {
			if g, ok := got.get(k); !ok || g != w {
				t.Fatalf("%v: %v %v, want %v", k, g, ok, w)
			}
		} else if g, ok := got.get(k); ok {
			t.Fatalf("%v: %v, want none", k, g)
		}
	}
	n := 0
	if err := got.each(func(k inode, v linkPair) error {
		if n++; want[k] != v {
			t.Errorf("%v: %v, want %v", k, v, want[k])
		}
		return nil
	}); err != nil || n != len(want) {
		t.Errorf("%d entries, want %d; %v", n, len(want), err)
	}
	if err := got.put(inode{7, 0}, linkPair{}); err == nil {
		t.Error("inode 0 was taken")
	}
}

// TestTenMillionLinksFitTheBudget uses ten million names of five million inodes, with the second name far from the first: the
// most that a copy, and then its verification, has to keep in memory.
func TestTenMillionLinksFitTheBudget(t *testing.T) {
	const inodes, budget = 5_000_000, 256 << 20
	l := newLinks()
	defer l.ready.free()
	for i := range uint64(inodes) {
		r := linkRec{left: 1, hlen: 12, htype: 0x81}
		binary.LittleEndian.PutUint64(r.handle[:], i*3+128)
		if w, err := l.publish(inode{1, i + 12}, r, ""); err != nil || w != nil {
			t.Fatal(w, err)
		}
	}
	t.Logf("links of a copy: %d MiB", l.ready.bytes()>>20)
	if n := l.ready.bytes(); n > budget-64<<20 || len(l.wide)+len(l.paths)+len(l.busy) > 0 {
		t.Errorf("%d bytes for %d inodes, and %d outside of the table", n, inodes, len(l.wide)+len(l.paths)+len(l.busy))
	}
	for i := uint64(0); i < inodes; i += 97 {
		r, last := l.used(inode{1, i + 12})
		if !last || binary.LittleEndian.Uint64(r.handle[:]) != i*3+128 {
			t.Fatalf("inode %d: %+v, last %v", i, r, last)
		}
	}
	l.ready.free()

	var v tables[linkPair]
	defer v.free()
	for i := range uint64(inodes) {
		if err := v.put(inode{1, i + 12}, linkPair{uint32(i), 0, 1}); err != nil {
			t.Fatal(err)
		}
	}
	// And the index of a manifest of a million directories.
	m := &Manifest{}
	defer m.Close()
	b := block{recs: []record{{kind: kindFile, ino: 12}, {kind: kindDirDone}}}
	for i := range uint64(1_000_000) {
		b.dir.ino, b.recs[0].ino = i*11+2, i*11+3
		if err := m.index(&b, 100, false); err != nil {
			t.Fatal(err)
		}
	}
	index := m.heads.bytes() + m.done.bytes() + int64(cap(m.refs))*int64(unsafe.Sizeof(blockRef{}))
	t.Logf("of a verification: links %d MiB, index of the manifest %d MiB", v.bytes()>>20, index>>20)
	if n := v.bytes() + index; n > budget-32<<20 {
		t.Errorf("verification: %d bytes for %d inodes in a million directories", n, inodes)
	}
}

// bytes returns the memory in use.
func (t *table[V]) bytes() (n int64) {
	for i := range t.shards {
		n += int64(len(t.shards[i].mem))
	}
	return n
}
