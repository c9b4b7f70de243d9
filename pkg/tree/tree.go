package tree

import (
	"fmt"
	"io"
	"time"
)

// Policy is what to do if something in the source cannot be copied.
type Policy uint8

const (
	Stop Policy = iota // end with an error; the copy can be resumed
	List               // continue, and list it in the Result
)

// Options of Copy, Verify and Precheck. The zero value copies with four workers per CPU and stops at the first thing that
// cannot be kept.
type Options struct {
	Workers     int    // 0: four per CPU, at least 4 and at most 16; in the mode for heads only one of them is active
	Rotational  bool   // one of the disks has moving heads: read in the order of the data, large files one at a time
	DiskKnown   bool   // Rotational is certain; otherwise Copy and Verify start with it, and switch if the other mode is faster
	OnReadError Policy // for source data or metadata that cannot be read

	// Progress is called from one goroutine at intervals of ProgressEvery (0: 250 ms), and once at the end.
	Progress      func(Event)
	ProgressEvery time.Duration

	// Manifest receives checksummed blocks of records, one block per Write; see OpenManifest.
	Manifest io.Writer

	// Checkpoint, if not nil, is called about every CheckpointEvery, after a syncfs of the target: everything that the first
	// ManifestBytes of the manifest record has been synced. It must make that prefix of the manifest durable (it already is
	// if the manifest is on the target) and record the Checkpoint. If CheckpointEvery is 0, the interval is a twentieth of the
	// time so far, at least 0.5 s or as long as the last sync took, and at most 5 s.
	Checkpoint      func(Checkpoint) error
	CheckpointEvery time.Duration

	// Resume continues an interrupted copy. New records follow the old ones: Manifest must be truncated to, and positioned at,
	// Resume.ManifestBytes.
	Resume *Resume

	// Exclude has source paths, relative to the root and without a leading slash, that are not copied, with everything below.
	Exclude []string
	// Hollow has source paths, relative to the root and without a leading slash, of directories that are made with their metadata but
	// stay empty: in the target another filesystem is mounted there.
	Hollow []string
	// Part says that names of the source's inodes may lie outside of what is copied, as with Hollow: the source is a directory of its
	// filesystem. A copy may then have fewer names of an inode.
	Part bool
	// Subvolumes has source paths, relative to the root and without a leading slash, of directories that become subvolumes of the
	// target, which must be btrfs. Where it is nil every subvolume of the source becomes a directory. Otherwise it is an error when
	// a subvolume is neither in it nor in Exclude: then the source is not what the caller takes it for.
	Subvolumes []string

	// TargetOnly has target paths that need not exist in the source, such as the journal of the migration. Verify ignores them,
	// and they may exist before the copy.
	TargetOnly []string

	// Hashes makes Verify use the hashes in a manifest instead of reading the data of the source again. Files that are not in
	// the manifest are still read.
	Hashes *Manifest
	// Reread makes Verify read the data of the source again, and use Hashes only for what could not be read during the copy.
	Reread bool

	// Tell, if not nil, is called from the goroutine of Progress with a message if the disks turn out to be of another kind.
	Tell func(string)

	onDiskMode func(*diskMode) // tests change the mode
	cached     bool            // no direct I/O; set by tests
	// Live makes Precheck ignore names that vanish while it runs, because the source is in use.
	Live  bool
	plain bool   // do not clone mounts, as on a kernel without open_tree; set by tests
	chunk int    // names of a directory read at a time, 0: chunkEntries; tests make it small
	pace  func() // called before each batch of files; tests slow the copy down with it

	shareMost int // of shared extents remembered, 0: shareMost; tests make it small

	sync  func(fd int) error          // nil: syncfs; tests lose writes with it
	fault func(op, path string) error // called before each read of the source; tests make it fail

	listLosses bool // attributes that the target refuses are problems, not errors; tests compare them with Precheck's findings

	// MaxDifferences bounds each list of the Report (0: 1000). The counts include those not listed.
	MaxDifferences int
}

// Event is a progress report. Bytes are those of allocated blocks. Rate is in bytes per second, over the last 10 s. Totals and
// ETA are 0 if unknown.
type Event struct {
	Files, Dirs, Bytes     int64
	TotalFiles, TotalBytes int64
	Rate                   float64
	ETA                    time.Duration
	Path                   string
	Done                   bool
}

// Checkpoint means that everything in the first ManifestBytes of the manifest has been synced on the target.
type Checkpoint struct{ ManifestBytes int64 }

// Resume is the manifest of an interrupted copy up to its last checkpoint. The source must not have been written to since the
// copy began, which the caller has to check (by the write time and mount count in the superblock). If it has, the copy must
// start again. An empty Resume only permits a target that is not empty.
type Resume struct {
	Manifest      io.ReaderAt
	ManifestBytes int64
}

// Result of a Copy. If there is an error, it shows how far the copy got.
type Result struct {
	Files, Dirs, Links, Special int64     // names made; Links are additional names of an inode
	Bytes                       int64     // data bytes on the target, without holes
	Shared                      int64     // bytes that were not written but shared with another file
	Skipped                     int64     // names taken from the resumed copy
	Problems                    []Problem // the first 1000
	ProblemCount                int64     // all problems, listed or not
	Heads                       bool      // at the end, the copy worked in the mode for moving heads
}

// Problem is a read error that the policy tolerates. Offset and Length are in bytes; Length is 0 if the problem concerns the
// whole object.
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
