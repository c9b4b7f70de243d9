package tree

import (
	"math/bits"
	"unsafe"

	"golang.org/x/sys/unix"
)

// table is a hash table from inode numbers of one device to values without pointers. Ten million files may mean five million
// inodes with two names each, so it is compact: a slot has only key and value, one shard grows at a time, by a quarter, and the
// memory is not garbage collected. The zero table is ready to use; free releases its memory. 0 is not a valid key. It is not
// safe for concurrent use.
type table[V any] struct {
	shards [64]shard[V]
	n      int
}

type shard[V any] struct {
	mem   []byte
	slots []slot[V]
	n     int
}

// slot has its key in halves, so that its alignment is only 4 bytes.
type slot[V any] struct {
	low, high uint32
	val       V
}

func (s *slot[V]) key() uint64 { return uint64(s.high)<<32 | uint64(s.low) }

// place returns the shard and the hash of a key. Inode numbers are dense; a multiplication spreads them.
func (t *table[V]) place(k uint64) (*shard[V], uint64) {
	h := (k ^ k>>32) * 0x9e3779b97f4a7c15
	return &t.shards[h>>58], h << 6
}

func (s *shard[V]) home(h uint64) int {
	i, _ := bits.Mul64(h, uint64(len(s.slots)))
	return int(i)
}

// find returns the index of k, or of the free slot where it belongs.
func (s *shard[V]) find(k, h uint64) (int, bool) {
	for i := s.home(h); ; i++ {
		if i == len(s.slots) {
			i = 0
		}
		switch s.slots[i].key() {
		case k:
			return i, true
		case 0:
			return i, false
		}
	}
}

func (t *table[V]) get(k uint64) (v V, ok bool) {
	if s, h := t.place(k); s.n > 0 && k != 0 {
		if i, found := s.find(k, h); found {
			return s.slots[i].val, true
		}
	}
	return v, false
}

func (t *table[V]) put(k uint64, v V) error {
	if k == 0 {
		return unix.EUCLEAN
	}
	s, h := t.place(k)
	if s.n >= len(s.slots)*17/20 {
		if err := t.grow(s); err != nil {
			return err
		}
	}
	i, found := s.find(k, h)
	if !found {
		s.n++
		t.n++
	}
	s.slots[i] = slot[V]{uint32(k), uint32(k >> 32), v}
	return nil
}

func (t *table[V]) grow(s *shard[V]) error {
	n := max(128, len(s.slots)*2)
	if len(s.slots) >= 1<<14 {
		n = len(s.slots) * 5 / 4
	}
	var one slot[V]
	mem, err := unix.Mmap(-1, 0, n*int(unsafe.Sizeof(one)), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return err
	}
	old := *s
	s.mem, s.slots = mem, unsafe.Slice((*slot[V])(unsafe.Pointer(&mem[0])), n)
	for i := range old.slots {
		if k := old.slots[i].key(); k != 0 {
			_, h := t.place(k)
			at, _ := s.find(k, h)
			s.slots[at] = old.slots[i]
		}
	}
	if old.mem != nil {
		return unix.Munmap(old.mem)
	}
	return nil
}

// del removes k, and moves later entries of its probe sequence back.
func (t *table[V]) del(k uint64) {
	s, h := t.place(k)
	if s.n == 0 || k == 0 {
		return
	}
	i, found := s.find(k, h)
	if !found {
		return
	}
	s.n--
	t.n--
	n := len(s.slots)
	for j := i; ; {
		s.slots[i] = slot[V]{}
		for {
			if j++; j == n {
				j = 0
			}
			k := s.slots[j].key()
			if k == 0 {
				return
			}
			_, h := t.place(k)
			// It may move to i if its home is not between i and j.
			if home := s.home(h); (j-home+n)%n >= (j-i+n)%n {
				break
			}
		}
		s.slots[i] = s.slots[j]
		i = j
	}
}

// each calls f for every entry until f returns an error. f must not change t.
func (t *table[V]) each(f func(k uint64, v V) error) error {
	for i := range t.shards {
		for j := range t.shards[i].slots {
			if s := &t.shards[i].slots[j]; s.key() != 0 {
				if err := f(s.key(), s.val); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (t *table[V]) free() {
	for i := range t.shards {
		if m := t.shards[i].mem; m != nil {
			_ = unix.Munmap(m)
		}
		t.shards[i] = shard[V]{}
	}
	t.n = 0
}

// tables is a table for inodes of several devices: each btrfs subvolume has its own device number, and there may be thousands.
// Devices are numbered in the order in which they appear, and that number is in the upper 16 bits of the key. Inode numbers of
// more than 48 bits are kept in a separate table for each device.
type tables[V any] struct {
	table[V]
	number  map[uint64]uint64
	devices []uint64
	large   map[uint64]*table[V]
}

const inodeBits = 48

// len returns how many inodes are in it.
func (t *tables[V]) len() int {
	n := t.n
	for _, l := range t.large {
		n += l.n
	}
	return n
}

// at returns the table and the key for k; the table is nil if there is none yet.
func (t *tables[V]) at(k inode) (*table[V], uint64) {
	if k.ino == 0 {
		return nil, 0
	}
	if n, ok := t.number[k.dev]; ok && k.ino < 1<<inodeBits {
		return &t.table, n<<inodeBits | k.ino
	}
	return t.large[k.dev], k.ino
}

func (t *tables[V]) get(k inode) (v V, ok bool) {
	if d, key := t.at(k); d != nil {
		return d.get(key)
	}
	return v, false
}

func (t *tables[V]) put(k inode, v V) error {
	if k.ino == 0 {
		return unix.EUCLEAN
	}
	if _, ok := t.number[k.dev]; !ok && k.ino < 1<<inodeBits && len(t.devices) < 1<<(64-inodeBits) {
		if t.number == nil {
			t.number = map[uint64]uint64{}
		}
		t.number[k.dev] = uint64(len(t.devices))
		t.devices = append(t.devices, k.dev)
	}
	d, key := t.at(k)
	if d == nil {
		if t.large == nil {
			t.large = map[uint64]*table[V]{}
		}
		d = &table[V]{}
		t.large[k.dev] = d
	}
	return d.put(key, v)
}

func (t *tables[V]) del(k inode) {
	if d, key := t.at(k); d != nil {
		d.del(key)
	}
}

func (t *tables[V]) each(f func(k inode, v V) error) error {
	err := t.table.each(func(key uint64, v V) error {
		return f(inode{t.devices[key>>inodeBits], key & (1<<inodeBits - 1)}, v)
	})
	for dev, d := range t.large {
		if err == nil {
			err = d.each(func(ino uint64, v V) error { return f(inode{dev, ino}, v) })
		}
	}
	return err
}

func (t *tables[V]) free() {
	t.table.free()
	for _, d := range t.large {
		d.free()
	}
}
