package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"migrate-init/pkg/tree"
)

// A copy that is under way keeps two files in the root of its target: the engine's manifest, and one line for each
// checkpoint, the last whole one of which counts. Both are only appended to, so that the root's own times stay as the
// copy set them; they go when all is verified.
const (
	stateManifest = ".migrate-init-copy.manifest"
	stateMarks    = ".migrate-init-copy.marks"
)

// mark is one line of the marks; the first names the source.
type mark struct {
	Source   string `json:"source,omitempty"`
	Manifest int64  `json:"manifest"` // bytes of it that are synced
}

// begun tells whether a copy was cut short in a target.
func begun(dst string) bool {
	_, err := os.Lstat(filepath.Join(dst, stateMarks))
	return err == nil
}

// dropProbes removes the directories in which tree.ProbeCaps was trying what the target can hold when the power went. What the
// source has too is part of the copy.
func dropProbes(src, dst string) error {
	top, err := os.ReadDir(dst)
	if err != nil {
		return fmt.Errorf("target %s: %w", dst, err)
	}
	for _, e := range top {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), ".migrate-init-probe-") {
			continue
		}
		if _, err := os.Lstat(filepath.Join(src, e.Name())); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := tree.RemoveProbe(filepath.Join(dst, e.Name())); err != nil {
			return fmt.Errorf("target %s: left by a copy that was cut short: %w", dst, err)
		}
	}
	return nil
}

type copyState struct {
	dst      string
	manifest *os.File
	marks    *os.File
	resume   *tree.Resume
}

func openCopyState(src, dst string) (_ *copyState, err error) {
	s := &copyState{dst: dst}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	last, size, err := lastMark(filepath.Join(dst, stateMarks))
	fresh := errors.Is(err, fs.ErrNotExist)
	if err != nil && !fresh {
		return nil, fmt.Errorf("target %s: %w", dst, err)
	}
	if !fresh && last.Source != src {
		return nil, fmt.Errorf("target %s: a copy of %s was cut short there; name that source to go on, or empty the target", dst, last.Source)
	}
	if !fresh && last.Manifest > 0 {
		s.resume = &tree.Resume{ManifestBytes: last.Manifest}
	} else if !fresh {
		s.resume = &tree.Resume{} // cut short before its first checkpoint
	}
	const flags = os.O_RDWR | os.O_CREATE
	if s.manifest, err = os.OpenFile(filepath.Join(dst, stateManifest), flags, 0o600); err != nil {
		return nil, err
	}
	if s.marks, err = os.OpenFile(filepath.Join(dst, stateMarks), flags, 0o600); err != nil {
		return nil, err
	}
	if err := errors.Join(s.manifest.Truncate(last.Manifest), s.marks.Truncate(size)); err != nil {
		return nil, err
	}
	if _, err := s.manifest.Seek(last.Manifest, io.SeekStart); err != nil {
		return nil, err
	}
	if _, err := s.marks.Seek(size, io.SeekStart); err != nil {
		return nil, err
	}
	if s.resume != nil {
		s.resume.Manifest = s.manifest
		return s, nil
	}
	return s, s.note(mark{Source: src})
}

// lastMark reads the marks up to the last whole line; size is where that ends.
func lastMark(name string) (last mark, size int64, err error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return last, 0, err
	}
	for line := range bytes.Lines(b) {
		var m mark
		if !bytes.HasSuffix(line, []byte("\n")) || json.Unmarshal(line, &m) != nil {
			break
		}
		if size == 0 {
			last.Source = m.Source
		}
		last.Manifest = m.Manifest
		size += int64(len(line))
	}
	if size == 0 {
		return last, 0, fmt.Errorf("file %s: it is no state of a copy; empty the target", name)
	}
	return last, size, nil
}

func (s *copyState) note(m mark) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if _, err := s.marks.Write(append(b, '\n')); err != nil {
		return err
	}
	return s.marks.Sync()
}

// into makes a copy keep its state here.
func (s *copyState) into(o *tree.Options) {
	o.Manifest, o.Resume, o.TargetOnly = s.manifest, s.resume, []string{stateManifest, stateMarks}
	// The engine has flushed the target, and so the manifest, before it calls.
	o.Checkpoint = func(c tree.Checkpoint) error { return s.note(mark{Manifest: c.ManifestBytes}) }
}

// verifyWith compares with what was read while copying. After an interruption the source is read again, as far as it
// could be read before: it may have changed in between.
func (s *copyState) verifyWith(o *tree.Options) error {
	o.TargetOnly, o.Reread = []string{stateManifest, stateMarks}, s.resume != nil
	st, err := s.manifest.Stat()
	if err != nil {
		return err
	}
	o.Hashes, err = tree.OpenManifest(s.manifest, st.Size())
	return err
}

// forget removes the state of a copy that did not begin.
func (s *copyState) forget() {
	if s.resume == nil {
		_ = s.finish() // the target is somebody else's, and what was refused is told
	}
}

// finish removes the state and gives the target's root its times back.
func (s *copyState) finish() error {
	st, err := os.Stat(s.dst)
	if err != nil {
		return err
	}
	for _, n := range []string{stateManifest, stateMarks} {
		if err := os.Remove(filepath.Join(s.dst, n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return os.Chtimes(s.dst, time.Time{}, st.ModTime())
}

func (s *copyState) close() {
	for _, f := range []*os.File{s.manifest, s.marks} {
		if f != nil {
			_ = f.Close() // all of it was synced
		}
	}
}
