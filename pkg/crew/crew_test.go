package crew

import (
	"strings"
	"sync"
	"testing"
	"time"
)

// TestCrew checks that Wait raises a panic, even while another goroutine is blocked on a lock that was never released.
func TestCrew(t *testing.T) {
	for _, hung := range []bool{false, true} {
		c, did, mu := New(), false, sync.Mutex{}
		mu.Lock()
		if hung {
			c.Go(func() { mu.Lock() })
		}
		c.Go(func() { panic("index out of range") })
		func() {
			defer func() {
				if err, ok := recover().(error); !ok || !strings.HasPrefix(err.Error(), "index out of range\n") || !strings.Contains(err.Error(), "crew_test.go") {
					t.Errorf("caught %v", err)
				}
			}()
			c.Wait()
			t.Error("the panic was lost")
		}()
		mu.Unlock()
		c = New()
		c.Go(func() { did = true })
		if c.Wait(); !did {
			t.Error("Wait returned before a goroutine had finished")
		}
	}
}

// TestEvery checks that there are no calls after stop, and that stop raises a panic of a call.
func TestEvery(t *testing.T) {
	n, came := 0, make(chan bool, 100)
	stop := Every(time.Millisecond, func() {
		if n++; n <= 2 {
			came <- true
		}
	})
	<-came
	<-came
	stop()
	was := n
	time.Sleep(10 * time.Millisecond)
	if n != was || n < 2 {
		t.Errorf("%d calls, then %d", was, n)
	}
	called := make(chan bool)
	stop = Every(time.Millisecond, func() { close(called); panic("index out of range") })
	<-called
	defer func() {
		if err, ok := recover().(error); !ok || !strings.HasPrefix(err.Error(), "index out of range\n") {
			t.Errorf("caught %v", err)
		}
	}()
	stop()
	t.Error("the panic was lost")
}
