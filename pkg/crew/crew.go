// Package crew runs goroutines so that the panic of one reaches whoever waits for them.
package crew

import (
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// Crew is a group of goroutines like sync.WaitGroup, but a panic of one is raised in Wait, in the goroutine of the
// caller, who may have a way to end in order: PID 1 has one, and a panic that no one catches would end the kernel's run.
// The others are not waited for then, since they may wait for a lock that was left behind.
type Crew struct {
	members sync.WaitGroup
	fell    chan error
}

// New is a crew without members.
func New() *Crew { return &Crew{fell: make(chan error, 1)} }

// Go starts a member.
func (c *Crew) Go(f func()) {
	c.members.Go(func() {
		defer func() {
			if p := recover(); p != nil {
				select {
				case c.fell <- fmt.Errorf("%v\n%s", p, debug.Stack()):
				default: // the first one counts
				}
			}
		}()
		f()
	})
}

// Wait waits for all members, or panics as soon as one has, with an error that has its words and stack.
func (c *Crew) Wait() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.members.Wait()
	}()
	select {
	case <-done:
	case err := <-c.fell:
		panic(err)
	}
	select {
	case err := <-c.fell:
		panic(err)
	default:
	}
}

// Every calls f every d until stop is called, which waits for the last call to end.
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
