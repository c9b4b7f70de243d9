package tree

import "sync"

// work is something that hands out tasks: a directory being read, or a large file.
type work interface {
	// take returns the next task, nil when none is left. It is called with the queue locked.
	take(workers int) task
}

type task func(w *worker) error

// queue is a stack of work: the last pushed is served first, so that what is
// open stays proportional to the depth of the tree.
type queue struct {
	mu      sync.Mutex
	cond    sync.Cond
	stack   []work
	running int
	workers int
	err     error
}

func newQueue(workers int) *queue {
	q := &queue{workers: workers}
	q.cond.L = &q.mu
	return q
}

func (q *queue) push(w work) {
	q.mu.Lock()
	q.stack = append(q.stack, w)
	q.mu.Unlock()
	q.cond.Broadcast()
}

// next waits for a task; nil when all is done or something failed.
func (q *queue) next() task {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.err == nil {
		for len(q.stack) > 0 {
			top := len(q.stack) - 1
			if t := q.stack[top].take(q.workers); t != nil {
				q.running++
				return t
			}
			q.stack[top] = nil
			q.stack = q.stack[:top]
		}
		if q.running == 0 {
			return nil
		}
		q.cond.Wait()
	}
	return nil
}

func (q *queue) done(err error) {
	q.mu.Lock()
	q.running--
	if err != nil && q.err == nil {
		q.err = err
	}
	q.mu.Unlock()
	q.cond.Broadcast()
}

func (q *queue) fail(err error) {
	q.mu.Lock()
	if q.err == nil {
		q.err = err
	}
	q.mu.Unlock()
	q.cond.Broadcast()
}

// run serves the queue with its workers until it is empty or failed.
func (q *queue) run(newWorker func() *worker) error {
	wg := newCrew()
	for range q.workers {
		wg.Go(func() {
			w := newWorker()
			defer w.close()
			for t := q.next(); t != nil; t = q.next() {
				q.done(t(w))
			}
		})
	}
	wg.Wait()
	return q.err
}
