package copy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"migrate-init/pkg/extent"
)

// readExtent opens the source and reads its allocation.
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

// openExtent opens both sides. hidden is the allocation to copy: whole without the superblock.
func openExtent(j Job) (src *os.File, dst *os.File, whole, hidden *extent.Allocation, err error) {
	if src, whole, err = readExtent(j); err != nil {
		return nil, nil, nil, nil, err
	}
	if dst, err = extent.OpenTarget(j.ToDev); err != nil {
		src.Close()
		return nil, nil, nil, nil, err
	}
	return src, dst, whole, whole.Hidden(), nil
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
			if c.Windows == 0 {
				return nil // nothing to resume from
			}
			// The sums are left out because they would not fit a slot. A window without a sum is read again.
			c.First, c.Sums = c.Windows, nil
			return j.Checkpoint(c)
		}
	}
	res, err := extent.Copy(ctx, src, dst, hidden, o)
	if err == nil {
		if g.sums == nil {
			g.sums = map[string]checksums{}
		}
		g.sums[j.ToDev] = checksums{hidden, res.Sums}
	}
	c.Bytes, c.Resumed = res.Written, res.Bytes-res.Written
	c.addUnread(j.FromDev, res.Bad)
	return c, err
}

// maxSkipped bounds Counts.Skipped, as in the tree engine.
const maxSkipped = 1000

// addUnread lists ranges of a device that could not be read. The filesystem's tools (debugfs with icheck and ncheck, xfs_db)
// find the files that they belong to.
func (c *Counts) addUnread(dev string, bad []extent.Range) {
	c.Unread = int64(len(bad))
	for _, r := range bad[:min(len(bad), maxSkipped)] {
		c.Skipped = append(c.Skipped, fmt.Sprintf("%s: %v: could not be read; the copy has zeros instead", dev, r))
	}
}

func (g *Engines) verifyExtent(ctx context.Context, j Job) (c Counts, err error) {
	src, dst, _, hidden, err := openExtent(j)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, src.Close(), dst.Close()) }()
	sums, ok := g.sums[j.ToDev]
	if !ok || sums.alloc.Identity != hidden.Identity {
		// An earlier run made the copy. Compute the sums from the source again; nothing is written.
		o := extentOptions(j)
		o.Resume = &extent.Checkpoint{Identity: hidden.Identity, Windows: hidden.Windows(), First: hidden.Windows(), Bytes: hidden.CopyBytes()}
		res, err := extent.Copy(ctx, src, dst, hidden, o)
		if err != nil {
			return c, err
		}
		sums = checksums{hidden, res.Sums}
		c.addUnread(j.FromDev, res.Bad)
	}
	o := extentOptions(j)
	o.Source = src
	rep, err := extent.Verify(ctx, dst, hidden, sums.sums, o)
	c.Bytes = rep.Bytes
	return c, err
}
