package machine

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestInMountNamespace checks that only f and the programs that it starts see what it mounts, and that these mounts are gone afterwards.
func TestInMountNamespace(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	real := new(Real)
	mounts := func() string {
		b, err := os.ReadFile("/proc/self/mountinfo")
		must(t, err)
		return string(b)
	}
	before := mounts()
	failed := errors.New("as it should")
	for range 20 { // so that it starts on various threads
		err := InMountNamespace(func() error {
			must(t, do(t, Mount{Source: "tmpfs", Target: dir, Type: "tmpfs"}))
			must(t, os.WriteFile(filepath.Join(dir, "x"), []byte("seen"), 0o600))
			out, err := real.Do(t.Context(), Exec{Argv: []string{"cat", filepath.Join(dir, "x")}})
			must(t, err)
			if string(out.Stdout) != "seen" {
				t.Errorf("a program started by f reads %q", out.Stdout)
			}
			own, err := os.ReadFile("/proc/thread-self/mountinfo")
			must(t, err)
			if !strings.Contains(string(own), dir) {
				t.Error("f does not see its own mount")
			}
			other := make(chan string)
			go func() { other <- mounts() }()
			if now := <-other; now != before {
				t.Errorf("other threads see the mount: %s", now)
			}
			return failed
		})
		if !errors.Is(err, failed) {
			t.Fatalf("error: %v", err)
		}
		if _, err := os.Stat(filepath.Join(dir, "x")); err == nil {
			t.Error("the mount is visible outside")
		}
	}
	if now := mounts(); now != before {
		t.Errorf("mounts: %s, before: %s", now, before)
	}
	// No thread may stay in a namespace of its own; a thread that ends may take a moment.
	home, err := os.Readlink("/proc/self/ns/mnt")
	must(t, err)
	for left := 100; ; left-- {
		links, err := filepath.Glob("/proc/self/task/*/ns/mnt")
		must(t, err)
		apart := 0
		for _, l := range links {
			if ns, err := os.Readlink(l); err == nil && ns != home {
				apart++
			}
		}
		if apart == 0 {
			return
		}
		if left == 0 {
			t.Fatalf("%d threads still have mounts of their own", apart)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
