package machine

import (
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
