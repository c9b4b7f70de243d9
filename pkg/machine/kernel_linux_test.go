package machine

import (
	"errors"
	"testing"
	"time"
)

// TestWithin: a flush that never ends must not keep PID 1 from rebooting.
func TestWithin(t *testing.T) {
	forever := make(chan struct{})
	t.Cleanup(func() { close(forever) })
	if within(time.Millisecond, func() { <-forever }) {
		t.Error("within reports the end of a function that has not returned")
	}
	if did := false; !within(time.Hour, func() { did = true }) || !did {
		t.Error("within did not wait for the function")
	}
}

// TestUnlessDone: a driver that waits for dead hardware must not keep PID 1 from rebooting either.
func TestUnlessDone(t *testing.T) {
	reset := make(chan struct{})
	if err := unlessDone(time.Millisecond, func() error { <-reset; return errTest }, func() { close(reset) }); !errors.Is(err, errTest) {
		t.Errorf("got %v", err)
	}
	if err := unlessDone(time.Hour, func() error { return nil }, func() { t.Error("instead was called although the function had returned in time") }); err != nil {
		t.Error(err)
	}
}
