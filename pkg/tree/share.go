package tree

import (
	"slices"
	"sort"
	"sync"

	"golang.org/x/sys/unix"
)

// shares records where on the target the shared extents of the source are, so that the next file with one of them can share it
// there. A range is ready only when all data of its file is on the target. Its size is bounded: extents that do not fit are
// copied like other data.
type shares struct {
	mu         sync.Mutex
	buckets    map[int64][]sharedRec // by phys >> bucketBits, each sorted by phys, without overlap
	files      []sharedFile
	waiting    map[uint32][]waiter // for a file being copied
	n, most    int
	distrusted bool // the target of the interrupted copy does not match its manifest
}

// sharedRec records that length bytes at phys on the source's disk are at offset off of file.
type sharedRec struct {
	phys, off    int64
	length, file uint32
}

// sharedFile locates a file on the target.
type sharedFile struct {
	handle [20]byte // or, if shareStored, the place of its record: offset and length of the manifest's block, inode
	htype  uint16
	hlen   uint8
	state  shareState
}

type shareState uint8

const (
	shareDead   shareState = iota // cannot be shared
	shareBusy                     // being copied
	shareReady                    // complete, located by its handle
	shareStored                   // complete in the interrupted copy, located by its manifest
)

const (
	// A record never crosses a multiple of this, so that inserting one moves little.
	bucketBits = 28
	// shareMost bounds the number of records, and of files: at most about 54 MiB, in addition to the 192 MiB of links.
	shareMost = 1 << 19
	// shareMostOfFile bounds the number of extents of one file, however fragmented it is.
	shareMostOfFile = 1 << 15
	// shareLongest is longer than any extent, in bytes. It bounds the number of records for one extent.
	shareLongest = 1 << 44
)

func newShares() *shares {
	return &shares{buckets: map[int64][]sharedRec{}, waiting: map[uint32][]waiter{}, files: make([]sharedFile, 1), most: shareMost}
}

// sharing is what a file that is being copied shares with others.
type sharing struct {
	extents []extent // shared extents in the source
	have    []share  // what can be shared on the target
	mine    uint32   // its number, 0 if it has no claims
}

// share is a range of a file whose data is already in another file on the target.
type share struct {
	span
	file uint32
	from int64 // the offset in that file
}

func (s *shares) usable(file uint32) bool {
	st := s.files[file].state
	return st == shareReady || st == shareStored && !s.distrusted
}

// distrust stops the sharing of files that the interrupted copy left.
func (s *shares) distrust() {
	if s != nil {
		s.mu.Lock()
		s.distrusted = true
		s.mu.Unlock()
	}
}

// distrustDir calls distrust if d is new on the target although the manifest has finished files in it.
func (s *shares) distrustDir(prior *Manifest, d *dir) {
	if s == nil || prior == nil {
		return
	}
	if _, was := prior.heads.get(d.key()); was {
		s.distrust()
	}
}

// each calls f for the pieces of [phys, end), none of which crosses a bucket. r is nil for a piece without a record.
func (s *shares) each(phys, end int64, f func(from, to int64, r *sharedRec)) {
	for phys < end {
		b := s.buckets[phys>>bucketBits]
		stop := min(end, (phys>>bucketBits+1)<<bucketBits)
		at := phys
		i := sort.Search(len(b), func(i int) bool { return b[i].phys+int64(b[i].length) > at })
		for phys < stop {
			if i == len(b) || b[i].phys >= stop {
				f(phys, stop, nil)
				break
			}
			if b[i].phys > phys {
				f(phys, b[i].phys, nil)
				phys = b[i].phys
			}
			to := min(stop, b[i].phys+int64(b[i].length))
			f(phys, to, &b[i])
			phys, i = to, i+1
		}
		phys = stop
	}
}

