package stage

import (
	"context"
	"maps"
	"slices"

	"migrate-init/pkg/plan"
)

// stamps note the state of every source filesystem at the moment of the copy, and of the arrays below: finish compares them.
func (e *Env) stamps() map[string]string {
	m := map[string]string{}
	maps.Copy(m, e.arrays)
	for _, s := range e.Plan.Source.Filesystems() {
		if d, _ := e.Facts.FS(s.Ref.ID()); d != nil {
			m["stamp:"+s.Ref.ID()] = d.Filesystem().Stamp
			if was, replayed := e.stampOf[s.Ref.ID()]; replayed {
				m["stamp:"+s.Ref.ID()] = was
			}
		}
	}
	return m
}

// invalidateStale takes back every copy whose source was mounted for writing since (between two tries the old system runs),
// and every copy by blocks that was cut short while it got its identity: with half of its checksums rewritten it is not a filesystem.
// What is taken back is recorded before the new stamps are, so that a power cut between them forgets nothing.
func (e *Env) invalidateStale(ctx context.Context) error {
	now, changed := e.stamps(), false
	for _, c := range e.Plan.Copies() {
		key, why := "stamp:"+c.From.ID(), "the source was in use"
		switch {
		case c.Engine == plan.EngineExtent && e.records.open("settle:"+c.To.ID()):
			why = "it was cut short while it got its identity"
		case now[key] != "" && now[key] == e.records.Fact(key):
			continue
		}
		changed = true
		e.tell("prepare", "source filesystem %s is copied again: %s", c.From.ID(), why)
		if err := e.invalidateCopy(ctx, c.To.ID(), why); err != nil {
			return err
		}
	}
	for key, stamp := range e.arrays {
		changed = changed || e.records.Fact(key) != stamp
	}
	if !changed {
		return nil
	}
	return e.recordStamps(ctx, Record{Stage: "check", Event: Note, Text: "the sources as they are copied now"}, now)
}

// perRecord is how many stamps a slot of the journal holds: each has some 100 bytes.
const perRecord = 24

// recordStamps writes a record with the first stamps, and as many notes as the others need. A power cut in between leaves
// filesystems without a stamp, which count as changed.
func (e *Env) recordStamps(ctx context.Context, first Record, stamps map[string]string) error {
	for _, rec := range stampRecords(first, stamps) {
		if err := e.Record(ctx, rec); err != nil {
			return err
		}
	}
	return nil
}

func stampRecords(first Record, stamps map[string]string) []Record {
	out := []Record{first}
	for keys := range slices.Chunk(slices.Sorted(maps.Keys(stamps)), perRecord) {
		last := &out[len(out)-1]
		if last.Facts != nil {
			out = append(out, Record{Stage: first.Stage, Event: Note, Text: "more of the sources as they are copied now"})
			last = &out[len(out)-1]
		}
		last.Facts = map[string]string{}
		for _, k := range keys {
			last.Facts[k] = stamps[k]
		}
	}
	return out
}

// invalidateCopy makes the journal forget that a filesystem was copied. Its settling is the last to go: it is what tells the next
// try, when the power went before, that there is something to take back.
func (e *Env) invalidateCopy(ctx context.Context, to, why string) error {
	for _, whole := range []string{"copy", "verify"} {
		if !e.records.Done(whole) {
			continue
		}
		if err := e.Record(ctx, Record{Stage: whole, Event: Void, Text: "see below"}); err != nil {
			return err
		}
	}
	parts := []string{"copy", "verify", "settle"}
	if e.records.Begun("precheck:" + to) {
		parts = []string{"copy", "verify", "precheck", "settle"} // while a copy counts as done, no one looks again or makes its filesystem again
	}
	for _, part := range parts {
		if err := e.Record(ctx, Record{Stage: part + ":" + to, Event: Void, Text: why}); err != nil {
			return err
		}
	}
	return nil
}

// open reports whether a part was begun and neither ended nor taken back.
func (rs Records) open(stage string) bool {
	for i := len(rs) - 1; i >= 0; i-- {
		if r := rs[i]; r.Stage == stage && (r.Event == Begin || r.Event == Done || r.Event == Void) {
			return r.Event == Begin
		}
	}
	return false
}

// epoch counts how often a part was taken back: a checkpoint of an earlier epoch says nothing.
func (rs Records) epoch(stage string) int {
	n := 0
	for _, r := range rs {
		if r.Stage == stage && r.Event == Void {
			n++
		}
	}
	return n
}
