// Package pace computes the rate of a long operation and the time it has left. Every engine uses it.
//
// Guarantees: once the work exceeds a total, that total was a wrong estimate and is dropped for good. There is no rate before
// one second has passed, and no ETA before the rate is meaningful. An ETA is never below one second.
package pace

import "time"

const (
	// span is the interval over which the rate is averaged.
	span = 10 * time.Second
	// There is no rate before minRateTime and no ETA before minETATime.
	minRateTime, minETATime = time.Second, 2 * time.Second
	// nameCost is the cost of one name, in the bytes that could be copied in the same time: opening, creating and closing a
	// file takes time, however small the file is.
	nameCost = 64 << 10
	// maxETA bounds the ETA. A rate that leads to a longer one is too low to be meaningful.
	maxETA = 1000 * 24 * time.Hour
)

// Pace tracks one operation. Create it with New.
type Pace struct {
	bytes, names int64 // totals; 0 means unknown
	begun        time.Time
	marks        []mark // those within span, and the last one before it; few, because At is called a few times a second
}

type mark struct {
	at           time.Time
	bytes, names int64
}

// Figures is the progress of an operation.
type Figures struct {
	Bytes, Names           int64         // done
	TotalBytes, TotalNames int64         // estimates, never below Bytes and Names; 0 means unknown
	Rate                   float64       // bytes per second over the last ten seconds; 0 means unknown, or no progress
	ETA                    time.Duration // time left, at least one second; 0 means unknown
}

// New starts tracking an operation with the given totals; 0 means unknown.
func New(now time.Time, bytes, names int64) *Pace {
	return &Pace{bytes: max(0, bytes), names: max(0, names), begun: now, marks: []mark{{at: now}}}
}

// Skip excludes from the rate what an earlier run had done already. The next call of At must count it as done.
func (p *Pace) Skip(bytes, names int64) {
	for i := range p.marks {
		p.marks[i].bytes += bytes
		p.marks[i].names += names
	}
}

// At records that bytes and names are done at now, and returns the figures.
func (p *Pace) At(now time.Time, bytes, names int64) Figures {
	if bytes > p.bytes {
		p.bytes = 0
	}
	if names > p.names {
		p.names = 0
	}
	for len(p.marks) > 1 && now.Sub(p.marks[1].at) >= span {
		p.marks = p.marks[1:]
	}
	f := Figures{Bytes: bytes, Names: names, TotalBytes: p.bytes, TotalNames: p.names}
	from := p.marks[0]
	if took := now.Sub(from.at); took >= minRateTime {
		f.Rate = max(0, float64(bytes-from.bytes)/took.Seconds())
		f.ETA = p.eta(mark{now, bytes, names}, from)
	}
	p.marks = append(p.marks, mark{now, bytes, names})
	return f
}

// eta returns how long the rest takes at the rate since from, 0 if that is unknown.
func (p *Pace) eta(now, from mark) time.Duration {
	done, moved, total := p.cost(now.bytes, now.names), p.cost(now.bytes-from.bytes, now.names-from.names), p.cost(p.bytes, p.names)
	if run := now.at.Sub(p.begun); moved <= 0 || done >= total || run < minETATime || run < span && done < total/100 {
		return 0
	}
	left := float64(total-done) / float64(moved) * now.at.Sub(from.at).Seconds()
	if left > maxETA.Seconds() {
		return 0
	}
	return max(time.Second, time.Duration(left*float64(time.Second)))
}

// cost combines bytes and names into one measure. It counts only those whose total is known.
func (p *Pace) cost(bytes, names int64) (sum int64) {
	if p.bytes > 0 {
		sum += bytes
	}
	if p.names > 0 {
		sum += names * nameCost
	}
	return sum
}
