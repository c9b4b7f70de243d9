package tree

import (
	"fmt"
	"io"
	"time"
)

// Policy says what happens at a fact that keeps the copy from being equal.
type Policy uint8

const (
	Stop Policy = iota // end with an error; the copy can be resumed
	List               // go on and list it in the Result
)

// Options of Copy and Verify. The zero value copies with four workers a CPU and
// stops at the first thing that cannot be kept.
type Options struct {
	Workers     int    // 0: four a CPU, at least 4 and at most 16; one of them works while the disks have heads
	Rotational  bool   // either disk has heads to move: the order of the data, large files one at a time
	DiskKnown   bool   // Rotational is certain. Otherwise it is what Copy and Verify begin with, and they change to what is faster
	OnReadError Policy // source data or metadata that cannot be read

	// Progress is called from one goroutine of the engine's, at most every
	// ProgressEvery (0: 250 ms), and once at the end.
	Progress      func(Event)
	ProgressEvery time.Duration

	// Manifest receives checksummed blocks of records, one Write a block; see OpenManifest.
	Manifest io.Writer

	// Checkpoint is called about every CheckpointEvery (0: a twentieth of the time so
	// far, at least 0.5 s and at most 5 s, or as long as the sync takes) after a syncfs of
	// the target: all that the first ManifestBytes of the manifest say was
	// synced before. It has to make that prefix of the manifest durable (unless
	// it lies on the target: then it is) and to journal the Checkpoint.
	Checkpoint      func(Checkpoint) error
	CheckpointEvery time.Duration

	// Resume goes on with an interrupted copy. New records follow the old ones:
	// Manifest must be positioned (truncated) at Resume.ManifestBytes.
	Resume *Resume

	// Exclude names source paths relative to the root, no leading slash, that are
	// not copied, with all below.
	Exclude []string
	// TargetOnly names target paths that Verify does not expect in the source,
	// such as the journal of the migration, and that a copy leaves alone.
	TargetOnly []string

	// Hashes lets Verify trust the manifest for the source's data. Without it,
	// or where a file is missing from it, the source is read again.
	Hashes *Manifest
	// Reread lets Verify read the source's data again all the same, and trust
	// Hashes only for what could not be read when it was copied.
	Reread bool

	// Tell is called from the goroutine of Progress when it turns out that the disks are of another kind.
	Tell func(string)

	onGear func(*gear) // tests shift it
	cached bool        // no direct I/O; tests take this way too
	// Live has Precheck pass over names that vanish while it looks: the source is in use.
	Live  bool
	plain bool   // no clones of the mounts, as without open_tree; tests take this way too
	chunk int    // names of a directory read at a time, 0: chunkEntries; tests make it small
	pace  func() // called before each batch of files; tests hold the copy up with it

	shareMost int // of shared extents remembered, 0: shareMost; tests make it small

	sync  func(fd int) error          // nil: syncfs; tests lose writes with it
	fault func(op, path string) error // called before each read of the source; tests make it fail

	listLosses bool // attributes that the target refuses are problems and no errors; tests compare them with Precheck's findings

	// MaxDifferences bounds each of the Report's lists (0: 1000). All are counted.
	MaxDifferences int
}

// Event is one progress report. Bytes are those of used blocks; Rate is bytes a
// second over the last 10 s; Total values and ETA are 0 when unknown.
type Event struct {
	Files, Dirs, Bytes     int64
	TotalFiles, TotalBytes int64
	Rate                   float64
	ETA                    time.Duration
	Path                   string
	Done                   bool
}

// Checkpoint says that ManifestBytes of the manifest are synced on the target.
type Checkpoint struct{ ManifestBytes int64 }

// Resume is what an interrupted copy left: its manifest up to the last
// checkpoint. The source must not have been written to since the copy began; the
// caller has to know that (the superblock's write time and mount count tell).
// If it was, start again. An empty Resume only allows a target that is not empty.
type Resume struct {
	Manifest      io.ReaderAt
	ManifestBytes int64
}

// Result of a Copy. It is filled as far as the copy went when there is an error.
type Result struct {
	Files, Dirs, Links, Special int64     // names made; Links are further names of one inode
	Bytes                       int64     // data bytes on the target, holes not counted
	Shared                      int64     // of them, those that were not written but shared with another file
	Skipped                     int64     // names taken from the resumed copy
	Problems                    []Problem // the first 1000
	ProblemCount                int64     // of all
	Heads                       bool      // the disks behaved like heads, at the end
}

// Problem is a read error that the policy let pass. Offset and Length
// are in bytes, Length 0 where the whole object is meant.
type Problem struct {
	Path           string
	What           string // "data", "entry", "names" of a directory, "extent map", "flags", "project", "xattr NAME" ...
	Offset, Length int64
	Err            error
}

func (p Problem) String() string {
	what := p.What
	if p.Length > 0 {
		what += fmt.Sprintf(" in bytes %d to %d", p.Offset, p.Offset+p.Length-1)
	}
	return fmt.Sprintf("%q: %s: %v", p.Path, what, p.Err)
}
