package stage

import (
	"context"
	"fmt"
	"strconv"

	"migrate-init/pkg/copy"
)

// Progress is noted in the journal, so that `status` tells how far a copy was when the power failed. A note takes a
// slot like any record: they are rare, and stop while there is room left for what matters.
const (
	noteEvery = 15.0 // seconds
	noteSpare = 256  // slots
)

// noting hands progress on and notes it now and then. An engine calls it from one goroutine, while its caller waits.
func (e *Env) noting(ctx context.Context, key string, next func(copy.Progress)) func(copy.Progress) {
	_, last := e.Clock()
	return func(p copy.Progress) {
		next(p)
		_, now := e.Clock()
		if now-last < noteEvery || e.size/slotSize-int64(len(e.records)) <= noteSpare {
			return
		}
		last = now
		n := func(v int64) string { return strconv.FormatInt(v, 10) }
		text := fmt.Sprintf("%d files, %d of %d bytes", p.Files, p.Bytes, p.TotalBytes)
		if p.TotalBytes == 0 {
			text = fmt.Sprintf("%d files, %d bytes", p.Files, p.Bytes)
		}
		rec := Record{Stage: key, Event: Note, Text: text,
			Facts: map[string]string{"files": n(p.Files), "bytes": n(p.Bytes), "total": n(p.TotalBytes), "rate": n(int64(p.Rate)), "eta": n(int64(p.ETA))}}
		if err := e.Record(ctx, rec); err != nil {
			e.tell(Title(e.Plan, key), "progress was not noted: %v", err)
		}
	}
}
