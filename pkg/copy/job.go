package copy

import (
	"context"
	"encoding/json"
	"time"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/tree"
)

// The engines, as plans and the command line name them.
const (
	Tree   = "tree"   // file by file, between mounted directories
	Extent = "extent" // used blocks, between devices
)

// Job is one filesystem to copy, verify or finalize.
type Job struct {
	Engine   string // Tree or Extent; "" is Tree
	From, To string // directories: where both sides are mounted
	FromDev  string // devices, for an engine that copies blocks
	ToDev    string
	Type     string
	// NewUUID and NewLabel are the identity of the new filesystem, for a copy by blocks brings the old one along. An empty
	// NewUUID keeps the source's UUID, label and size.
	NewUUID  string
	NewLabel string
	NoGrow   bool // a copy by blocks keeps the size of the source
	SkipBad  bool // read errors are listed, not fatal
	// Rotational says that one of the disks has heads to move: see Judge. The copy watches whether it behaves so.
	Rotational bool
	DiskKnown  bool // the operator says so: the copy does not change its mind
	Tell       func(string)
	Progress   func(Progress)
	// Checkpoint is told how far the copy is on the target's medium: a value that JSON can hold. nil: no one asks.
	Checkpoint func(data any) error
	// CheckpointEvery is the time between two checkpoints; 0: the engine's own.
	CheckpointEvery time.Duration
	Resume          json.RawMessage // what the last checkpoint of an interrupted copy said; nil: from the start
	// Reread makes Verify read the source again instead of trusting the sums that were taken while copying: for a source
	// that may have changed since an interruption.
	Reread bool

	own []string // names in the root of the target that are not part of the copy
}

// Progress of a long job. Totals are estimates; Rate is bytes a second, ETA seconds.
type Progress struct {
	Files, TotalFiles, Bytes, TotalBytes int64
	Rate                                 float64
	ETA                                  float64
	Path                                 string
}

// Counts of a finished job.
type Counts struct {
	Files, Dirs, Bytes int64
	Resumed            int64    // bytes or names that an earlier run had copied already
	Skipped            []string // what could not be read, when the policy allows that: the first of it
	Unread             int64    // how much of that there is
	Hash               string   // over the manifest
	// Bytes of files in extents that something else shares, as a verification by files saw them.
	SharedSource, SharedTarget int64
}

// Copier does jobs. [Engines] is the real one.
type Copier interface {
	// Precheck reports, before anything is copied, what of a source its target will not hold. The target is a new
	// filesystem; whatever is tried out there is gone when it returns.
	Precheck(ctx context.Context, j Job) (tree.Scan, error)
	// Copy copies a whole filesystem into an empty one and syncs it.
	Copy(ctx context.Context, j Job) (Counts, error)
	// Verify reads the target back from its disk and compares data, metadata and counts; a difference is an error that
	// names the file.
	Verify(ctx context.Context, j Job) (Counts, error)
}

// Measurer is a Copier that finds out of which kind disks are. kind is DiskAuto, or what the operator knows of them.
type Measurer interface {
	Heads(ctx context.Context, kind string, disks ...Disk) (heads bool, why []string)
}

// Finalizer is a Copier whose copies need something more once they have been verified.
type Finalizer interface {
	// Finalize returns the effects that make a verified copy the filesystem that was asked for.
	Finalize(j Job) ([]machine.Effect, error)
}
