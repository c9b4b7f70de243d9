package extent

import (
	"testing"
	"time"
)

// The rate is that of the last ten seconds, not of the whole copy.
func TestPace(t *testing.T) {
	p := newPace(1000)
	begin := p.marks[0].at
	var e Event
	for s := 1; s <= 40; s++ {
		bytes := int64(s) // one byte a second, then 20
		if s > 20 {
			bytes = 20 + 20*int64(s-20)
		}
		e = p.event(begin.Add(time.Duration(s)*time.Second), bytes, 0)
		if s == 20 && (e.Rate != 1 || e.ETA != 980*time.Second) {
			t.Errorf("at 20 s: %v bytes a second, %v left", e.Rate, e.ETA)
		}
	}
	if e.Rate != 20 || e.ETA != 29*time.Second || len(p.marks) > 12 {
		t.Errorf("at 40 s: %v bytes a second, %v left, %d marks kept", e.Rate, e.ETA, len(p.marks))
	}
	if e = newPace(10).event(time.Now(), 0, 0); e.Rate != 0 || e.ETA != 0 {
		t.Errorf("at the start: %+v", e)
	}
}
