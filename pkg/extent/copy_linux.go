package extent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"migrate-init/pkg/crew"

	"github.com/zeebo/xxh3"
)

// target is the side that is written: a disk, or a broken one in tests.
type target interface {
	io.WriterAt
	Sync() error
}

// Copy copies the ranges of a from src to dst at the same offsets, and flushes
// them to the medium. It reopens src and dst for direct I/O if they support it,
// which needs /proc; the files passed in are not changed. If dst is a regular
// file, it is grown to a.Size; a device must have at least that size.
//
// Copy stops at the first error, or when ctx ends, and makes a last checkpoint.
// Errors are wrapped: a *[ReadError] for the source, the *os.PathError of the
// write for the target, or ctx.Err().
func Copy(ctx context.Context, src io.ReaderAt, dst *os.File, a *Allocation, o Options) (Result, error) {
	if err := a.check(); err != nil {
		return Result{}, err
	}
	if err := reserve(dst, a.Size); err != nil {
		return Result{}, err
	}
	d, err := openDisk(dst, os.O_RDWR, a.BlockSize)
	if err != nil {
		return Result{}, err
	}
	defer d.Close() //nolint:errcheck // everything was synced, or an error is returned already
	if f, ok := src.(*os.File); ok {
		s, err := openDisk(f, os.O_RDONLY, a.BlockSize)
		if err != nil {
			return Result{}, err
		}
		defer s.Close() //nolint:errcheck // only read
		src = s
	}
	res, err := copyWindows(ctx, src, d, a, o)
	res.Direct = d.direct
	return res, err
}

type copier struct {
	a    *Allocation
	o    Options
	src  *reader
	dst  target
	skip int // windows that were copied before Resume

	mu      sync.Mutex
	win     windows
	err     error
	res     Result
	low     int           // windows 0 to low-1 are done
	lowSize int64         // bytes in them
	ahead   map[int]int64 // windows after low that are done, and their bytes
	offset  int64
	saved   int // sums passed to Options.Checkpoint
	report  *reporter

	saving sync.Mutex
	savedA time.Time
	lost   error // of the first flush that failed
}

func copyWindows(ctx context.Context, src io.ReaderAt, dst target, a *Allocation, o Options) (Result, error) {
	c := &copier{a: a, o: o, dst: dst, src: newReader("source", src, a), win: windows{ranges: a.Ranges}, ahead: map[int]int64{}, savedA: time.Now(), report: newReporter(a.CopyBytes())}
	c.src.skipBad = o.SkipBad
	if o.CheckpointEvery == 0 {
		c.o.CheckpointEvery = 5 * time.Second
	}
	if r := o.Resume; r != nil {
		if r.Identity != a.Identity {
			return Result{}, fmt.Errorf("checkpoint is of filesystem state %s, the source is %s: copy from the start", r.Identity, a.Identity)
		}
		if r.First < 0 || r.Windows < 0 || r.First+len(r.Sums) > r.Windows {
			return Result{}, fmt.Errorf("checkpoint of %d windows has sums %d to %d", r.Windows, r.First, r.First+len(r.Sums))
		}
		c.skip, c.res.Bad = r.Windows, slices.Clone(r.Bad)
		c.report.pace.Skip(r.Bytes, 0)
		if r.First == 0 {
			c.res.Sums, c.saved = slices.Clone(r.Sums), len(r.Sums)
		}
	}
	wg := crew.New()
	for range o.workers(copyWorkers) {
		buf, release, err := alignedBuffer(Window)
		if err != nil {
			c.fail(err)
			break
		}
		wg.Go(func() {
			defer release()
			c.run(ctx, buf)
		})
	}
	still := crew.Every(stillEvery, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.tell()
	})
	wg.Wait()
	still()
	return c.finish()
}

func (c *copier) finish() (Result, error) {
	if err := c.save(); err != nil {
		c.err = errors.Join(c.err, err)
	}
	c.res.Bytes, c.res.Bad = c.lowSize, sortedSet(c.res.Bad)
	if c.o.Progress != nil {
		c.o.Progress(c.report.event(time.Now(), c.lowSize, c.offset))
	}
	if c.err != nil {
		return c.res, fmt.Errorf("copy of %s %s: %w", c.a.Type, c.a.UUID, c.err)
	}
	return c.res, nil
}

// sortedSet sorts bad and removes duplicates. A window that was copied after the last checkpoint is copied again after Resume, and
// reports its bad ranges again.
func sortedSet(bad []Range) []Range {
	s := slices.Clone(bad)
	slices.SortFunc(s, func(a, b Range) int { return cmp.Compare(a.Offset, b.Offset) })
	return slices.Compact(s)
}

// fail records the first error; later ones are consequences of it.
func (c *copier) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
}

