package stage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"migrate-init/pkg/copy"
	"migrate-init/pkg/extent"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/sim"
	"migrate-init/pkg/tree"
)

func count(log []string, prefix string) int {
	n := 0
	for _, line := range log {
		if strings.HasPrefix(line, prefix) {
			n++
		}
	}
	return n
}

// TestPrecheckForbids: what cannot be kept on any filesystem ends the migration before the first of them is copied, all of
// it is named, and once it is mended the migration goes through.
func TestPrecheckForbids(t *testing.T) {
	w := newWorld(t)
	p, text := planned(t, w, nil)
	w.Finds = map[string][]tree.Finding{
		sim.OldRoot: {{ID: "tree.identity", Severity: tree.Info, Count: 1, Detail: "inode numbers are new"},
			{ID: "tree.project", Severity: tree.Loss, Count: 3, Paths: []string{"srv/quota", "b"}, Detail: "project id 7", Fix: "mkfs with project"}},
		sim.OldSrv: {{ID: "tree.encrypted", Severity: tree.Fail, Count: 1, Paths: []string{"data/\xff"}, Detail: "fscrypt: no key", Fix: "add the key"}},
	}
	err := w.migrate(p, text, sim.Fault{})
	if err == nil || w.Entered != "" || w.committedFile(p) {
		t.Fatalf("entered %q, %v", w.Entered, err)
	}
	for _, words := range []string{"stage copy: not started, because it would not be complete: ", `filesystem at /: loss tree.project: "srv/quota" and 2 more: project id 7; mkfs with project`,
		`filesystem at /srv: fail tree.encrypted: "data/\xff": fscrypt: no key; add the key`} {
		if !strings.Contains(err.Error(), words) {
			t.Errorf("the error does not have %q:\n%v", words, err)
		}
	}
	told := strings.Join(w.Told, "\n")
	for _, words := range []string{"copy: /: info tree.identity: inode numbers are new", "copy: /: loss tree.project", "copy: /srv: fail tree.encrypted"} {
		if !strings.Contains(told, words) {
			t.Errorf("not told: %q in\n%s", words, told)
		}
	}
	if n := count(w.Log, "copy "); n > 0 {
		t.Errorf("%d copies were begun", n)
	}
	w.BootOld()
	w.Finds = nil
	if err := w.migrate(p, text, sim.Fault{}); err != nil || w.Entered != TargetDir {
		t.Errorf("mended, and then: entered %q, %v", w.Entered, err)
	}
}

// TestPrecheckOnce: what a look found that forbids nothing is in the report, and a copy that goes on after a cut does not
// look again, unless the source was in use since.
func TestPrecheckOnce(t *testing.T) {
	w := newWorld(t)
	p, text := planned(t, w, nil)
	w.Finds = map[string][]tree.Finding{sim.OldSrv: {{ID: "tree.xattrs", Severity: tree.Loss, Count: 1, Paths: []string{"data/big"}, Detail: "4000 bytes of xattrs"}}}
	start := w.clone(t)
	if err := w.migrate(p, text, sim.Fault{}); err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(w.Log, func(line string) bool { return strings.HasPrefix(line, "copy /mnt/source/"+sim.OldSrv) })
	if n := count(w.Log, "precheck "); n != 2 || at < 0 {
		t.Fatalf("%d looks, copy at %d", n, at)
	}
	if last := slices.IndexFunc(w.Log, func(line string) bool { return strings.HasPrefix(line, "precheck /mnt/source/"+sim.OldSrv) }); last > slices.IndexFunc(w.Log, func(line string) bool { return strings.HasPrefix(line, "copy /mnt/") }) {
		t.Error("the first copy is begun before the last look")
	}
	if rep := w.Trees[p.Boot.Root]["var/lib/migrate-init/report.txt"]; rep == nil || !strings.Contains(string(rep.Data), `findings: loss tree.xattrs: "data/big": 4000 bytes of xattrs`) {
		t.Errorf("the report has no findings: %s", rep.Data)
	}
	for _, between := range []bool{false, true} {
		w := start.clone(t)
		if err := w.migrate(p, text, sim.Fault{At: at + 1, How: "torn"}); err == nil {
			t.Fatal("it was not cut")
		}
		if between {
			w.BootOld()
		}
		if err := w.migrate(p, text, sim.Fault{}); err != nil {
			t.Fatal(err)
		}
		if n := count(w.Log, "precheck "); n != map[bool]int{true: 2}[between] {
			t.Errorf("old system between %v: %d looks in the second try", between, n)
		}
	}
}

