package tree

import (
	"fmt"
	"sync/atomic"
	"time"
)

// gear watches whether the disks behave as was said of them, and changes to the other way of working when that goes faster:
// one reader in the order of the disk for heads that move, many readers for everything else. What was measured before the
// copy may be of a cache, or of a part of a disk that was never written.
//
// It tries the other way only where the rate is none that one expects: slow for many readers, or more than heads can give.
type gear struct {
	heads atomic.Bool

	fixed  bool // what was said is known
	trial  bool // the other way is being tried
	since  time.Time
	from   int64 // cost done at since
	before int64 // the rate before the trial
	next   time.Time
	wait   time.Duration
}

const (
	gearTime  = 4 * time.Second  // one way is watched for so long
	gearWait  = time.Minute      // between two trials, and twice as long after each
	gearName  = 64 << 10         // a name costs as much as so many bytes
	slowFlash = int64(100) << 20 // many readers who get less may have heads below them
	fastHeads = int64(200) << 20 // heads that give more are none
)

func newGear(o Options, now time.Time) *gear {
	g := &gear{fixed: o.DiskKnown || o.Workers > 0, since: now, wait: gearWait}
	g.heads.Store(o.Rotational)
	if o.onGear != nil {
		o.onGear(g)
	}
	return g
}

// tick is told how much is done. It returns what there is to say, "" for nothing.
func (g *gear) tick(now time.Time, bytes, names int64) string {
	cost := bytes + names*gearName
	took := now.Sub(g.since)
	if g.fixed || took < gearTime {
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
		return "one reader in the order of the disk"
	}
	return "many readers"
}

// shift looks how the work goes, and has as many of the workers work as is best.
func (g *gear) shift(o *Options, q *queue, p *progress) {
	said := g.tick(time.Now(), p.bytes.Load(), p.files.Load()+p.dirs.Load())
	q.setLimit(g.limit(q.workers))
	if said != "" && o.Tell != nil {
		o.Tell(said)
	}
}

// limit is how many of the workers may work.
func (g *gear) limit(workers int) int {
	if g.heads.Load() && !g.fixed {
		return 1 // where it is fixed there are no others
	}
	return workers
}
