package machine

import (
	"context"
	"fmt"
	"time"
)

// TimeoutError is returned when a wait times out.
type TimeoutError struct{ After time.Duration }

func (e *TimeoutError) Error() string { return fmt.Sprintf("timed out after %s", e.After) }

// Timeout returns true, as in net.Error.
func (e *TimeoutError) Timeout() bool { return true }

const askEvery = 250 * time.Millisecond

// WaitUntil calls cond at once, after every event, and at least every 250 ms, because events can be lost, until cond returns
// true or an error. It returns the error of cond or ctx, or a *TimeoutError. events may be nil.
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
			over = true // call cond once more: the last call may have been slow
		case <-tick.C:
		case _, open := <-events:
			if !open {
				events = nil
			}
			drain(events)
		}
	}
}

// drain discards pending events, so that a burst leads to one call of cond.
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