// plan returns what a file with the shared extents es can share on the target, and claims the rest for it. If a file that is
// being copied has claimed a part of it, plan changes nothing except that w waits for that file. A file with claims never
// waits, so there are no deadlocks.
func (s *shares) plan(es []extent, w waiter) (x sharing, wait bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	gaps, busy := 0, uint32(0)
	for _, e := range es {
		s.each(e.phys, e.phys+e.len, func(_, _ int64, r *sharedRec) {
			if r == nil {
				gaps++
			} else if s.files[r.file].state == shareBusy {
				busy = r.file
			}
		})
	}
	if busy != 0 {
		w.d.pending.Add(1)
		s.waiting[busy] = append(s.waiting[busy], w)
		return sharing{}, true
	}
	room := s.n+gaps <= s.most && len(s.files) < s.most
	x.extents = es
	for _, e := range es {
		var claims []sharedRec
		s.each(e.phys, e.phys+e.len, func(at, to int64, r *sharedRec) {
			off := e.off + at - e.phys
			switch {
			case r == nil && room:
				claims = append(claims, sharedRec{at, off, uint32(to - at), uint32(len(s.files))})
			case r != nil && int(r.file) < len(s.files) && s.usable(r.file): // not its own new claims
				x.have = appendShare(x.have, share{span{off, off + to - at}, r.file, r.off + at - r.phys})
			}
		})
		for _, r := range claims {
			s.insert(r)
			x.mine = r.file
		}
	}
	if x.mine != 0 {
		s.add(sharedFile{state: shareBusy})
	}
	return x, false
}

func (s *shares) add(f sharedFile) uint32 {
	s.files = append(s.files, f)
	return uint32(len(s.files) - 1)
}

func appendShare(have []share, x share) []share {
	if n := len(have) - 1; n >= 0 {
		if last := &have[n]; last.file == x.file && last.end == x.off && last.from+last.end-last.off == x.from {
			last.end = x.end
			return have
		}
	}
	return append(have, x)
}

func (s *shares) insert(r sharedRec) {
	k := r.phys >> bucketBits
	b := s.buckets[k]
	i := sort.Search(len(b), func(i int) bool { return b[i].phys > r.phys })
	s.buckets[k] = slices.Insert(b, i, r)
	s.n++
}

// publish records that all data of a file with claims is on the target, with the handle h, and returns the files that waited for
// it. If h is nil, the file cannot be shared.
func (s *shares) publish(mine uint32, h *linkRec) []waiter {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := &s.files[mine]
	f.state = shareDead
	if h != nil {
		*f = sharedFile{h.handle, h.htype, h.hlen, shareReady}
	}
	ws := s.waiting[mine]
	delete(s.waiting, mine)
	return ws
}

func (s *shares) file(i uint32) sharedFile {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.usable(i) {
		return sharedFile{}
	}
	return s.files[i]
}

// extentsShared returns the shared extents of a source file, in order of offset. It leaves out extents whose place on the disk
// does not identify the data: compressed and inline ones, and those on the realtime device of xfs, whose blocks are also
// counted from 0. What is left out is copied as data.
func (c *copier) extentsShared(w *worker, fd int, m *meta) (es []extent) {
	if c.shares == nil || m.size == 0 || m.blocks == 0 {
		return nil
	}
	const no = fiemapExtentUnknown | fiemapExtentDelalloc | fiemapExtentEncoded | fiemapExtentEncrypted | fiemapExtentNotAligned |
		fiemapExtentInline | fiemapExtentTail | fiemapExtentUnwritten
	for x := (extents{fd: fd, buf: w.mapBuffer()}); len(es) < shareMostOfFile; {
		e, ok, err := x.next()
		if err != nil {
			return nil // reading the data will report the error
		}
		if !ok || e.off >= m.size {
			break
		}
		if e.flags&fiemapExtentShared != 0 && e.flags&no == 0 && e.phys > 0 && e.phys <= 1<<62 && e.len <= shareLongest {
			es = append(es, e)
		}
	}
	if len(es) > 0 && c.src.magic == unix.XFS_SUPER_MAGIC {
		if x, err := getFSX(fd); err != nil || x.xflags&xfRealtime != 0 {
			return nil
		}
	}
	return es
}
