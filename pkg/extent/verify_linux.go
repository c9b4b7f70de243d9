package extent

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"migrate-init/pkg/crew"
)

const maxDiffers = 1000

// Verify reads the used ranges of the target from its medium and compares them with
// the sums that [Copy] made. A difference is an error that wraps [ErrDiffers]
// and names the bytes; the Report lists them.
func Verify(ctx context.Context, dst *os.File, a *Allocation, sums []Sum, o Options) (Report, error) {
	if err := a.check(); err != nil {
		return Report{}, err
	}
	d, err := openDisk(dst, os.O_RDONLY, a.BlockSize)
	if err != nil {
		return Report{}, err
	}
	defer d.Close() //nolint:errcheck // only read
	if !d.direct {
		if err := dropCache(dst); err != nil {
			return Report{}, err
		}
	}
	if f, ok := o.Source.(*os.File); ok {
		s, err := openDisk(f, os.O_RDONLY, a.BlockSize)
		if err != nil {
			return Report{}, err
		}
		defer s.Close() //nolint:errcheck // only read
		o.Source = s
	}
	rep, err := verifyWindows(ctx, d, a, sums, o)
	rep.Direct = d.direct
	return rep, err
}

type verifier struct {
	a    *Allocation
	o    Options
	dst  *reader
	sums []Sum

	mu     sync.Mutex
	win    windows
	err    error
	rep    Report
	missed int64 // differing ranges beyond maxDiffers
	report *reporter
	offset int64 // approximate position of the reads
}

func verifyWindows(ctx context.Context, dst io.ReaderAt, a *Allocation, sums []Sum, o Options) (Report, error) {
	v := &verifier{a: a, o: o, sums: sums, dst: newReader("target", dst, a), win: windows{ranges: a.Ranges}, report: newReporter(a.CopyBytes())}
	wg := crew.New()
	for range o.workers(verifyWorkers) {
		buf, release, err := alignedBuffer(Window)
		if err != nil {
			v.stop(err)
			break
		}
		wg.Go(func() {
			defer release()
			v.stop(v.run(ctx, buf))
		})
	}
	still := crew.Every(stillEvery, func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.tell()
	})
	wg.Wait()
	still()
	slices.SortFunc(v.rep.Differs, func(a, b Range) int { return cmp.Compare(a.Offset, b.Offset) })
	if v.err == nil && v.win.n != len(sums) {
		v.err = fmt.Errorf("%d sums for %d windows", len(sums), v.win.n)
	}
	if v.err == nil && len(v.rep.Differs) > 0 {
		v.err = fmt.Errorf("%v and %d more ranges: %w", v.rep.Differs[0], int64(len(v.rep.Differs)-1)+v.missed, ErrDiffers)
	}
	if v.err != nil {
		return v.rep, fmt.Errorf("verification of %s %s: %w", a.Type, a.UUID, v.err)
	}
	return v.rep, nil
}

func (v *verifier) stop(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.err == nil {
		v.err = err
	}
}

func (v *verifier) claim(ctx context.Context, buf []Range) (n int, base int64, pieces []Range, ok bool, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := ctx.Err(); err != nil || v.err != nil {
		return 0, 0, nil, false, err
	}
	n, base, pieces, ok = v.win.next(buf)
	return n, base, pieces, ok, nil
}

func (v *verifier) run(ctx context.Context, buf []byte) error {
	var pieces []Range
	for {
		n, base, p, ok, err := v.claim(ctx, pieces[:0])
		if !ok || err != nil {
			return err
		}
		pieces = p
		if n >= len(v.sums) {
			return fmt.Errorf("window %d: no sum: the copy was not finished, or made without hashes", n)
		}
		if _, err := v.dst.window(ctx, buf, base, p); err != nil {
			return err
		}
		var differs []Range
		if hashPieces(buf, base, p) != v.sums[n] {
			differs = v.narrow(ctx, buf, base, p)
		}
		v.done(p, differs)
	}
}

func (v *verifier) done(pieces, differs []Range) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.rep.Bytes += total(pieces)
	for _, r := range differs {
		if len(v.rep.Differs) < maxDiffers {
			v.rep.Differs = append(v.rep.Differs, r)
		} else {
			v.missed++
		}
	}
	v.offset = pieces[len(pieces)-1].end()
	v.tell()
}

// tell reports progress if an event is due. The lock must be held.
func (v *verifier) tell() {
	if now := time.Now(); v.o.Progress != nil && (v.rep.Bytes == v.report.total || v.report.due(now)) {
		v.o.Progress(v.report.event(now, v.rep.Bytes, v.offset))
	}
}

// narrow finds the differing blocks by reading the source again. Without a source, or if the blocks are equal now, it returns the
// whole window.
func (v *verifier) narrow(ctx context.Context, buf []byte, base int64, pieces []Range) []Range {
	whole := slices.Clone(pieces)
	if v.o.Source == nil {
		return whole
	}
	src, release, err := alignedBuffer(Window)
	if err != nil {
		return whole
	}
	defer release()
	if _, err := newReader("source", v.o.Source, v.a).window(ctx, src, base, pieces); err != nil {
		return whole
	}
	var out []Range
	for _, p := range pieces {
		for off := p.Offset; off < p.end(); off += v.a.BlockSize {
			i, j := off-base, off-base+v.a.BlockSize
			if bytes.Equal(buf[i:j], src[i:j]) {
				continue
			}
			if n := len(out); n > 0 && out[n-1].end() == off {
				out[n-1].Length += v.a.BlockSize
			} else {
				out = append(out, Range{off, v.a.BlockSize})
			}
		}
	}
	if len(out) == 0 {
		return whole
	}
	return out
}
