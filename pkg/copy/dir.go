package copy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"migrate-init/pkg/tree"
)

// Dir is a copy of one directory into another in a running system. Until the copy has been verified, its state is in the root
// of the target: the engine's manifest, and a file with two checkpoint slots.
type Dir struct {
	src, dst    string
	state       *stateFile
	checkpoints Checkpoints
	resumed     bool
}

// OpenDir looks in dst for an interrupted copy of src, and changes nothing. Both must be absolute paths. It returns an error if
// dst holds an interrupted copy of another source, or if src is itself an unfinished copy.
func OpenDir(src, dst string) (*Dir, error) {
	for _, n := range stateNames() {
		if _, err := os.Lstat(filepath.Join(src, n)); err == nil {
			return nil, fmt.Errorf("source %s: it contains %s, so a copy into it was interrupted; finish that copy first, or remove the file", src, n)
		}
	}
	for _, n := range oldStateNames() {
		if _, err := os.Lstat(filepath.Join(dst, n)); err == nil {
			return nil, fmt.Errorf("target %s: %s is left over from a copy by an older migrate-init, which this version cannot resume; empty the target and copy again", dst, n)
		}
	}
	d := &Dir{src: src, dst: dst, checkpoints: Checkpoints{Slots: fileSlots()}}
	f, err := os.Open(filepath.Join(dst, stateName))
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	}
	if err != nil {
		return nil, fmt.Errorf("target %s: %w", dst, err)
	}
	defer f.Close()
	if d.checkpoints.Last, err = d.checkpoints.Slots.Read(f); err != nil {
		return nil, fmt.Errorf("target %s: %w", dst, err)
	}
	// A state file without a checkpoint belongs to a copy that ended before it copied anything. If it did copy something, the
	// engine refuses the target because it is not empty.
	if d.checkpoints.Last == nil {
		return d, nil
	}
	if d.checkpoints.Last.Key != src {
		return nil, fmt.Errorf("target %s: a copy of %s was interrupted there; name that source to resume it, or empty the target", dst, d.checkpoints.Last.Key)
	}
	d.resumed = true
	return d, nil
}

// Resumed reports whether the copy resumes an interrupted one.
func (d *Dir) Resumed() bool { return d.resumed }

// Precheck reports what the target will not keep of the source.
func (d *Dir) Precheck(ctx context.Context, j Job) (tree.Scan, error) {
	if err := d.removeProbes(); err != nil {
		return tree.Scan{}, err
	}
	caps, err := tree.ProbeCaps(d.dst)
	if err != nil {
		return tree.Scan{}, err
	}
	if d.resumed {
		caps.FreeBytes, caps.FreeInodes = 0, 0 // unknown, as part of the copy is already there
	}
	return tree.Precheck(ctx, d.src, caps, treeOptions(j))
}

// removeProbes removes the probe directories that an interrupted Precheck left in the target. A directory that has the same
// name in the source is part of the copy, and stays.
func (d *Dir) removeProbes() error {
	top, err := os.ReadDir(d.dst)
	if err != nil {
		return fmt.Errorf("target %s: %w", d.dst, err)
	}
	for _, e := range top {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), ".migrate-init-probe-") {
			continue
		}
		if _, err := os.Lstat(filepath.Join(d.src, e.Name())); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := tree.RemoveProbe(filepath.Join(d.dst, e.Name())); err != nil {
			return fmt.Errorf("target %s: left by an interrupted copy: %w", d.dst, err)
		}
	}
	return nil
}

// Begin sets the engine and both sides of j, and makes it write its checkpoints to the target. If the copy is resumed, the
// verification reads the source again, because nothing proves that a directory has not changed.
func (d *Dir) Begin(ctx context.Context, j *Job) (err error) {
	if d.state, err = openStateFile(filepath.Join(d.dst, stateName)); err != nil {
		return fmt.Errorf("target %s: %w", d.dst, err)
	}
	d.checkpoints.Write = d.state.write
	j.Engine, j.From, j.To, j.Reread, j.own = Tree, d.src, d.dst, d.resumed, []string{stateName}
	c := Checkpoint{Key: d.src}
	d.checkpoints.Attach(ctx, j, c)
	if d.resumed {
		return nil
	}
	// From here on the files in the target belong to this copy.
	if c.Data, err = json.Marshal(tree.Checkpoint{}); err == nil {
		err = d.checkpoints.Save(ctx, c)
	}
	if err != nil {
		return fmt.Errorf("target %s: %w", d.dst, err)
	}
	return nil
}

// Abandon removes the state of a copy that was refused before it copied anything. A resumed copy keeps its state.
func (d *Dir) Abandon() {
	if !d.resumed {
		_ = d.Finish() // the caller reports the refusal
	}
}

// Finish removes the state of a verified copy, and keeps the modification time of the target's root.
func (d *Dir) Finish() error { return removeState(d.dst) }

// Close closes the state file.
func (d *Dir) Close() {
	if d.state != nil {
		d.state.close()
	}
}
