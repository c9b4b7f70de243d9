package machine

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestWaitUntilAsksAgainWithoutEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		begin := time.Now()
		err := WaitUntil(t.Context(), time.Minute, nil, func() (bool, error) { asked++; return asked == 3, nil })
		if took := time.Since(begin); err != nil || asked != 3 || took != 2*askEvery {
			t.Errorf("asked %d times in %s: %v", asked, took, err)
		}
	})
}

func TestWaitUntilWakesOnAnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := make(chan Uevent, 3)
		there := false
		time.AfterFunc(10*time.Millisecond, func() {
			there = true
			events <- Uevent{}
			events <- Uevent{}
			close(events) // the end of the stream does not end the wait
		})
		begin, asked := time.Now(), 0
		err := WaitUntil(t.Context(), time.Minute, events, func() (bool, error) { asked++; return there, nil })
		if took := time.Since(begin); err != nil || took != 10*time.Millisecond || asked != 2 {
			t.Errorf("asked %d times in %s: %v", asked, took, err)
		}
	})
}

func TestWaitUntilSurvivesTheEndOfEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := make(chan Uevent)
		close(events)
		asked := 0
		err := WaitUntil(t.Context(), time.Minute, events, func() (bool, error) { asked++; return asked == 4, nil })
		if err != nil {
			t.Error(err)
		}
	})
}

func TestWaitUntilTimesOutWithATypedError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		err := WaitUntil(t.Context(), 1100*time.Millisecond, nil, func() (bool, error) { return false, nil })
		var late *TimeoutError
		if !errors.As(err, &late) || late.After != 1100*time.Millisecond || !late.Timeout() || time.Since(begin) != 1100*time.Millisecond {
			t.Errorf("after %s: %v", time.Since(begin), err)
		}
		// cond is called once more after the timeout, even if that is zero
		asked := 0
		if err := WaitUntil(t.Context(), 0, nil, func() (bool, error) { asked++; return asked == 2, nil }); err != nil {
			t.Error(err)
		}
	})
}

func TestWaitUntilStopsForErrorsAndContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if err := WaitUntil(t.Context(), time.Minute, nil, func() (bool, error) { return false, errTest }); err != errTest {
			t.Errorf("got %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := WaitUntil(ctx, time.Minute, nil, func() (bool, error) { return false, nil }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}
