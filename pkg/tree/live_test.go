package tree

import (
	"context"
	"os"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// TestPrecheckOfALiveSource checks that files that vanish during Precheck, or that can be read at another attempt, are not
// findings.
func TestPrecheckOfALiveSource(t *testing.T) {
	dir := t.TempDir()
	for _, n := range []string{"stays", "gone", "stale", "hurt"} {
		if err := os.WriteFile(dir+"/"+n, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, live := range []bool{true, false} {
		var mu sync.Mutex
		failed := map[string]int{}
		o := Options{Live: live}
		o.fault = func(op, path string) error {
			mu.Lock()
			defer mu.Unlock()
			failed[path]++
			switch {
			case path == "gone":
				return unix.ENOENT
			case path == "stale":
				return unix.ESTALE
			case path == "hurt" && failed[path] < readTries:
				return unix.EIO
			}
			return nil
		}
		var seen []Event
		o.Progress = func(e Event) { seen = append(seen, e) }
		scan, err := Precheck(context.Background(), dir, Caps{FS: "x", TimeMin: -1 << 60, TimeMax: 1 << 60, Nanoseconds: true, ACL: true, User: true, Trusted: true, Security: true,
			XattrValue: 1 << 16, XattrTotal: 1 << 30, Flags: ^uint32(0), XFlags: ^uint32(0), FileSize: 1 << 62, Links: 9, DevMajor: 99, Project: true}, o)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(scan.Findings, func(f Finding) bool { return f.ID == "tree.unreadable" })
		if live != (i < 0) {
			t.Errorf("live %v: %+v", live, scan.Findings)
		}
		if i >= 0 && scan.Findings[i].Count != 2 {
			t.Errorf("%+v", scan.Findings[i])
		}
		if failed["hurt"] < readTries || scan.Files < 2 {
			t.Errorf("tried %d times, %d files", failed["hurt"], scan.Files)
		}
		if len(seen) > 0 && seen[len(seen)-1].Files != 4 {
			t.Errorf("events: %+v", seen)
		}
	}
}
