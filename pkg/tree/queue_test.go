package tree

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// names returns the names of the directories in the order of their tasks.
type names struct {
	visitor
	got *[]string
}

func (v names) batch(_ *worker, _ *dir, es []entry) error {
	for _, e := range es {
		*v.got = append(*v.got, e.name)
	}
	return nil
}

func (v names) leave(*worker, *dir) error { return nil }

func someFrame(got *[]string, typ byte, n int, prefix string) *frame {
	f := &frame{v: names{got: got}, d: &dir{}, own: true}
	for i := range n {
		f.es = append(f.es, entry{name: prefix + string(rune('a'+i)), typ: typ})
	}
	return f
}

func bigJob(ranges int64) *fileJob {
	return &fileJob{c: &copier{diskMode: &diskMode{}}, d: &dir{}, meta: meta{stat: stat{size: ranges * rangeLen}}}
}

// TestQueueGivesLargeFilesALane checks that large files get a quarter of the workers while there are small files, and then all.
func TestQueueGivesLargeFilesALane(t *testing.T) {
	var got []string
	q := newQueue(8)
	q.push(someFrame(&got, unix.DT_REG, 16*3, "f"))
	q.push(bigJob(6))
	for range 2 + 3 { // two ranges, three batches, all of them under way
		if q.next() == nil {
			t.Fatal("no task")
		}
	}
	if q.ranges != 2 || len(q.stack) != 1 {
		t.Fatalf("%d ranges under way beside small files, %d directories left", q.ranges, len(q.stack))
	}
	for range 1 + 4 { // the directory's end, the other ranges
		if q.next() == nil {
			t.Fatal("no task")
		}
	}
	if q.ranges != 6 || len(q.stack) != 0 || q.names != 0 {
		t.Fatalf("%d ranges under way, %d directories, %d names left", q.ranges, len(q.stack), q.names)
	}
}

// TestQueueDoesNotPileUpLargeFiles checks that few large files are open at once, because each needs descriptors.
func TestQueueDoesNotPileUpLargeFiles(t *testing.T) {
	var got []string
	q := newQueue(8)
	q.push(someFrame(&got, unix.DT_REG, 64, "f"))
	for range openFiles + 2 {
		q.push(bigJob(1))
	}
	small := q.stack[0].(*frame)
	for n := 0; len(q.files) > openFiles; n++ {
		if n > 2*openFiles {
			t.Fatalf("%d large files wait after %d tasks", len(q.files), n)
		}
		if len(small.es) < 64 {
			t.Fatalf("small files were served while %d large ones waited", len(q.files))
		}
		q.next()
	}
}

// TestQueueLooksBesideTheDeepestDirectory checks that, with several workers, a shallow directory is entered while a deep one is in
// progress. With one worker, the deep one is finished first.
func TestQueueLooksBesideTheDeepestDirectory(t *testing.T) {
	for _, tt := range []struct {
		workers int
		beside  bool
	}{{8, true}, {1, false}} {
		var got []string
		q := newQueue(tt.workers)
		q.push(someFrame(&got, unix.DT_DIR, 4, "top-"))
		q.push(someFrame(&got, unix.DT_DIR, 26, "deep-"))
		for range 26 {
			if err := q.next()(nil); err != nil {
				t.Fatal(err)
			}
		}
		if beside := slices.Contains(got, "top-a"); beside != tt.beside {
			t.Errorf("%d workers: top entered early: %t; order %q", tt.workers, beside, got)
		}
		if !slices.Contains(got, "deep-u") {
			t.Errorf("%d workers: the deep directory was not preferred: %q", tt.workers, got)
		}
	}
}

// TestQueueStaysDeepWhenMuchIsHeld checks that this does not hold many directories or many names in memory.
func TestQueueStaysDeepWhenMuchIsHeld(t *testing.T) {
	for name, fill := range map[string]func(q *queue, got *[]string){
		"directories": func(q *queue, got *[]string) {
			for range wideWork - 1 {
				q.push(someFrame(got, unix.DT_DIR, 2, "middle-"))
			}
		},
		"names": func(q *queue, got *[]string) {
			f := someFrame(got, unix.DT_DIR, 2, "middle-")
			f.es = append(f.es, make([]entry, wideNames)...)
			q.push(f)
		},
	} {
		var got []string
		q := newQueue(8)
		q.push(someFrame(&got, unix.DT_DIR, 4, "top-"))
		fill(q, &got)
		q.push(someFrame(&got, unix.DT_DIR, 3*wideTurn, "deep-"))
		for range 3 * wideTurn {
			if err := q.next()(nil); err != nil {
				t.Fatal(err)
			}
		}
		if slices.Contains(got, "top-a") {
			t.Errorf("much %s held: the top was entered nonetheless", name)
		}
	}
}
