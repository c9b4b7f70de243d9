package tree

import (
	"testing"
	"time"
)

// tick is where a copy is at a second after its begin, and what is to be told then.
type tick struct {
	at           float64
	bytes, names int64
	rate         float64
	eta          time.Duration
}

// The rate is that of the last ten seconds, and the time left that of the slower of bytes and names. Who stands still for ten
// seconds has no rate, and nobody knows how long it will take.
func TestRate(t *testing.T) {
	for name, c := range map[string]struct {
		total, inodes int64
		ticks         []tick
		done          bool
	}{
		"steady": {total: 10_000, ticks: []tick{
			{1, 100, 1, 100, 99 * time.Second}, {2, 200, 2, 100, 98 * time.Second}, {30, 3000, 3, 100, 70 * time.Second}, {31, 3100, 4, 100, 69 * time.Second}}},
		"faster, and ten seconds later all of the rate": {total: 10_000, ticks: []tick{
			{10, 100, 1, 10, 990 * time.Second}, {15, 1100, 2, 1100.0 / 15, 121_363_636_363}, {20, 2100, 3, 200, 39500 * time.Millisecond}, {25, 3100, 4, 200, 34500 * time.Millisecond}}},
		"a stall": {total: 10_000, inodes: 50, ticks: []tick{
			{5, 1000, 5, 200, 45 * time.Second}, {10, 2000, 10, 200, 40 * time.Second}, {14, 2000, 10, 2000.0 / 14, 56 * time.Second}, {19, 2000, 10, 1000.0 / 14, 112 * time.Second}, {20, 2000, 10, 0, 0}, {30, 2000, 10, 0, 0}, {31, 2100, 10, 100.0 / 11, 869 * time.Second}}},
		"empty files only: names tell the time": {total: 10_000, inodes: 100, ticks: []tick{
			{5, 0, 20, 0, 20 * time.Second}, {15, 0, 60, 0, 10 * time.Second}}},
		"names are slower than bytes": {total: 1000, inodes: 100, ticks: []tick{{10, 900, 10, 90, 90 * time.Second}}},
		"more than the total":         {total: 100, inodes: 10, ticks: []tick{{1, 150, 12, 150, 0}, {2, 300, 20, 150, 0}}},
		"no totals":                   {ticks: []tick{{1, 100, 1, 100, 0}}},
		"done":                        {total: 10_000, inodes: 50, ticks: []tick{{5, 1000, 5, 200, 0}}, done: true},
	} {
		t.Run(name, func(t *testing.T) {
			p, begin := &progress{total: c.total, inodes: c.inodes}, time.Unix(1000, 0)
			p.begin(begin)
			for _, k := range c.ticks {
				now := begin.Add(time.Duration(k.at * float64(time.Second)))
				rate, eta := p.rate(now, Event{Files: k.names - k.names/2, Dirs: k.names / 2, Bytes: k.bytes, Done: c.done})
				if d := rate - k.rate; d*d > 1e-6 || (eta-k.eta).Abs() > time.Millisecond {
					t.Errorf("at %v s: %v bytes a second, %v left; want %v, %v", k.at, rate, eta, k.rate, k.eta)
				}
			}
		})
	}
}

// Events come four times a second for hours; what is kept of them is what the rate needs.
func TestRateKeepsTenSeconds(t *testing.T) {
	p, now := &progress{total: 1 << 40}, time.Unix(1000, 0)
	p.begin(now)
	for i := range int64(10_000) {
		now = now.Add(250 * time.Millisecond)
		if rate, _ := p.rate(now, Event{Bytes: (i + 1) * 1000}); rate != 4000 || len(p.samples) > 42 {
			t.Fatalf("event %d: %v bytes a second of %d samples", i, rate, len(p.samples))
		}
	}
}
