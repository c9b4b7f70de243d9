package machine

import (
	"context"
	"fmt"
	"time"
)

// TimeoutError is what a wait ends with when its time is over.
type TimeoutError struct{ After time.Duration }

func (e *TimeoutError) Error() string { return fmt.Sprintf("still not so after %s", e.After) }

// Timeout tells net.Error-like callers what it is.
func (e *TimeoutError) Timeout() bool { return true }

const askEvery = 250 * time.Millisecond

// WaitUntil evaluates cond now, after every uevent, and at least every 250 ms (an event can be lost), until it is true.
// It returns cond's error, ctx's, or a *TimeoutError. Events may be nil.
func WaitUntil(ctx context.Context, timeout time.Duration, events <-chan Uevent, cond func() (bool, error)) error {
	return waitUntil(ctx, timeout, askEvery, events, cond)
}

func waitUntil(ctx context.Context, timeout, every time.Duration, events <-chan Uevent, cond func() (bool, error)) error {
	late := time.NewTimer(timeout)
	defer late.Stop()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for over := false; ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		ok, err := cond()
		if ok || err != nil {
			return err
		}
		if over {
			return &TimeoutError{timeout}
		}
		select {
		case <-ctx.Done():
		case <-late.C:
			over = true // asked once more: cond may be slow
		case <-tick.C:
		case _, open := <-events:
			if !open {
				events = nil
			}
			drain(events)
		}
	}
}

// drain forgets the events that wait already: one evaluation answers a burst.
func drain(events <-chan Uevent) {
	for {
		select {
		case _, open := <-events:
			if !open {
				return
			}
		default:
			return
		}
	}
}
