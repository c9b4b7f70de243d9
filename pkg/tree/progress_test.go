package tree

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestProgressCountsWhatTheTotalCounts checks that a copy and a verification count allocated bytes, as the total does, however
// large the holes of a file are, and that they never exceed the total.
func TestProgressCountsWhatTheTotalCounts(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	for i := range 50 {
		if err := os.WriteFile(filepath.Join(src, fmt.Sprint(i)), make([]byte, 1+i*300), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sparse, err := os.Create(filepath.Join(src, "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(30) {
		if _, err := sparse.WriteAt([]byte("data"), i*700_000); err != nil {
			t.Fatal(err)
		}
	}
	if err := sparse.Close(); err != nil {
		t.Fatal(err)
	}
	unix.Sync() // blocks are allocated only now
	var want int64
	err = filepath.WalkDir(src, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		st, err := d.Info()
		if err == nil {
			want += st.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var last Event
	o := Options{Progress: func(e Event) {
		if e.Bytes > want || e.Bytes < last.Bytes || e.ETA != 0 && e.Done {
			t.Errorf("%+v after %+v; the files have %d bytes", e, last, want)
		}
		last = e
	}, ProgressEvery: 1}
	if _, err := Copy(t.Context(), src, dst, o); err != nil {
		t.Fatal(err)
	}
	if mapping := int64(1 << 14); last.Bytes < want-mapping || !last.Done { // a fragmented file has blocks for its extent tree
		t.Errorf("copy: %+v, want %d bytes", last, want)
	}
	last = Event{}
	if r, err := Verify(t.Context(), src, dst, o); err != nil || !r.Equal() {
		t.Fatal(r, err)
	}
	if last.Bytes != want || !last.Done {
		t.Errorf("verify: %+v, want %d bytes", last, want)
	}
}
