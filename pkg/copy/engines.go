package copy

import (
	"context"
	"fmt"

	"migrate-init/pkg/extent"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/tree"
)

// Engines is the Copier of a real machine: pkg/tree and pkg/extent. It keeps the sums that a copy by blocks has taken, for
// its verification.
type Engines struct {
	sums map[string]learnt // by Job.ToDev
	// Disk opens a disk to be measured; nil: the real one.
	Disk  func(path string) (Direct, error)
	disks map[Disk]judged // what was decided of each, in this run
	// behave says whether the disks of a copy by files behaved like heads in the end, by Job.To.
	behave map[string]bool
}

// judged is the decision about a disk.
type judged struct {
	heads bool
	why   []string
}

// Heads decides of two disks as [Judge] does, and measures each once. It is told as why only the first time.
func (g *Engines) Heads(ctx context.Context, kind string, disks ...Disk) (heads bool, why []string) {
	open := g.Disk
	if open == nil {
		open = openDirect
	}
	if kind == DiskHeads || kind == DiskFlash {
		return Judge(ctx, kind, open)
	}
	for _, d := range disks {
		j, ok := g.disks[d]
		if !ok {
			if g.disks == nil {
				g.disks = map[Disk]judged{}
			}
			j.heads, j.why = Judge(ctx, kind, open, d)
			g.disks[d] = j
			why = append(why, j.why...)
		}
		heads = heads || j.heads
	}
	return heads, why
}

func openDirect(path string) (Direct, error) {
	d, err := machine.OpenDirect(path)
	if err != nil {
		return nil, err
	}
	return d, nil
}

type learnt struct {
	alloc *extent.Allocation
	sums  []extent.Sum
}

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

// Precheck implements Copier. A copy by blocks keeps everything, if it can read the filesystem at all.
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
