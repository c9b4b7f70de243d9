package copy

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// stateName is the file in the root of a target that holds the checkpoints of a copy in a running system.
const stateName = ".migrate-init-copy.state"

func stateNames() []string { return append([]string{stateName, ManifestName}, oldStateNames()...) }

// oldStateNames are the files in which earlier versions kept the state of a copy.
func oldStateNames() []string {
	return []string{".migrate-init-copy.marks", ".migrate-init-copy.manifest"}
}

// fileSlots returns the slots of a state file.
func fileSlots() Slots { return Slots{At: [2]int64{0, 4096}, Size: 4096} }

// deviceSlots returns the slots on a target device: in its first 4096 bytes, which a block copy holds back until it is
// finalized. The write that makes the copy a filesystem overwrites them. The places of superblocks and partition tables
// between and after them are zero, so no probe mistakes a slot for a filesystem.
func deviceSlots() Slots { return Slots{At: [2]int64{0, 2048}, Size: 1024} }

// deviceStateSize is the number of bytes that deviceSlots span.
const deviceStateSize = 4096

// stateFile is a file or device that holds slots. It is written in place, so that the times of its directory do not change.
type stateFile struct{ f *os.File }

func openStateFile(path string) (*stateFile, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	return &stateFile{f}, nil
}

// openStateDevice must only be called for a target that is empty, wiped or an earlier copy. The engine holds it open
// exclusively meanwhile.
func openStateDevice(path string) (*stateFile, error) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	return &stateFile{f}, nil
}

// write implements Checkpoints.Write.
func (s *stateFile) write(_ context.Context, _ Checkpoint, offset int64, slot []byte) error {
	if _, err := s.f.WriteAt(slot, offset); err != nil {
		return err
	}
	return s.f.Sync()
}

func (s *stateFile) close() { _ = s.f.Close() } // all of it was synced

// removeState removes the manifest and the state file from the root of a target, and restores the root's modification time.
func removeState(dir string) error {
	st, err := os.Stat(dir)
	if err != nil {
		return err
	}
	for _, n := range []string{ManifestName, stateName} {
		if err := os.Remove(filepath.Join(dir, n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return os.Chtimes(dir, time.Time{}, st.ModTime())
}
