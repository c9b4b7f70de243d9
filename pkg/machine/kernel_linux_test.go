package machine

import (
	"errors"
	"testing"
	"time"
)

// A flush that never ends must not keep PID 1 from its reboot.
func TestWithin(t *testing.T) {
	forever := make(chan struct{})
	t.Cleanup(func() { close(forever) })
	if within(time.Millisecond, func() { <-forever }) {
		t.Error("what never ends has ended")
	}
	if did := false; !within(time.Hour, func() { did = true }) || !did {
		t.Error("what ends was not waited for")
	}
}

// A driver that waits for dead hardware must not keep PID 1 from its reboot either.
func TestUnlessDone(t *testing.T) {
	reset := make(chan struct{})
	if err := unlessDone(time.Millisecond, func() error { <-reset; return errTest }, func() { close(reset) }); !errors.Is(err, errTest) {
		t.Errorf("got %v", err)
	}
	if err := unlessDone(time.Hour, func() error { return nil }, func() { t.Error("what ended in time was overruled") }); err != nil {
		t.Error(err)
	}
}
