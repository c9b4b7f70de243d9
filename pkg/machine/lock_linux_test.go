package machine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	must(t, os.WriteFile(path, []byte("4194304 of an earlier boot\n"), 0o600))
	release, err := Lock(path)
	must(t, err)
	_, err = Lock(path)
	wantError(t, err, path, fmt.Sprintf("held by process %d", os.Getpid()))
	if !errors.Is(err, unix.EWOULDBLOCK) {
		t.Errorf("got %v", err)
	}
	release()
	release, err = Lock(path)
	must(t, err)
	release()
	must(t, os.Symlink(path, path+"-link"))
	if _, err := Lock(path + "-link"); !errors.Is(err, unix.ELOOP) {
		t.Errorf("a link was followed: %v", err)
	}
}
