package extent

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// The log is a ring of 512-byte blocks. Each block's first word is the cycle, the
// number of the pass over the ring that wrote it; the first block of a record
// has the magic there, and the cycle in the second word.
const (
	logBlock       = 512
	logMagic       = 0xfeedbabe
	logUnmountFlag = 0x20    // in an operation's flags
	logHeaderCycle = 1 << 15 // bytes of record that one header block describes
	// logInFlight is the most that can be written out of order at one time:
	// 8 records of 256 KiB and their headers. Looking this far from the head shows
	// whether the search for it was misled by a torn write.
	logInFlight = 8 * (256<<10 + 8*logBlock) / logBlock
)

type xfsLog struct {
	r     io.ReaderAt
	start int64 // byte
	n     int64 // log blocks
}

// read reads n blocks from block at, which counts modulo the ring.
func (l *xfsLog) read(at, n int64) ([]byte, error) {
	at = ((at % l.n) + l.n) % l.n
	b := make([]byte, n*logBlock)
	k := min(n, l.n-at)
	if err := readFull(l.r, b[:k*logBlock], l.start+at*logBlock); err != nil {
		return nil, fmt.Errorf("xfs log: %w", err)
	}
	if n > k {
		if err := readFull(l.r, b[k*logBlock:], l.start); err != nil {
			return nil, fmt.Errorf("xfs log: %w", err)
		}
	}
	return b, nil
}

func isLogHeader(b []byte) bool { return binary.BigEndian.Uint32(b) == logMagic }

func logCycle(b []byte) uint32 {
	if isLogHeader(b) {
		return binary.BigEndian.Uint32(b[4:])
	}
	return binary.BigEndian.Uint32(b)
}

// head finds the block that will be written next, by bisection: blocks before
// it carry the cycle of block 0, those after it an older one.
func (l *xfsLog) head() (int64, uint32, error) {
	b, err := l.read(0, 1)
	if err != nil {
		return 0, 0, err
	}
	first := logCycle(b)
	lo, hi := int64(0), l.n // block lo is of the first cycle, block hi is not, or is the end
	for hi-lo > 1 {
		mid := lo + (hi-lo)/2
		if b, err = l.read(mid, 1); err != nil {
			return 0, 0, err
		}
		if logCycle(b) == first {
			lo = mid
		} else {
			hi = mid
		}
	}
	return hi, first, nil
}

// checkLog refuses unless the last record of the log is that of an unmount, and returns where that is, in bytes of the
// filesystem. Anything unexpected counts as dirty: only replay can tell.
func (s *xfsSuper) checkLog(r io.ReaderAt) (int64, error) {
	dirty := func(format string, args ...any) (int64, error) {
		return 0, fmt.Errorf("xfs log: "+format+"; mount and unmount the filesystem: %w", append(args, ErrDirty)...)
	}
	l := &xfsLog{r: r, start: s.logBlock, n: s.logSize / logBlock}
	head, cycle, err := l.head()
	if err != nil {
		return 0, err
	}
	if cycle == 0 {
		return dirty("is empty")
	}
	// A record is at most 512 blocks and 8 of header; a wrapped log has at least twice that.
	back := min(logInFlight, l.n)
	if head < back && head < l.n {
		// Before block 0 the ring continues at its end, one cycle earlier.
		if b, err := l.read(l.n-1, 1); err != nil {
			return 0, err
		} else if logCycle(b) == 0 {
			back = head
		}
	}
	before, err := l.read(head-back, back)
	if err != nil {
		return 0, err
	}
	last := int64(-1)
	for i := range back {
		b, want := before[i*logBlock:], cycle
		if head-back+i < 0 {
			want--
		}
		if got := logCycle(b); got != want {
			return dirty("block %d before its head is of cycle %d, want %d: a write was torn", back-i, got, want)
		}
		if isLogHeader(b) {
			last = i
		}
	}
	ahead := min(logInFlight, l.n-head)
	after, err := l.read(head, ahead)
	if err != nil {
		return 0, err
	}
	for i := range ahead {
		if got := logCycle(after[i*logBlock:]); got >= cycle {
			return dirty("block %d after its head is of cycle %d, want less than %d: a write was torn", i, got, cycle)
		}
	}
	if last < 0 {
		return dirty("has no record before its head at block %d", head)
	}
	rec := before[last*logBlock:]
	u32 := func(o int) int64 { return int64(binary.BigEndian.Uint32(rec[o:])) }
	headers := int64(1)
	if size := u32(320); u32(8)&2 != 0 && size > logHeaderCycle {
		headers = (size + logHeaderCycle - 1) / logHeaderCycle
	}
	end := last + headers + (u32(12)+logBlock-1)/logBlock
	if ops := u32(40); end != back || ops != 1 || last+headers >= back {
		return dirty("its last record has %d operations and ends %d blocks before the head at block %d: it is not that of an unmount", ops, back-end, head)
	}
	if !bytes.Equal(rec[304:320], s.uuid) {
		return dirty("belongs to filesystem %s", formatUUID(rec[304:]))
	}
	if flags := rec[headers*logBlock+9]; flags&logUnmountFlag == 0 {
		return dirty("its last operation has flags %#x: it is not that of an unmount", flags)
	}
	return s.logBlock + ((head-back+last)%l.n+l.n)%l.n*logBlock, nil
}
