package extent

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// Options of [Copy] and [Verify]. The zero value is a good default.
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
	// Resume continues an earlier copy of the same allocation to the same target.
	Resume *Checkpoint
	// SkipBad goes on after a source block that cannot be read, not even when
	// tried again on its own: the target
	// gets zeroes there and Result.Bad the range. Otherwise the copy stops.
	SkipBad bool
	// Source makes [Verify] read the source again if a window differs, to
	// report the differing blocks instead of the whole window.
	Source io.ReaderAt
}

// An Event is the progress of a copy or verification. Rate is in bytes per second, over the last ten seconds.
type Event struct {
	Bytes  int64 // done, including those done before Resume
	Total  int64 // all bytes to copy or verify
	Offset int64 // approximate position on the disk
	Rate   float64
	ETA    time.Duration // 0: not known yet
}

// A Checkpoint records which part of a copy is durable on the target.
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

// A Result is what [Copy] did. It is valid even if there is an error.
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

// The number of windows in flight that keeps the disks busy. A copy waits for two disks; a verification only reads, and more
// windows would slow it down.
const (
	copyWorkers   = 8
	verifyWorkers = 4
)
