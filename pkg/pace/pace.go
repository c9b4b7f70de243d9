// Package pace says how fast long work goes and when it will end. There is one way to compute that, for every engine.
//
// What it promises of its figures: a total that the work exceeds was a wrong estimate, and there is none from then on. There is
// no rate before a second has passed, and no time left before the rate means something. What is left takes at least a second.
package pace

import "time"

const (
	// span is the time over which a rate is taken.
	span = 10 * time.Second
	// soonest is the first time at which there is a rate, and surer the first at which there is a time left.
	soonest, surer = time.Second, 2 * time.Second
	// nameCost is what a name costs, in bytes that take as long: to open, make and close a file is work, however small it is.
	nameCost = 64 << 10
	// longest is more than any work takes: a rate that says so is none.
	longest = 1000 * 24 * time.Hour
)

// Pace is how one piece of work goes. Call New.
type Pace struct {
	bytes, names int64 // totals; 0: not known
	begun        time.Time
	marks        []mark // of the last span, and one before; they are few, because figures are asked for a few times a second
}

type mark struct {
	at           time.Time
	bytes, names int64
}

// Figures are how far the work is.
type Figures struct {
	Bytes, Names           int64
	TotalBytes, TotalNames int64         // estimates, never below what is done; 0: not known
	Rate                   float64       // bytes a second over the last ten; 0: not known, or none
	ETA                    time.Duration // at least a second; 0: not known
}

// New begins work of so many bytes and names; 0: not known.
func New(now time.Time, bytes, names int64) *Pace {
	return &Pace{bytes: max(0, bytes), names: max(0, names), begun: now, marks: []mark{{at: now}}}
}

// Skip says that so much of what the next At counts was found done, by an earlier run: it says nothing about the rate.
func (p *Pace) Skip(bytes, names int64) {
	for i := range p.marks {
		p.marks[i].bytes += bytes
		p.marks[i].names += names
	}
}

// At returns the figures for what is done now.
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
	if took := now.Sub(from.at); took >= soonest {
		f.Rate = max(0, float64(bytes-from.bytes)/took.Seconds())
		f.ETA = p.left(mark{now, bytes, names}, from)
	}
	p.marks = append(p.marks, mark{now, bytes, names})
	return f
}

// left is the time that the rest takes at the rate since a mark.
func (p *Pace) left(now, from mark) time.Duration {
	done, moved, total := p.cost(now.bytes, now.names), p.cost(now.bytes-from.bytes, now.names-from.names), p.cost(p.bytes, p.names)
	if run := now.at.Sub(p.begun); moved <= 0 || done >= total || run < surer || run < span && done < total/100 {
		return 0
	}
	left := float64(total-done) / float64(moved) * now.at.Sub(from.at).Seconds()
	if left > longest.Seconds() {
		return 0
	}
	return max(time.Second, time.Duration(left*float64(time.Second)))
}

// cost is one measure of bytes and names, of those with a total.
func (p *Pace) cost(bytes, names int64) (sum int64) {
	if p.bytes > 0 {
		sum += bytes
	}
	if p.names > 0 {
		sum += names * nameCost
	}
	return sum
}
