package tree

import (
	"slices"
	"sort"
	"sync"

	"golang.org/x/sys/unix"
)

// shares remembers where on the target the shared extents of the source went,
// so that the next file with one of them shares it there. What it says is true:
// a range is ready only when all of its file's data is on the target. It is
// bounded: what it has no room for is copied like any data.
type shares struct {
	mu      sync.Mutex
	buckets map[int64][]sharedRec // by phys >> bucketBits, each sorted by phys, without overlap
	files   []sharedFile
	waiting map[uint32][]waiter // for a file under way
	n, most int
	doubted bool // what the interrupted copy left is not as its manifest says
}

// sharedRec says that length bytes at phys of the source are at off of file.
type sharedRec struct {
	phys, off    int64
	length, file uint32
}

// sharedFile finds a file on the target.
type sharedFile struct {
	handle [20]byte // or, of stored, its record: place and length of the manifest's block, inode
	htype  uint16
	hlen   uint8
	state  shareState
}

type shareState uint8

const (
	shareDead   shareState = iota // no one can share it
	shareBusy                     // under way
	shareReady                    // by its handle
	shareStored                   // of the interrupted copy, by its manifest
)

const (
	// A record never crosses a multiple of this, so that inserting one moves little.
	bucketBits = 28
	// shareMost bounds records and files each: some 54 MiB at the worst, beside the 192 of links.
	shareMost = 1 << 19
	// shareMostOfFile bounds what one file, however fragmented, adds while it is under way.
	shareMostOfFile = 1 << 15
	// shareLongest bounds the pieces that one extent can make; none is so long.
	shareLongest = 1 << 44
)

func newShares() *shares {
	return &shares{buckets: map[int64][]sharedRec{}, waiting: map[uint32][]waiter{}, files: make([]sharedFile, 1), most: shareMost}
}

// sharing is what a file under way has to do with others.
type sharing struct {
	extents []extent // of the source, that others share
	have    []share
	mine    uint32 // its number, 0 if it claimed nothing
}

// share is a piece of a file whose data is in another file of the target already.
type share struct {
	span
	file uint32
	from int64 // the offset there
}

func (s *shares) usable(file uint32) bool {
	st := s.files[file].state
	return st == shareReady || st == shareStored && !s.doubted
}

// doubt ends all trust in what the interrupted copy left.
func (s *shares) doubt() {
	if s != nil {
		s.mu.Lock()
		s.doubted = true
		s.mu.Unlock()
	}
}

// doubtDir does so when d is new although files of it were finished.
func (s *shares) doubtDir(prior *Manifest, d *dir) {
	if s == nil || prior == nil {
		return
	}
	if _, was := prior.heads.get(d.key()); was {
		s.doubt()
	}
}

// each calls f for [phys, end) in pieces, of which no one crosses a bucket: r is
// nil for what is not known.
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

// plan says what of a file with the shared extents es is on the target already,
// and claims the rest for it. If a file under way has claimed some of it, nothing
// happens but that w waits for that file. Who has a claim never waits, so all waiting ends.
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
			case r != nil && int(r.file) < len(s.files) && s.usable(r.file): // not what it claimed just now
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

// publish tells that all data of a file with claims is on the target, at h, and
// returns who waited. With a nil h no one will share it.
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

// extentsShared lists the extents of a file of the source that something else
// shares, in order of offset, and only those of which the place says what the
// data is: no compressed or inline ones, and none of xfs's realtime device,
// which counts its blocks from 0 as well. What is left out is copied as data.
func (c *copier) extentsShared(w *worker, fd int, m *meta) (es []extent) {
	if c.shares == nil || m.size == 0 || m.blocks == 0 {
		return nil
	}
	const no = fiemapExtentUnknown | fiemapExtentDelalloc | fiemapExtentEncoded | fiemapExtentEncrypted | fiemapExtentNotAligned |
		fiemapExtentInline | fiemapExtentTail | fiemapExtentUnwritten
	for x := (extents{fd: fd, buf: w.mapBuffer()}); len(es) < shareMostOfFile; {
		e, ok, err := x.next()
		if err != nil {
			return nil // whatever it is, reading the data will tell
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