// claim returns the next window, in disk order.
func (c *copier) claim(ctx context.Context, buf []Range) (n int, base int64, pieces []Range, sums, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = ctx.Err()
	}
	if c.err != nil {
		return
	}
	n, base, pieces, ok = c.win.next(buf)
	for len(c.res.Sums) <= n && ok {
		c.res.Sums = append(c.res.Sums, Sum{})
	}
	return n, base, pieces, n < c.saved, ok
}

func (c *copier) run(ctx context.Context, buf []byte) {
	var pieces []Range
	for {
		n, base, p, known, ok := c.claim(ctx, pieces[:0])
		if !ok {
			return
		}
		pieces = p
		var sum Sum
		var bad []Range
		copied := n < c.skip
		if !copied || !known {
			var err error
			if bad, err = c.src.window(ctx, buf, base, p); err != nil {
				c.fail(err)
				return
			}
			if copied {
				blank(buf, base, p, c.o.Resume.Bad)
			}
			sum = hashPieces(buf, base, p)
		}
		if !copied {
			if err := c.write(buf, base, p); err != nil {
				c.fail(err)
				return
			}
		}
		c.done(n, p, sum, bad, copied, known)
		if err := c.maybeSave(); err != nil {
			c.fail(err)
			return
		}
	}
}

// blank zeroes the ranges that could not be read when these pieces were copied, because the target has zeros there. This time they
// may have been read.
func blank(buf []byte, base int64, pieces, bad []Range) {
	for _, p := range pieces {
		for _, b := range bad {
			if from, to := max(p.Offset, b.Offset), min(p.end(), b.end()); from < to {
				clear(buf[from-base : to-base])
			}
		}
	}
}

func (c *copier) write(buf []byte, base int64, pieces []Range) error {
	for _, p := range pieces {
		if _, err := c.dst.WriteAt(buf[p.Offset-base:][:p.Length], p.Offset); err != nil {
			return fmt.Errorf("target %v: %w", p, err)
		}
	}
	return nil
}

func hashPieces(buf []byte, base int64, pieces []Range) Sum {
	if len(pieces) == 1 {
		return xxh3.Hash128(buf[pieces[0].Offset-base:][:pieces[0].Length]).Bytes()
	}
	h := xxh3.New()
	for _, p := range pieces {
		h.Write(buf[p.Offset-base:][:p.Length]) //nolint:errcheck // a hash never fails
	}
	return h.Sum128().Bytes()
}

func (c *copier) done(n int, pieces []Range, sum Sum, bad []Range, copied, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	size := total(pieces)
	if !known {
		c.res.Sums[n] = sum
	}
	if !copied {
		c.res.Written += size
	}
	c.res.Bad = append(c.res.Bad, bad...)
	c.offset = max(c.offset, pieces[len(pieces)-1].end())
	c.ahead[n] = size
	for {
		s, ok := c.ahead[c.low]
		if !ok {
			break
		}
		delete(c.ahead, c.low)
		c.low++
		c.lowSize += s
	}
	c.tell()
}

// tell reports progress if an event is due. The lock must be held.
func (c *copier) tell() {
	if now := time.Now(); c.o.Progress != nil && c.report.due(now) {
		c.o.Progress(c.report.event(now, c.lowSize, c.offset))
	}
}

// maybeSave makes a checkpoint if one is due and no other worker is making it.
func (c *copier) maybeSave() error {
	if c.o.Checkpoint == nil || !c.saving.TryLock() {
		return nil
	}
	defer c.saving.Unlock()
	c.mu.Lock()
	// Windows that the last checkpoint covers, with their sums, are not news.
	news := c.low > c.skip || c.low > c.saved
	c.mu.Unlock()
	if !news || time.Since(c.savedA) < c.o.CheckpointEvery {
		return nil
	}
	err := c.save()
	c.savedA = time.Now()
	return err
}

// save records the state before it flushes: what is written meanwhile is in the next checkpoint. After a failed flush there are no
// more checkpoints, because the kernel reports a lost write only once.
func (c *copier) save() error {
	if c.lost != nil {
		return nil
	}
	c.mu.Lock()
	cp := Checkpoint{Identity: c.a.Identity, Windows: c.low, Bytes: c.lowSize, First: c.saved, Bad: sortedSet(c.res.Bad)}
	if c.low < c.skip {
		cp.Windows, cp.Bytes = c.skip, c.o.Resume.Bytes
	}
	if c.low > c.saved {
		cp.Sums = slices.Clone(c.res.Sums[c.saved:c.low])
	}
	c.mu.Unlock()
	if err := c.dst.Sync(); err != nil {
		c.lost = fmt.Errorf("target flush: %w", err)
		return c.lost
	}
	if c.o.Checkpoint == nil {
		return nil
	}
	if err := c.o.Checkpoint(cp); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	c.mu.Lock()
	c.saved = max(c.saved, cp.First+len(cp.Sums))
	c.mu.Unlock()
	return nil
}
