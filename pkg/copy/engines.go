package copy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"migrate-init/pkg/extent"
	"migrate-init/pkg/tree"
)

// Engines is the Copier of a real machine: pkg/tree and pkg/extent. It keeps what a copy has learnt for its verify.
type Engines struct {
	sums map[string]learnt // by Job.ToDev
}

type learnt struct {
	alloc *extent.Allocation
	sums  []extent.Sum
}

// ManifestName is where the tree engine keeps its hashes, on the target itself: what a sync of the copy made durable,
// it made durable too. Settle removes it.
const ManifestName = ".migrate-init.manifest"

// Copy implements Copier.
func (g *Engines) Copy(ctx context.Context, j Job) (Counts, error) {
	switch j.Engine {
	case Tree, "":
		return g.copyTree(ctx, j)
	case Extent:
		return g.copyExtent(ctx, j)
	}
	return Counts{}, fmt.Errorf("engine %s: not known to this migrate-init", j.Engine)
}

// Precheck implements Copier. A copy by blocks keeps all that there is, of a filesystem that it can read.
func (g *Engines) Precheck(ctx context.Context, j Job) (tree.Scan, error) {
	switch j.Engine {
	case Tree, "":
		return precheckTree(ctx, j)
	case Extent:
		src, whole, err := readExtent(j)
		if err != nil {
			return tree.Scan{}, err
		}
		return tree.Scan{Bytes: whole.UsedBytes}, src.Close()
	}
	return tree.Scan{}, fmt.Errorf("engine %s: not known to this migrate-init", j.Engine)
}

// Verify implements Copier.
func (g *Engines) Verify(ctx context.Context, j Job) (Counts, error) {
	switch j.Engine {
	case Tree, "":
		return g.verifyTree(ctx, j)
	case Extent:
		return g.verifyExtent(ctx, j)
	}
	return Counts{}, fmt.Errorf("engine %s: not known to this migrate-init", j.Engine)
}

// TreeOptions are a job's options in the tree engine's words.
func TreeOptions(j Job) tree.Options {
	o := tree.Options{Rotational: j.Rotational}
	if j.SkipBad {
		o.OnReadError = tree.List
	}
	if j.Progress != nil {
		o.Progress = func(e tree.Event) {
			j.Progress(Progress{Files: e.Files, TotalFiles: e.TotalFiles, Bytes: e.Bytes, TotalBytes: e.TotalBytes, Rate: e.Rate, ETA: e.ETA.Seconds(), Path: e.Path})
		}
	}
	return o
}

// treeOptions also leave the manifest on the target alone.
func treeOptions(j Job) tree.Options {
	o := TreeOptions(j)
	o.TargetOnly, o.Exclude = []string{ManifestName}, []string{ManifestName}
	return o
}

// CopiedTree counts what the tree engine copied; every name but directories is a file here.
func CopiedTree(res tree.Result, err error) (Counts, error) {
	c := Counts{Files: res.Files + res.Links + res.Special, Dirs: res.Dirs, Bytes: res.Bytes, Resumed: res.Skipped, Unread: res.ProblemCount}
	for _, p := range res.Problems {
		c.Skipped = append(c.Skipped, p.String())
	}
	return c, err
}

// VerifiedTree counts what the tree engine compared; a difference is an error that names the file. What could not be read
// is one as well, unless the job's options let it pass.
func VerifiedTree(rep tree.Report, err error) (Counts, error) {
	c := Counts{Files: rep.Files, Dirs: rep.Dirs, Bytes: rep.Read, Skipped: rep.Damaged, Unread: rep.DamagedCount}
	if err == nil && !rep.Equal() {
		var lines []string
		for _, d := range rep.Differences {
			lines = append(lines, d.String())
		}
		err = fmt.Errorf("the copy differs from the source in %d places:\n%s", rep.Count, strings.Join(lines, "\n"))
	}
	return c, err
}

func precheckTree(ctx context.Context, j Job) (tree.Scan, error) {
	caps, err := tree.ProbeCaps(j.To)
	if err != nil {
		return tree.Scan{}, err
	}
	return tree.Precheck(ctx, j.From, caps, treeOptions(j))
}