// A copy that a program without a look has begun or ended is not given up for a look.
func TestPrecheckLeavesCopies(t *testing.T) {
	for _, ends := range []bool{true, false} {
		w := newWorld(t)
		p, text := planned(t, w, nil)
		w.Boot()
		e := w.env(p, text)
		for _, c := range p.Copies() {
			e.records = append(e.records, Record{Stage: "mkfs:" + c.To.ID(), Event: Done}, Record{Stage: "copy:" + c.To.ID(), Event: Begin})
			if ends {
				e.records = append(e.records, Record{Stage: "copy:" + c.To.ID(), Event: Done})
			}
		}
		if err := e.precheck(t.Context()); err != nil || count(w.Log, "precheck ") != 0 || count(w.Log, "exec mke2fs") != 0 {
			t.Errorf("ended %v: %v, log:\n%s", ends, err, strings.Join(w.Log, "\n"))
		}
		if !ends {
			continue
		}
		for _, c := range p.Copies() {
			if err := e.fresh(t.Context(), c, p.Target.Node(c.To)); c.Engine != plan.EngineExtent && (err == nil || !strings.Contains(err.Error(), "is copied")) {
				t.Errorf("a filesystem that is copied is made again: %v", err)
			}
		}
	}
}

// What a source that changed takes back is looked at again only once its copy no longer counts as done.
func TestTakeBackOrder(t *testing.T) {
	w := newWorld(t)
	p, text := planned(t, w, nil)
	if err := w.migrate(p, text, sim.Fault{}); err != nil {
		t.Fatal(err)
	}
	e := w.env(p, text)
	if err := errors.Join(e.refresh(t.Context()), e.openJournal()); err != nil {
		t.Fatal(err)
	}
	n := len(e.records)
	to := p.Copies()[0].To.ID()
	if err := e.invalidateCopy(t.Context(), to, "why"); err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, r := range e.records[n:] {
		if part, of, ok := strings.Cut(r.Stage, ":"); ok && of == to {
			order = append(order, part)
		}
	}
	if !slices.Equal(order, []string{"copy", "verify", "precheck", "settle"}) {
		t.Errorf("%q", order)
	}
}

// unable is a copier whose engine cannot read one filesystem, at one of its calls.
type unable struct {
	finalizing
	at string
}

var errNoExtent = fmt.Errorf("feature bigalloc: %w", extent.ErrUnsupported)

func (u unable) Precheck(ctx context.Context, j copy.Job) (tree.Scan, error) {
	if u.at == "precheck" {
		return tree.Scan{}, errNoExtent
	}
	return u.finalizing.Precheck(ctx, j)
}

func (u unable) Copy(ctx context.Context, j copy.Job) (copy.Counts, error) {
	if u.at == "copy" {
		return copy.Counts{}, errNoExtent
	}
	return u.finalizing.Copy(ctx, j)
}

func (u unable) Finalize(j copy.Job) ([]machine.Effect, error) {
	if u.at == "finalize" {
		return nil, errNoExtent
	}
	return u.finalizing.Finalize(j)
}

// TestUnsupportedSaysMend: a filesystem that its engine does not take is found out in the init at the earliest; the way out is
// another plan, and the reason says so.
func TestUnsupportedSaysMend(t *testing.T) {
	for _, at := range []string{"precheck", "copy", "finalize"} {
		w := newWorld(t)
		p, text := planned(t, w, engines()["blocks"])
		w.Boot()
		e := w.env(p, text)
		e.Copier = unable{finalizing{copier{w}}, at}
		err := Run(t.Context(), e)
		if err == nil || !strings.Contains(err.Error(), "feature bigalloc: not supported by the extent copy; ") || !strings.Contains(err.Error(), "migrate-init plan --engine tree") {
			t.Errorf("at %s: %v", at, err)
		}
		if at == "precheck" && count(w.Log, "copy ") > 0 {
			t.Error("found out before the copy, and copied")
		}
	}
}

// TestProbeLeftBehind: what the look tried out on the target is there again after a power cut, when no one synced its removal,
// and when the look itself was cut. Neither is taken for a part of the copy.
func TestProbeLeftBehind(t *testing.T) {
	w := newWorld(t)
	p, text := planned(t, w, nil)
	start := w.clone(t)
	w.Boot()
	var err error
	states := record(w, func() { err = Run(t.Context(), w.env(p, text)) })
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range states {
		if strings.Contains(s.what, "precheck:") && strings.HasSuffix(s.what, sim.CacheLost) {
			t.Errorf("after %q something is left to be lost", s.what)
		}
	}
	for i, line := range w.Log {
		if !strings.HasPrefix(line, "precheck ") {
			continue
		}
		w := start.clone(t)
		if err := w.migrate(p, text, sim.Fault{At: i + 1, How: "torn"}); err == nil || !holds(w, sim.ProbeDir) {
			t.Fatalf("the look was not cut: %v", err)
		}
		if err := w.migrate(p, text, sim.Fault{}); err != nil || holds(w, sim.ProbeDir) {
			t.Errorf("cut in %q: left behind %v, %v", line, holds(w, sim.ProbeDir), err)
		}
	}
}

func holds(w *world, name string) bool {
	for _, tree := range w.Trees {
		if _, ok := tree[name]; ok {
			return true
		}
	}
	return false
}
