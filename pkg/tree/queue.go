package tree

import (
	"sync"

	"migrate-init/pkg/crew"
)

// work is a source of tasks: a directory being read, or a large file.
type work interface {
	// take returns the next task, or nil if none is left. It is called with the queue locked.
	take(workers int) task
}

type task func(w *worker) error

const (
	// openFiles is the number of large files that may wait while small ones are copied. Running batches can exceed it.
	openFiles = 16
	// With wideWork directories or wideNames names in the queue, tasks come only from the deepest directory. A chunk of
	// names is held in memory until the last of them has been handed out.
	wideWork  = 64
	wideNames = 100_000
	// Every wideTurn-th task comes from the oldest directory.
	wideTurn = 8
)

// queue schedules the work. Small files need the CPU and large files the disk, so both are copied at the same time for as long
// as there are both: a quarter of the workers copies large files. Some tasks come from the oldest directory, because it is not
// known where the large files are. Otherwise the directory that was pushed last is served first, so that the number of open
// directories is proportional to the depth of the tree.
type queue struct {
	mu      sync.Mutex
	cond    sync.Cond
	stack   []work     // directories, the oldest first
	files   []*fileJob // large files, the first found first
	ranges  int        // running tasks of large files
	names   int        // in the directories of the stack
	turn    int
	running int
	workers int
	limit   int // workers that may be active at once
	err     error
}

func newQueue(workers int) *queue {
	q := &queue{workers: workers, limit: workers}
	q.cond.L = &q.mu
	return q
}

func (q *queue) push(w work) {
	q.mu.Lock()
	switch w := w.(type) {
	case *fileJob:
		q.files = append(q.files, w)
	case *frame:
		w.held = len(w.es)
		q.names += w.held
		q.stack = append(q.stack, w)
	default:
		q.stack = append(q.stack, w)
	}
	q.mu.Unlock()
	q.cond.Broadcast()
}

// next waits for a task. It returns nil when all work is done or something has failed.
func (q *queue) next() task {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.err == nil {
		if q.limit == q.workers || q.running < q.limit {
			if t := q.take(); t != nil {
				q.running++
				return t
			}
			if q.running == 0 {
				return nil
			}
		}
		q.cond.Wait()
	}
	return nil
}

// take returns the next task, or nil if there is none at the moment.
func (q *queue) take() task {
	t := q.takeFile(max(1, q.limit/4), 0)
	if t == nil {
		t = q.takeFile(q.limit, openFiles)
	}
	if t == nil {
		t = q.takeWork()
	}
	if t == nil {
		t = q.takeFile(q.limit, 0)
	}
	return t
}

// setLimit sets the number of workers that may be active at once.
func (q *queue) setLimit(n int) {
	q.mu.Lock()
	q.limit = min(max(1, n), q.workers)
	q.mu.Unlock()
	q.cond.Broadcast()
}

// takeFile returns a task for a range of a large file if more than waiting large files are queued, and fewer than most of their
// ranges are being copied.
func (q *queue) takeFile(most, waiting int) task {
	for q.ranges < most && len(q.files) > waiting {
		if t := q.files[0].take(q.limit); t != nil {
			q.ranges++
			return func(w *worker) error {
				err := t(w)
				q.mu.Lock()
				q.ranges--
				q.mu.Unlock()
				return err
			}
		}
		q.files[0] = nil
		q.files = q.files[1:]
	}
	return nil
}

// takeWork returns a task of a directory.
func (q *queue) takeWork() task {
	for len(q.stack) > 0 {
		at := len(q.stack) - 1
		// A single worker means a disk with heads: take tasks only from the deepest directory.
		if q.turn++; q.limit > 1 && q.turn%wideTurn == 0 && len(q.stack) < wideWork && q.names < wideNames {
			at = 0
		}
		if t := q.stack[at].take(q.limit); t != nil {
			return t
		}
		if f, ok := q.stack[at].(*frame); ok {
			q.names -= f.held
		}
		q.stack = append(q.stack[:at], q.stack[at+1:]...)
		q.stack[:len(q.stack)+1][len(q.stack)] = nil
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

// run runs the workers until the queue is empty or something has failed.
func (q *queue) run(newWorker func() *worker) error {
	wg := crew.New()
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
