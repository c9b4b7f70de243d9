// Package crew runs goroutines and passes a panic in one of them on to the caller who waits for them.
package crew

import (
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// Crew is a group of goroutines, like sync.WaitGroup, but a panic in one of them is raised again by Wait, in the caller's
// goroutine. The caller may be able to shut down in order: PID 1 must, because an uncaught panic there is a kernel panic.
// After a panic Wait does not wait for the other goroutines, which may be blocked on a lock that will never be released.
type Crew struct {
	members  sync.WaitGroup
	panicked chan error
}

// New returns an empty crew.
func New() *Crew { return &Crew{panicked: make(chan error, 1)} }

// Go runs f in a new goroutine.
func (c *Crew) Go(f func()) {
	c.members.Go(func() {
		defer func() {
			if p := recover(); p != nil {
				select {
				case c.panicked <- fmt.Errorf("%v\n%s", p, debug.Stack()):
				default: // only the first one is reported
				}
			}
		}()
		f()
	})
}

// Wait waits for all goroutines. As soon as one of them panics, Wait panics too, with an error that holds the panic's message
// and stack.
func (c *Crew) Wait() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.members.Wait()
	}()
	select {
	case <-done:
	case err := <-c.panicked:
		panic(err)
	}
	select {
	case err := <-c.panicked:
		panic(err)
	default:
	}
}

// Every calls f at intervals of d until stop is called. stop waits for a call in progress; it panics if a call has panicked.
func Every(d time.Duration, f func()) (stop func()) {
	quit, c := make(chan struct{}), New()
	c.Go(func() {
		t := time.NewTicker(d)
		defer t.Stop()
		for {
			select {
			case <-quit:
				return
			case <-t.C:
				f()
			}
		}
	})
	return func() {
		close(quit)
		c.Wait()
	}
}
