package extent

import (
	"sync"
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

// tick is where a copy is at a second after its begin, and what is to be told then.
type tick struct {
	at    int
	bytes int64
	rate  float64
	eta   time.Duration
}

// Who stands still for ten seconds has no rate, and nobody knows how long it will take.
func TestPaceTable(t *testing.T) {
	for name, ticks := range map[string][]tick{
		"steady":              {{1, 10, 10, 99 * time.Second}, {2, 20, 10, 98 * time.Second}, {30, 300, 10, 70 * time.Second}, {31, 310, 10, 69 * time.Second}},
		"a stall":             {{5, 50, 10, 95 * time.Second}, {10, 100, 10, 90 * time.Second}, {14, 100, 100.0 / 14, 126 * time.Second}, {19, 100, 50.0 / 14, 252 * time.Second}, {20, 100, 0, 0}, {30, 100, 0, 0}, {31, 110, 10.0 / 11, 979 * time.Second}},
		"all":                 {{10, 1000, 100, 0}},
		"more than the total": {{10, 1500, 150, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPace(1000)
			begin := p.marks[0].at
			for _, k := range ticks {
				e := p.event(begin.Add(time.Duration(k.at)*time.Second), k.bytes, 7)
				if d := e.Rate - k.rate; d*d > 1e-6 || (e.ETA-k.eta).Abs() > time.Millisecond || e.Bytes != k.bytes || e.Total != 1000 || e.Offset != 7 {
					t.Errorf("at %d s: %+v, want %v bytes a second, %v left", k.at, e, k.rate, k.eta)
				}
			}
		})
	}
}

// hung is a disk that answers nothing until it is let go.
type hung struct {
	*memory
	t     *testing.T
	until chan struct{}
}

func (h hung) ReadAt(b []byte, off int64) (int, error) {
	select {
	case <-h.until:
	case <-time.After(10 * time.Second):
		h.t.Error("nothing was told")
	}
	return h.memory.ReadAt(b, off)
}

// A disk that does not answer ends no window, and yet it is told how things stand.
func TestProgressOfAHungDisk(t *testing.T) {
	src, dst, a := fixture(3, 2, 5)
	told := func() (until chan struct{}, f func(Event)) {
		until = make(chan struct{})
		once := sync.OnceFunc(func() { close(until) })
		return until, func(Event) { once() }
	}
	until, f := told()
	res, err := copyWindows(t.Context(), hung{src, t, until}, dst, a, Options{Progress: f})
	must(t, err)
	until, f = told()
	_, err = verifyWindows(t.Context(), hung{dst, t, until}, a, res.Sums, Options{Progress: f})
	must(t, err)
}
