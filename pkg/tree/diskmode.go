package tree

import (
	"fmt"
	"sync/atomic"
	"time"
)

// diskMode watches whether the disks behave as Options.Rotational says, and switches to the other mode if that is faster: one reader
// in disk order for disks with moving heads, many readers for all others. A measurement before the copy can be wrong: it may
// have hit a cache, or a part of the disk that was never written.
//
// It tries the other mode only if the rate is unexpected: slow for many readers, or faster than heads can be.
type diskMode struct {
	heads atomic.Bool

	fixed  bool // never switch
	trial  bool // the other mode is being tried
	since  time.Time
	from   int64 // the cost that was done at since
	before int64 // the rate before the trial
	next   time.Time
	wait   time.Duration
}

const (
	trialTime = 4 * time.Second  // the time over which the rate of a mode is measured
	trialWait = time.Minute      // between two trials; doubled after each
	nameCost  = 64 << 10         // the cost of one name, in bytes
	slowFlash = int64(100) << 20 // bytes per second; if many readers get less, the disk may have heads
	fastHeads = int64(200) << 20 // bytes per second; a disk that gives one reader more has no heads
)

func newDiskMode(o Options, now time.Time) *diskMode {
	g := &diskMode{fixed: o.DiskKnown || o.Workers > 0, since: now, wait: trialWait}
	g.heads.Store(o.Rotational)
	if o.onDiskMode != nil {
		o.onDiskMode(g)
	}
	return g
}

// tick takes how much is done, and switches modes. It returns a message about a switch, or "".
func (g *diskMode) tick(now time.Time, bytes, names int64) string {
	cost := bytes + names*nameCost
	took := now.Sub(g.since)
	if g.fixed || took < trialTime {
		return ""
	}
	rate := int64(float64(cost-g.from) / took.Seconds())
	g.since, g.from = now, cost
	heads := g.heads.Load()
	if g.trial {
		g.trial, g.next, g.wait = false, now.Add(g.wait), 2*g.wait
		if rate > g.before+g.before/5 {
			return fmt.Sprintf("disks: they behave like %s: %.1f times as fast with %s", kindOf(heads), float64(rate)/float64(max(1, g.before)), wayOf(heads))
		}
		g.heads.Store(!heads)
		return ""
	}
	if rate <= 0 || now.Before(g.next) || heads && rate < fastHeads || !heads && rate > slowFlash {
		return ""
	}
	g.trial, g.before = true, rate
	g.heads.Store(!heads)
	return ""
}

func kindOf(heads bool) string {
	if heads {
		return "heads"
	}
	return "flash"
}

func wayOf(heads bool) string {
	if heads {
		return "one reader in disk order"
	}
	return "many readers"
}

// shift measures the rate, and sets the number of active workers for the current mode.
func (g *diskMode) shift(o *Options, q *queue, p *progress) {
	said := g.tick(time.Now(), p.bytes.Load(), p.files.Load()+p.dirs.Load())
	q.setLimit(g.limit(q.workers))
	if said != "" && o.Tell != nil {
		o.Tell(said)
	}
}

// limit returns how many of the workers may be active.
func (g *diskMode) limit(workers int) int {
	if g.heads.Load() && !g.fixed {
		return 1 // if it is fixed, there is only one worker anyway
	}
	return workers
}
