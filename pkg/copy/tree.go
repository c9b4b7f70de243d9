package copy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"migrate-init/pkg/tree"
)

// ManifestName is the file in which the tree engine keeps its hashes. It is in the root of the target, so that a sync of the
// copy makes it durable too. The last step of either caller removes it.
const ManifestName = ".migrate-init.manifest"

// treeOptions returns the options of a job for the tree engine.
func treeOptions(j Job) tree.Options {
	o := tree.Options{Rotational: j.Rotational, DiskKnown: j.DiskKnown, Tell: j.Tell, CheckpointEvery: j.CheckpointEvery, Reread: j.Reread,
		TargetOnly: append([]string{ManifestName}, j.own...), Exclude: append([]string{ManifestName}, j.Exclude...), Hollow: j.Hollow, Part: j.Part, Subvolumes: j.Subvolumes}
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

// copiedTree converts the result of a copy by the tree engine. Everything except directories counts as a file.
func copiedTree(res tree.Result, err error) (Counts, error) {
	c := Counts{Files: res.Files + res.Links + res.Special, Dirs: res.Dirs, Bytes: res.Bytes, Resumed: res.Skipped, Unread: res.ProblemCount}
	for _, p := range res.Problems {
		c.Skipped = append(c.Skipped, p.String())
	}
	return c, err
}

// verifiedTree converts the report of a verification by the tree engine. A difference becomes an error that names the file.
func verifiedTree(rep tree.Report, err error) (Counts, error) {
	c := Counts{Files: rep.Files, Dirs: rep.Dirs, Bytes: rep.Read, Skipped: rep.Damaged, Unread: rep.DamagedCount, SharedSource: rep.SharedSource, SharedTarget: rep.SharedTarget}
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
	var from tree.Checkpoint
	if j.Resume != nil {
		if err := json.Unmarshal(j.Resume, &from); err != nil {
			return c, fmt.Errorf("checkpoint: %w", err)
		}
	}
	f, err := tree.ContinueManifest(filepath.Join(j.To, ManifestName), from.ManifestBytes)
	if err != nil {
		return c, fmt.Errorf("manifest: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	o.Manifest = f
	if j.Resume != nil {
		o.Resume = &tree.Resume{Manifest: f, ManifestBytes: from.ManifestBytes}
	}
	if j.Checkpoint != nil {
		o.Checkpoint = func(c tree.Checkpoint) error { return j.Checkpoint(c) }
	}
	res, err := tree.Copy(ctx, j.From, j.To, o)
	if g.sawHeads == nil {
		g.sawHeads = map[string]bool{}
	}
	g.sawHeads[j.To] = res.Heads
	return copiedTree(res, err)
}

func (g *Engines) verifyTree(ctx context.Context, j Job) (c Counts, err error) {
	o := treeOptions(j)
	if heads, ok := g.sawHeads[j.To]; ok {
		o.Rotational = heads
	}
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
	return verifiedTree(tree.Verify(ctx, j.From, j.To, o))
}

// Subvolumes implements Lister.
func (g *Engines) Subvolumes(dir string) ([]tree.Subvolume, error) { return tree.Subvolumes(dir) }
