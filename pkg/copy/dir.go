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

// Dir is a copy of one directory into another in a running system. While it is under way its state lies in the root of the
// target: the engine's manifest and a file with two checkpoint slots, which goes when all is verified.
type Dir struct {
	src, dst string
	state    *stateFile
	kept     Checkpoints
	resumed  bool
}

// OpenDir finds out whether a copy of src was interrupted in dst, and changes nothing. Both are absolute paths. A target in
// which a copy of another source was interrupted is refused, and so is a source that is itself an unfinished copy.
func OpenDir(src, dst string) (*Dir, error) {
	for _, n := range stateNames() {
		if _, err := os.Lstat(filepath.Join(src, n)); err == nil {
			return nil, fmt.Errorf("source %s: it holds %s, so a copy into it was interrupted; finish that copy first, or remove the file", src, n)
		}
	}
	for _, n := range oldStateNames() {
		if _, err := os.Lstat(filepath.Join(dst, n)); err == nil {
			return nil, fmt.Errorf("target %s: %s is left of a copy by an older migrate-init, which this one cannot resume; empty the target and copy again", dst, n)
		}
	}
	d := &Dir{src: src, dst: dst, kept: Checkpoints{Slots: fileSlots()}}
	f, err := os.Open(filepath.Join(dst, stateName))
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	}
	if err != nil {
		return nil, fmt.Errorf("target %s: %w", dst, err)
	}
	defer f.Close()
	if d.kept.Last, err = d.kept.Slots.Read(f); err != nil {
		return nil, fmt.Errorf("target %s: %w", dst, err)
	}
	// A file without a checkpoint is of a copy that ended before it copied anything; if not, the engine refuses the target
	// because it is not empty.
	if d.kept.Last == nil {
		return d, nil
	}
	if d.kept.Last.Key != src {
		return nil, fmt.Errorf("target %s: a copy of %s was interrupted there; name that source to resume it, or empty the target", dst, d.kept.Last.Key)
	}
	d.resumed = true
	return d, nil
}

// Resumed reports whether the copy goes on where an earlier one was interrupted.
func (d *Dir) Resumed() bool { return d.resumed }

// Precheck reports what the target will not hold.
func (d *Dir) Precheck(ctx context.Context, j Job) (tree.Scan, error) {
	if err := d.removeProbes(); err != nil {
		return tree.Scan{}, err
	}
	caps, err := tree.ProbeCaps(d.dst)
	if err != nil {
		return tree.Scan{}, err
	}
	if d.resumed {
		caps.FreeBytes, caps.FreeInodes = 0, 0 // unknown: part of the copy is there already
	}
	return tree.Precheck(ctx, d.src, caps, treeOptions(j))
}

// removeProbes removes the directories in which an interrupted Precheck was trying out what the target can hold. A
// directory of that name in the source is part of the copy.
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

// Begin completes a job that names neither side yet, so that it keeps its checkpoints in the target. After an interruption
// the verification reads the source again: no stamp says that it did not change.
func (d *Dir) Begin(ctx context.Context, j *Job) (err error) {
	if d.state, err = openStateFile(filepath.Join(d.dst, stateName)); err != nil {
		return fmt.Errorf("target %s: %w", d.dst, err)
	}
	d.kept.Write = d.state.write
	j.Engine, j.From, j.To, j.Reread, j.own = Tree, d.src, d.dst, d.resumed, []string{stateName}
	c := Checkpoint{Key: d.src}
	d.kept.Attach(ctx, j, c)
	if d.resumed {
		return nil
	}
	// From here on the files in the target are this copy's.
	if c.Data, err = json.Marshal(tree.Checkpoint{}); err == nil {
		err = d.kept.Save(ctx, c)
	}
	if err != nil {
		return fmt.Errorf("target %s: %w", d.dst, err)
	}
	return nil
}

// Abandon removes the state of a copy that was refused before it copied anything. One that was resumed keeps it.
func (d *Dir) Abandon() {
	if !d.resumed {
		_ = d.Finish() // the refusal is what the caller reports
	}
}

// Finish removes the state of a copy that was verified, and gives the target's root its times back.
func (d *Dir) Finish() error { return removeState(d.dst) }

// Close releases the state file.
func (d *Dir) Close() {
	if d.state != nil {
		d.state.close()
	}
}
