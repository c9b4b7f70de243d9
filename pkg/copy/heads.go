package copy

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"migrate-init/pkg/crew"
)

// The kinds of disk, as the command line names them. A disk with moving heads is fastest with one reader that follows the
// order of the data on the disk. Flash, and any disk that serves many reads at once, is fastest with many readers.
const (
	DiskAuto  = "auto"
	DiskFlash = "flash"
	DiskHeads = "heads"
)

// ReadTimes is how long direct reads at random places of a disk took.
type ReadTimes struct {
	Serial   []time.Duration // of each read, one after the other
	Parallel time.Duration   // average per read when several ran at once: total time by number of reads; 0: not measured
}

// Direct is a disk that is read past the page cache.
type Direct interface {
	Touch(off int64) error // reads a few bytes at offset off
	Size() int64           // bytes
	Close() error
}

const (
	serialReads   = 24
	parallelReads = 4 // by each of the parallel readers
	readers       = 8
	minReads      = 6 // of the serial ones, however long they take
	// serialTime bounds the serial reads. The parallel ones take a fraction of it.
	serialTime = 500 * time.Millisecond
	// slowRead is more than flash needs for a read, even behind a network, and less than a seek takes.
	slowRead = 2 * time.Millisecond
	// minGain is how many times as fast parallel reads are, at least, on a disk without heads. Heads that may reorder a few
	// reads gain less than a factor of two.
	minGain = 3
)

// MeasureDisk reads a disk at random places, for well under a second. It ignores one read error and fails at the second.
func MeasureDisk(ctx context.Context, d Direct) (ReadTimes, error) {
	place := func() int64 { return rand.Int64N(max(1, d.Size())) }
	// The first read may wake the disk.
	if err := d.Touch(place()); err != nil {
		return ReadTimes{}, err
	}
	var r ReadTimes
	var failed error
	for begin := time.Now(); len(r.Serial) < serialReads && (time.Since(begin) < serialTime || len(r.Serial) < minReads); {
		if err := ctx.Err(); err != nil {
			return r, err
		}
		at := time.Now()
		if err := d.Touch(place()); err != nil {
			if failed != nil {
				return r, errors.Join(failed, err) // do not keep reading from a failing disk
			}
			failed = err
			continue
		}
		r.Serial = append(r.Serial, time.Since(at))
	}
	if upperQuartile(r.Serial) < slowRead {
		return r, nil
	}
	begin, wg := time.Now(), crew.New()
	for range readers {
		wg.Go(func() {
			for range parallelReads {
				_ = d.Touch(place()) // only the time matters here; the copy itself reports read errors
			}
		})
	}
	wg.Wait()
	r.Parallel = time.Since(begin) / (readers * parallelReads)
	return r, nil
}

// upperQuartile is used instead of the mean because a part of a thinly provisioned disk was never written, and answers at once.
func upperQuartile(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(d))[len(d)*3/4]
}

// Heads reports whether the times are those of a disk with moving heads, and explains why.
func (r ReadTimes) Heads() (heads bool, why string) {
	each := upperQuartile(r.Serial)
	text := fmt.Sprintf("%d direct reads at random places, three of four within %s", len(r.Serial), rounded(each))
	if each < slowRead || r.Parallel == 0 {
		return false, text
	}
	faster := float64(mean(r.Serial)) / float64(max(1, r.Parallel))
	return faster < minGain, fmt.Sprintf("%s; %d at once are %.1f times as fast", text, readers, faster)
}

func mean(d []time.Duration) time.Duration {
	var sum time.Duration
	for _, x := range d {
		sum += x
	}
	return sum / time.Duration(max(1, len(d)))
}

func rounded(d time.Duration) time.Duration {
	if d < time.Millisecond {
		return d.Round(time.Microsecond)
	}
	return d.Round(100 * time.Microsecond)
}

// Disk is a device that a copy reads or writes.
type Disk struct {
	Path       string
	Rotational bool // the kernel's flag, which is also set for most virtual disks, whatever they are made of
}

// Classify reports whether any of the disks has moving heads, and explains the result for each disk. kind is DiskAuto to
// measure them, or the kind that the operator gave.
func Classify(ctx context.Context, kind string, open func(path string) (Direct, error), disks ...Disk) (heads bool, why []string) {
	if kind == DiskHeads || kind == DiskFlash {
		return kind == DiskHeads, []string{"disks: " + kind + ", as --disk-kind says"}
	}
	for i, d := range disks {
		if slices.Contains(disks[:i], d) || d.Path == "" {
			continue
		}
		h, text := classify(ctx, open, d)
		heads = heads || h
		class := DiskFlash
		if h {
			class = DiskHeads
		}
		why = append(why, fmt.Sprintf("disk %s: %s: %s", d.Path, class, text))
	}
	return heads, why
}

func classify(ctx context.Context, open func(path string) (Direct, error), d Disk) (bool, string) {
	flag := func(err error) (bool, string) {
		return d.Rotational, fmt.Sprintf("by the kernel's flag, because it could not be measured (%v)", err)
	}
	r, err := open(d.Path)
	if err != nil {
		return flag(err)
	}
	defer r.Close()
	reads, err := MeasureDisk(ctx, r)
	if err != nil {
		return flag(err)
	}
	return reads.Heads()
}
