package extent

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// Options of [Copy] and [Verify]. The zero value is a good choice.
type Options struct {
	// Workers is the number of windows in flight, each with a buffer of
	// [Window] bytes: reads of one overlap writes of another. 0 means 8 for Copy, 4
	// for Verify.
	Workers int
	// Progress, if not nil, is called after windows, one call at a time, at
	// most five times a second, and once at the end.
	Progress func(Event)
	// Checkpoint, if not nil, is called every CheckpointEvery (0 means 5 s)
	// and when the copy ends, with an error or without, one call at a time. What it gets was
	// flushed to the target before. Its error stops the copy.
	Checkpoint      func(Checkpoint) error
	CheckpointEvery time.Duration
	// Resume goes on from an earlier copy of the same allocation onto the same target.
	Resume *Checkpoint
	// SkipBad goes on after a source block that cannot be read, not even when
	// tried again on its own: the target
	// gets zeroes there and Result.Bad the range. Otherwise the copy stops.
	SkipBad bool
	// Source lets [Verify] read the source again where the target differs, to
	// name the differing blocks and not the whole window.
	Source io.ReaderAt
}

// An Event is the state of a copy or verification. Rate is in bytes a second, over the last ten.
type Event struct {
	Bytes  int64 // done, those done before Resume included
	Total  int64 // to do in all
	Offset int64 // where on the disk, roughly
	Rate   float64
	ETA    time.Duration // 0: not known yet
}

// A Checkpoint says how far a copy is on the target's medium.
type Checkpoint struct {
	Identity string `json:"identity"` // of the Allocation
	Windows  int    `json:"windows"`  // windows 0 to Windows-1 are done
	Bytes    int64  `json:"bytes"`    // in those windows
	// Sums of the windows First to Windows-1: Copy hands out each sum once.
	// A Checkpoint to resume from may hold all of them, from 0 on. Windows
	// whose sum is missing are read from the source again, and only read.
	First int     `json:"first"`
	Sums  []Sum   `json:"sums,omitempty"`
	Bad   []Range `json:"bad,omitempty"` // all source ranges skipped so far
}

// A Result is what [Copy] did; it is meaningful also beside an error.
type Result struct {
	Bytes   int64   // in place on the target, in this run or before Resume
	Written int64   // written in this run
	Sums    []Sum   // of every window, for [Verify]
	Bad     []Range // source ranges that could not be read (Options.SkipBad): zeroes on the target
	Direct  bool    // the page cache was not used on the target
}

// A ReadError names the blocks that could not be read.
type ReadError struct {
	Side   string // "source" or "target"
	Ranges []Range
	Err    error
}

func (e *ReadError) Error() string { return fmt.Sprintf("%s %v: %v", e.Side, e.Ranges, e.Err) }
func (e *ReadError) Unwrap() error { return e.Err }

// ErrDiffers: the target does not hold what was copied.
var ErrDiffers = errors.New("target differs from the source")

// A Report is the result of [Verify].
type Report struct {
	Bytes   int64   // read and compared
	Differs []Range // differing blocks, or whole windows' ranges without Options.Source; the first 1000
	Direct  bool    // read without the page cache
}

func (o *Options) workers(usual int) int {
	if o.Workers > 0 {
		return o.Workers
	}
	return usual
}

// How many windows in flight keep a disk busy. A copy waits for two of them; one that reads alone is rather slowed by more.
const (
	copyWorkers   = 8
	verifyWorkers = 4
)
