package copy

import (
	"context"
	"fmt"

	"migrate-init/pkg/extent"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/tree"
)

// Engines is the Copier of a real machine: pkg/tree and pkg/extent. It keeps the checksums of a block copy for the
// verification of that copy.
type Engines struct {
	sums map[string]checksums // by Job.ToDev
	// Disk opens a disk to measure it; nil means machine.OpenDirect.
	Disk  func(path string) (Direct, error)
	disks map[Disk]diskClass // measured in this run
	// sawHeads records whether the disks of a copy by files behaved like heads at its end, by Job.To.
	sawHeads map[string]bool
}

// diskClass is what was found out about a disk.
type diskClass struct {
	heads bool
	why   []string
}

// Heads classifies disks as [Classify] does, but measures each disk only once. why explains a disk only the first time.
func (g *Engines) Heads(ctx context.Context, kind string, disks ...Disk) (heads bool, why []string) {
	open := g.Disk
	if open == nil {
		open = openDirect
	}
	if kind == DiskHeads || kind == DiskFlash {
		return Classify(ctx, kind, open)
	}
	for _, d := range disks {
		j, ok := g.disks[d]
		if !ok {
			if g.disks == nil {
				g.disks = map[Disk]diskClass{}
			}
			j.heads, j.why = Classify(ctx, kind, open, d)
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

// checksums are those of a finished block copy, one for each window of alloc.
type checksums struct {
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

// Precheck implements Copier. A block copy keeps everything, provided that it supports the filesystem.
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
