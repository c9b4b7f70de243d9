package stage

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"migrate-init/pkg/copy"
	"migrate-init/pkg/plan"
)

// TestTellUnread: each line is told, and is whole in the journal, which keeps its last slots for what matters.
func TestTellUnread(t *testing.T) {
	var told []string
	e := &Env{Plan: &plan.Plan{ID: "p"}, Machine: &sink{}, journal: "/dev/j", size: 1024 * slotSize, Clock: func() (string, float64) { return "", 0 },
		Tell: func(ev Event) { told = append(told, ev.Stage+": "+ev.Text) }}
	e.tellUnread(t.Context(), "copy", "copy:u", "/", copy.Counts{})
	if len(told) > 0 || len(e.records) > 0 {
		t.Fatalf("nothing is missing, and %q, %v", told, e.records)
	}
	c := copy.Counts{Unread: 1234}
	for i := range 1000 {
		c.Skipped = append(c.Skipped, fmt.Sprintf("%q: data in bytes %d to %d: input/output error", fmt.Sprintf("srv/<mail>/\x01%d", i), i, i+1))
	}
	e.tellUnread(t.Context(), "copy", "copy:u", "/", c)
	text := strings.Join(told, "\n")
	lists := copyFacts(c, "tree")["skipped"]
	if copyFacts(c, "tree")["unread"] != "1234" {
		t.Errorf("facts %v", copyFacts(c, "tree"))
	}
	for _, r := range e.records {
		if _, err := r.Slot(1, "p"); err != nil || r.Event != Note || r.Stage != "copy:u" {
			t.Errorf("%+v: %v", r, err)
		}
		b, _ := r.Slot(1, "p")
		if rec, ok := decode(b, 1, "p"); !ok || rec.Facts["skipped"] != r.Facts["skipped"] {
			t.Errorf("a list is cut: %v %q", ok, rec.Facts["skipped"])
		}
		lists += "\n" + r.Facts["skipped"]
	}
	if lists != strings.Join(c.Skipped, "\n") {
		t.Errorf("the journal has %d of %d bytes of the list", len(lists), len(strings.Join(c.Skipped, "\n")))
	}
	for _, s := range append(c.Skipped, "1234 places could not be read", "and 234 more") {
		if !strings.Contains(text, s) {
			t.Fatalf("%q is not told", s)
		}
	}
	e.size = (noteSpare + 3 + int64(len(e.records))) * slotSize
	n := len(e.records)
	e.tellUnread(t.Context(), "copy", "copy:u", "/", c)
	if len(e.records) != n+3 || !strings.Contains(told[len(told)-1], "no room") {
		t.Errorf("%d records more, %q", len(e.records)-n, told[len(told)-1])
	}
}

// unreadable is a copier that could not read something, and says so as the policy wants it.
type unreadable struct {
	copier
	policy *[]bool
}

// Copy implements Copier.
func (l unreadable) Copy(ctx context.Context, j copy.Job) (copy.Counts, error) {
	*l.policy = append(*l.policy, j.SkipBad)
	c, err := l.copier.Copy(ctx, j)
	c.Unread, c.Skipped = 1, []string{`"srv/lost": entry: input/output error`}
	return c, err
}

// Verify implements Copier.
func (l unreadable) Verify(ctx context.Context, j copy.Job) (copy.Counts, error) {
	*l.policy = append(*l.policy, j.SkipBad)
	c, err := l.copier.Verify(ctx, j)
	c.Unread, c.Skipped = 1, []string{`"srv/lost": could not be read; the copy does not have it`}
	return c, err
}

// TestSkipAndList: a plan that says so is carried out, and tells what is missing from the new system; for any other plan the engines
// are not asked to go on, and what they lack ends it.
func TestSkipAndList(t *testing.T) {
	for policy, skips := range map[string]bool{"skip-and-list": true, "stop": false} {
		w := newWorld(t)
		p, text := planned(t, w, func(in *plan.Intent) { in.Policy.ReadError = policy })
		w.Boot()
		var asked []bool
		e := w.env(p, text)
		e.Copier = unreadable{copier{w}, &asked}
		err := Run(t.Context(), e)
		said, journal := strings.Join(w.Told, "\n"), e.Records().Report(p)
		if slices.Contains(asked, !skips) || len(asked) == 0 {
			t.Errorf("%s: the engine was asked to skip: %v", policy, asked)
		}
		if !strings.Contains(said, `copy: warning: /: "srv/lost": entry: input/output error`) {
			t.Errorf("%s: it is not told:\n%s", policy, said)
		}
		if !skips {
			if err == nil || !strings.Contains(err.Error(), "could not be read, and the plan's policy is to stop") || w.committedFile(p) {
				t.Errorf("%s: %v", policy, err)
			}
			continue
		}
		if err != nil || !strings.Contains(said, `verify: warning: /: "srv/lost": could not be read; the copy does not have it`) {
			t.Errorf("%s: %v\n%s", policy, err, said)
		}
		if !strings.Contains(journal, `skipped: "srv/lost": entry: input/output error`) || !strings.Contains(journal, "unread: 1") {
			t.Errorf("%s: the journal does not tell:\n%s", policy, journal)
		}
	}
}
