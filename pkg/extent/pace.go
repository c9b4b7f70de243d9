package extent

import "time"

// paceSpan is the time over which a rate is taken.
const paceSpan = 10 * time.Second

// stillEvery: that a disk stands still has to be told, too, and then no window ends.
const stillEvery = time.Second

// pace turns how far a copy is into events, and says when one is due.
type pace struct {
	total int64
	marks []paceMark // of the last paceSpan, and one before; events are rare, so they are few
	told  time.Time
}

type paceMark struct {
	at    time.Time
	bytes int64
}

func newPace(total int64) *pace { return &pace{total: total, marks: []paceMark{{time.Now(), 0}}} }

func (p *pace) due(now time.Time) bool { return now.Sub(p.told) >= 200*time.Millisecond }

func (p *pace) event(now time.Time, bytes, offset int64) Event {
	p.told = now
	for len(p.marks) > 1 && now.Sub(p.marks[1].at) >= paceSpan {
		p.marks = p.marks[1:]
	}
	e := Event{Bytes: bytes, Total: p.total, Offset: offset}
	if since := now.Sub(p.marks[0].at).Seconds(); since > 0 && bytes > p.marks[0].bytes {
		e.Rate = float64(bytes-p.marks[0].bytes) / since
		e.ETA = time.Duration(float64(max(0, p.total-bytes)) / e.Rate * float64(time.Second))
	}
	p.marks = append(p.marks, paceMark{now, bytes})
	return e
}
