package extent

import (
	"time"

	"migrate-init/pkg/pace"
)

// stillEvery is the interval of progress reports while no window finishes, so that a stalled disk is visible.
const stillEvery = time.Second

// reporter makes progress events, and decides when one is due.
type reporter struct {
	total int64
	pace  *pace.Pace
	told  time.Time
}

func newReporter(total int64) *reporter {
	return &reporter{total: total, pace: pace.New(time.Now(), total, 0)}
}

func (r *reporter) due(now time.Time) bool { return now.Sub(r.told) >= 200*time.Millisecond }

func (r *reporter) event(now time.Time, bytes, offset int64) Event {
	r.told = now
	f := r.pace.At(now, bytes, 0)
	return Event{Bytes: f.Bytes, Total: f.TotalBytes, Offset: offset, Rate: f.Rate, ETA: f.ETA}
}
