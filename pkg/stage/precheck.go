package stage

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"migrate-init/pkg/copy"
	"migrate-init/pkg/extent"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// precheck asks for every planned copy, before the first of them begins, what of it cannot be kept: an hour of copying is
// no way to find out. It is asked of a new filesystem, and once for each state of a source.
func (e *Env) precheck(ctx context.Context) error {
	var forbid []string
	for _, c := range e.Plan.Copies() {
		s, n, err := e.pair(c)
		if err != nil {
			return err
		}
		// A copy that was begun was looked at by then, or by a program that did not look: what it has is not given up for a look.
		if key := "copy:" + n.Ref.ID(); e.records.Done("precheck:"+n.Ref.ID()) || e.records.Done(key) || e.records.open(key) {
			continue
		}
		e.tell("copy", "%s: checking every file for what cannot be kept", n.FS.Mount)
		bad, err := e.precheckOne(ctx, c, s, n)
		if err != nil {
			return fmt.Errorf("filesystem at %s: %w", n.FS.Mount, withAdvice(err))
		}
		forbid = append(forbid, bad...)
	}
	if len(forbid) > 0 {
		return fmt.Errorf("not started, because it would not be complete: %s", strings.Join(forbid, "\n"))
	}
	return nil
}

// precheckOne returns what forbids the copy.
func (e *Env) precheckOne(ctx context.Context, c plan.Move, s, n *plan.Node) ([]string, error) {
	key := "precheck:" + n.Ref.ID()
	j, err := e.job(ctx, "precheck", c, s, n)
	if err != nil {
		return nil, err
	}
	if err := e.Record(ctx, Record{Stage: key, Event: Begin}); err != nil {
		return nil, err
	}
	e.Known.Forget(j.ToDev)
	scan, err := e.Copier.Precheck(ctx, j)
	if err != nil {
		return nil, err
	}
	var lines, forbid []string
	for _, f := range scan.Findings {
		line := copy.Line(f)
		e.tell("copy", "%s: %s", n.FS.Mount, line)
		lines = append(lines, line)
		if copy.Forbids(f, j) {
			forbid = append(forbid, "filesystem at "+n.FS.Mount+": "+line)
		}
	}
	if len(forbid) > 0 {
		return forbid, nil
	}
	if j.Engine != plan.EngineExtent {
		// What the engine tried out there and took away again must not come back after a power cut.
		if err := e.do(ctx, machine.Sync{Path: j.To}); err != nil {
			return nil, err
		}
	}
	facts := copyFacts(copy.Counts{Files: scan.Files, Dirs: scan.Dirs, Bytes: scan.Bytes}, c.Engine)
	if len(lines) > 0 {
		facts["findings"] = strings.Join(lines, "\n")
	}
	return nil, e.Record(ctx, Record{Stage: key, Event: Done, Text: n.FS.Mount, Facts: facts})
}

// withAdvice says what helps where the engine of the plan cannot copy a filesystem.
func withAdvice(err error) error {
	if errors.Is(err, extent.ErrUnsupported) {
		return fmt.Errorf("%w; on the old system make a new plan that copies file by file: migrate-init plan --engine tree", err)
	}
	return err
}

// filled reports whether anything was put into a filesystem since it was made, or tried out there without an end.
func (rs Records) filled(uuid string) bool {
	for i := len(rs) - 1; i >= 0; i-- {
		r := rs[i]
		switch {
		case r.Event == Done && (r.Stage == "mkfs:"+uuid || r.Stage == "precheck:"+uuid):
			return false
		case r.Event == Begin && (r.Stage == "copy:"+uuid || r.Stage == "precheck:"+uuid):
			return true
		}
	}
	return false
}
