package extent

import (
	"sync"
	"testing"
	"time"
)

// hung is a disk on which all reads hang until it is released.
type hung struct {
	*memory
	t     *testing.T
	until chan struct{}
}

func (h hung) ReadAt(b []byte, off int64) (int, error) {
	select {
	case <-h.until:
	case <-time.After(10 * time.Second):
		h.t.Error("nothing was told")
	}
	return h.memory.ReadAt(b, off)
}

// TestProgressOfAHungDisk checks that progress is reported even if no window finishes.
func TestProgressOfAHungDisk(t *testing.T) {
	src, dst, a := fixture(3, 2, 5)
	told := func() (until chan struct{}, f func(Event)) {
		until = make(chan struct{})
		once := sync.OnceFunc(func() { close(until) })
		return until, func(Event) { once() }
	}
	until, f := told()
	res, err := copyWindows(t.Context(), hung{src, t, until}, dst, a, Options{Progress: f})
	must(t, err)
	until, f = told()
	_, err = verifyWindows(t.Context(), hung{dst, t, until}, a, res.Sums, Options{Progress: f})
	must(t, err)
}
