package main

import (
	"context"
	"fmt"
	"strings"

	"migrate-init/pkg/stage"
	"migrate-init/pkg/tree"
)

// engines is the copier of the stages: one case an engine.
type engines struct{}

// Copy implements stage.Copier.
func (engines) Copy(ctx context.Context, j stage.Job) (stage.Counts, error) {
	if j.Engine != "tree" {
		return stage.Counts{}, fmt.Errorf("engine %s: not one that this migrate-init copies with; make a plan with --engine tree", j.Engine)
	}
	return countCopy(tree.Copy(ctx, j.From, j.To, treeOptions(j)))
}

func countCopy(res tree.Result, err error) (stage.Counts, error) {
	c := stage.Counts{Files: res.Files, Dirs: res.Dirs, Bytes: res.Bytes}
	for _, p := range res.Problems {
		c.Skipped = append(c.Skipped, fmt.Sprintf("%q %s: %v", p.Path, p.What, p.Err))
	}
	return c, err
}

// Verify implements stage.Copier.
func (engines) Verify(ctx context.Context, j stage.Job) (stage.Counts, error) {
	return countVerify(tree.Verify(ctx, j.From, j.To, treeOptions(j)))
}

func countVerify(rep tree.Report, err error) (stage.Counts, error) {
	c := stage.Counts{Files: rep.Files, Dirs: rep.Dirs, Bytes: rep.Read}
	if err == nil && len(rep.Differences) > 0 {
		var lines []string
		for _, d := range rep.Differences {
			lines = append(lines, d.String())
		}
		err = fmt.Errorf("the copy differs from the source in %d places:\n%s", rep.Count, strings.Join(lines, "\n"))
	}
	return c, err
}

func treeOptions(j stage.Job) tree.Options {
	o := tree.Options{OnReadError: tree.Stop}
	if j.SkipBad {
		o.OnReadError = tree.List
	}
	if j.Progress != nil {
		o.Progress = func(e tree.Event) {
			j.Progress(stage.Progress{Files: e.Files, TotalFiles: e.TotalFiles, Bytes: e.Bytes, TotalBytes: e.TotalBytes, Rate: e.Rate, ETA: e.ETA.Seconds(), Path: e.Path})
		}
	}
	return o
}
