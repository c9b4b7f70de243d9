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
	FromDev  string // devices, for the block copy
	ToDev    string
	Type     string
	// NewUUID and NewLabel are the identity to give to a block copy, which would otherwise have that of the source. If NewUUID
	// is empty, the copy keeps the UUID, label and size of the source.
	NewUUID  string
	NewLabel string
	NoGrow   bool // a block copy keeps the size of the source
	SkipBad  bool // read errors are listed, not fatal
	// Rotational means that one of the disks has moving heads: see Classify. The copy watches whether they behave like it.
	Rotational bool
	DiskKnown  bool // Rotational is what the operator gave; the copy does not second-guess it
	Tell       func(string)
	Progress   func(Progress)
	// Checkpoint, if not nil, is called with how much of the copy is durable on the target, as a value to encode as JSON.
	Checkpoint func(data any) error
	// CheckpointEvery is the time between two checkpoints; 0 means the engine's default.
	CheckpointEvery time.Duration
	Resume          json.RawMessage // the data of the last checkpoint of an interrupted copy; nil: start from the beginning
	// Reread makes Verify read the source again instead of trusting the sums that were computed while copying. It is for a
	// source that may have changed after an interruption.
	Reread bool

	// Subvolumes, where not nil, are the directories of the source that become subvolumes of the target, which has the same type; see
	// [tree.Options]. Those in ReadOnly become read-only at the end, and Default becomes what a mount without an option shows; "":
	// all of the filesystem.
	Subvolumes []string
	ReadOnly   []string
	Default    string
	// Hollow has directories of the source that stay empty in the target, and Part says that From is a directory of its filesystem;
	// see [tree.Options].
	Hollow []string
	Part   bool
	// Exclude has names of the source that are not copied, with everything below.
	Exclude []string

	own []string // names in the root of the target that are not part of the copy
}

// Progress of a long job. Totals are estimates; Rate is in bytes per second, ETA in seconds.
type Progress struct {
	Files, TotalFiles, Bytes, TotalBytes int64
	Rate                                 float64
	ETA                                  float64
	Path                                 string
}

// Counts of a finished job.
type Counts struct {
	Files, Dirs, Bytes int64
	Resumed            int64    // bytes or names that an earlier run had already copied
	Skipped            []string // what could not be read, if the policy allows that; only the first 1000
	Unread             int64    // how many there are in all
	Hash               string   // over the manifest
	// Bytes of files in extents that something else shares, as the verification of a copy by files found them.
	SharedSource, SharedTarget int64
}

// Copier does jobs. [Engines] is the real one.
type Copier interface {
	// Precheck reports, before anything is copied, what the target will not keep of the source. The target is a new
	// filesystem. Precheck tries things out on it, and removes them before it returns.
	Precheck(ctx context.Context, j Job) (tree.Scan, error)
	// Copy copies a whole filesystem into an empty one and syncs it.
	Copy(ctx context.Context, j Job) (Counts, error)
	// Verify reads the target back from its disk and compares data, metadata and counts. A difference is an error that names
	// the file.
	Verify(ctx context.Context, j Job) (Counts, error)
}

// Measurer is a Copier that can find out whether disks have moving heads. kind is DiskAuto, or the kind that the operator gave.
type Measurer interface {
	Heads(ctx context.Context, kind string, disks ...Disk) (heads bool, why []string)
}

// Lister is a Copier that lists the subvolumes of the filesystem mounted at a directory.
type Lister interface {
	Subvolumes(dir string) ([]tree.Subvolume, error)
}

// Finalizer is a Copier whose copies need a last step after they have been verified.
type Finalizer interface {
	// Finalize returns the effects that turn a verified copy into the requested filesystem.
	Finalize(j Job) ([]machine.Effect, error)
}