func (g *Engines) copyTree(ctx context.Context, j Job) (c Counts, err error) {
	o := treeOptions(j)
	name := filepath.Join(j.To, ManifestName)
	var from tree.Checkpoint
	if j.Resume != nil {
		if err := json.Unmarshal(j.Resume, &from); err != nil {
			return c, fmt.Errorf("checkpoint: %w", err)
		}
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return c, fmt.Errorf("manifest: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Truncate(from.ManifestBytes); err != nil {
		return c, fmt.Errorf("manifest: %w", err)
	}
	if _, err := f.Seek(from.ManifestBytes, io.SeekStart); err != nil {
		return c, fmt.Errorf("manifest: %w", err)
	}
	o.Manifest, o.Resume = f, &tree.Resume{Manifest: f, ManifestBytes: from.ManifestBytes}
	if j.Checkpoint != nil {
		o.Checkpoint = func(c tree.Checkpoint) error { return j.Checkpoint(c) }
	}
	return CopiedTree(tree.Copy(ctx, j.From, j.To, o))
}

func (g *Engines) verifyTree(ctx context.Context, j Job) (c Counts, err error) {
	o := treeOptions(j)
	if f, err := os.Open(filepath.Join(j.To, ManifestName)); err == nil {
		defer f.Close()
		st, err := f.Stat()
		if err != nil {
			return c, fmt.Errorf("manifest: %w", err)
		}
		if o.Hashes, err = tree.OpenManifest(f, st.Size()); err != nil {
			return c, fmt.Errorf("manifest: %w", err)
		}
	}
	return VerifiedTree(tree.Verify(ctx, j.From, j.To, o))
}

// readExtent reads the source's allocation.
func readExtent(j Job) (src *os.File, whole *extent.Allocation, err error) {
	if src, err = os.Open(j.FromDev); err != nil {
		return nil, nil, err
	}
	size, err := src.Seek(0, io.SeekEnd)
	if err == nil {
		whole, err = extent.Read(src, size)
	}
	if err == nil && j.NewUUID != "" {
		err = whole.Renamable()
	}
	if err != nil {
		src.Close()
		return nil, nil, err
	}
	return src, whole, nil
}

// openExtent opens both sides, and hides the source's superblock from the copy.
func openExtent(j Job) (src *os.File, dst *os.File, whole, hidden *extent.Allocation, err error) {
	if src, whole, err = readExtent(j); err != nil {
		return nil, nil, nil, nil, err
	}
	// On a device: only while nobody else has it.
	if dst, err = os.OpenFile(j.ToDev, os.O_RDWR|os.O_EXCL, 0); err != nil {
		src.Close()
		return nil, nil, nil, nil, err
	}
	return src, dst, whole, whole.Hidden(), nil
}

// maxListed is how many unreadable ranges a checkpoint of a copy by blocks holds: 62 bytes each at most, in a slot of 4096.
const maxListed = 50

// forSlot is what of a checkpoint is kept. Sums stay out: they would not fit a slot, and what lacks them is only read
// again. One with more unreadable ranges than fit is not kept: what comes after the last one is copied again, and listed again.
func forSlot(c extent.Checkpoint) (extent.Checkpoint, bool) {
	c.First, c.Sums = c.Windows, nil
	return c, len(c.Bad) <= maxListed
}

func extentOptions(j Job) extent.Options {
	o := extent.Options{SkipBad: j.SkipBad, CheckpointEvery: j.CheckpointEvery}
	if j.Progress != nil {
		o.Progress = func(e extent.Event) {
			j.Progress(Progress{Bytes: e.Bytes, TotalBytes: e.Total, Rate: e.Rate, ETA: e.ETA.Seconds()})
		}
	}
	return o
}

func (g *Engines) copyExtent(ctx context.Context, j Job) (c Counts, err error) {
	src, dst, _, hidden, err := openExtent(j)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, src.Close(), dst.Close()) }()
	o := extentOptions(j)
	if j.Resume != nil {
		o.Resume = &extent.Checkpoint{}
		if err := json.Unmarshal(j.Resume, o.Resume); err != nil {
			return c, fmt.Errorf("checkpoint: %w", err)
		}
	}
	if j.Checkpoint != nil {
		o.Checkpoint = func(c extent.Checkpoint) error {
			c, fits := forSlot(c)
			if !fits {
				return nil
			}
			return j.Checkpoint(c)
		}
	}
	res, err := extent.Copy(ctx, src, dst, hidden, o)
	if err == nil {
		if g.sums == nil {
			g.sums = map[string]learnt{}
		}
		g.sums[j.ToDev] = learnt{hidden, res.Sums}
	}
	c.Bytes, c.Resumed = res.Written, res.Bytes-res.Written
	c.unread(j.FromDev, res.Bad)
	return c, err
}

// mostSkipped bounds what Counts list, as the tree engine bounds it.
const mostSkipped = 1000

// unread lists ranges of a device. Which files they are in its filesystem's tools tell: debugfs with icheck and ncheck, xfs_db.
func (c *Counts) unread(dev string, bad []extent.Range) {
	c.Unread = int64(len(bad))
	for _, r := range bad[:min(len(bad), mostSkipped)] {
		c.Skipped = append(c.Skipped, fmt.Sprintf("%s: %v: could not be read; the copy has zeros instead", dev, r))
	}
}

func (g *Engines) verifyExtent(ctx context.Context, j Job) (c Counts, err error) {
	src, dst, _, hidden, err := openExtent(j)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, src.Close(), dst.Close()) }()
	know, ok := g.sums[j.ToDev]
	if !ok || know.alloc.Identity != hidden.Identity {
		// The copy was made in an earlier boot: its sums are taken from the source again, which is only read.
		o := extentOptions(j)
		o.Resume = &extent.Checkpoint{Identity: hidden.Identity, Windows: hidden.Windows(), First: hidden.Windows(), Bytes: hidden.CopyBytes()}
		res, err := extent.Copy(ctx, src, dst, hidden, o)
		if err != nil {
			return c, err
		}
		know = learnt{hidden, res.Sums}
		c.unread(j.FromDev, res.Bad)
	}
	o := extentOptions(j)
	o.Source = src
	rep, err := extent.Verify(ctx, dst, hidden, know.sums, o)
	c.Bytes = rep.Bytes
	return c, err
}
