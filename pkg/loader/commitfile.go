package loader

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"migrate-init/boot"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/rootfs"
)

// The commit of a boot loader that reads the target's filesystems is a file there: the old boot loader looks whether it
// exists, and so nothing on the old disk has to change.

// committedText is what the files say; the boot loader only asks whether they are there.
func committedText(p *plan.Plan) []byte {
	return []byte("plan " + p.ID + "\n")
}

func committedFile(p *plan.Plan) string { return path.Join(p.Boot.Mount, boot.CommittedFile(p.ID)) }
func confirmedFile(p *plan.Plan) string { return path.Join(p.Boot.Mount, boot.ConfirmedFile(p.ID)) }

// commitFile is one rename.
func commitFile(p *plan.Plan, place func(name string) (string, error)) ([]machine.Effect, error) {
	dir, err := place(path.Dir(committedFile(p)))
	if err != nil {
		return nil, err
	}
	file := path.Join(dir, path.Base(committedFile(p)))
	return []machine.Effect{
		machine.Mkdir{Path: dir, Mode: 0o755},
		machine.WriteFile{Path: file + ".new", Data: committedText(p), Mode: 0o644},
		machine.Rename{From: file + ".new", To: file},
		// An fsynced name may still be in the filesystem's journal alone, which no boot loader replays.
		machine.Sync{Path: dir},
	}, nil
}

func fileCommitted(p *plan.Plan, root fs.FS) (bool, error) { return exists(root, committedFile(p)) }

// confirmFile marks nothing after a rollback.
func confirmFile(p *plan.Plan, root fs.FS) ([]machine.Effect, error) {
	there, err := fileCommitted(p, root)
	if err != nil || !there {
		return nil, err
	}
	file := confirmedFile(p)
	if there, err = exists(root, file); err != nil || there {
		return nil, err
	}
	return []machine.Effect{
		machine.WriteFile{Path: file + ".new", Data: committedText(p), Mode: 0o644},
		machine.Rename{From: file + ".new", To: file},
		machine.Sync{Path: p.Boot.Mount},
	}, nil
}

// rollbackFile renames the commit's file away: the old boot loader finds none.
func rollbackFile(p *plan.Plan, root fs.FS) ([]machine.Effect, error) {
	file := committedFile(p)
	var out []machine.Effect
	if there, err := exists(root, file); err != nil {
		return nil, err
	} else if there {
		out = append(out, machine.Rename{From: file, To: file + ".rolled-back"})
	}
	return append(out, machine.Remove{Path: confirmedFile(p)}, machine.Sync{Path: p.Boot.Mount}), nil
}

// removeCommitFiles removes this plan's marks, and their directory when nothing else is in it.
func removeCommitFiles(p *plan.Plan, root fs.FS) ([]machine.Effect, error) {
	committed, confirmed := committedFile(p), confirmedFile(p)
	out := []machine.Effect{
		machine.Remove{Path: confirmed},
		machine.Remove{Path: committed},
		machine.Remove{Path: confirmed + ".new"},
		machine.Remove{Path: committed + ".rolled-back"},
	}
	dir := path.Join(p.Boot.Mount, boot.CommitDir)
	at, err := rootfs.Resolve(rootfs.Of(root), dir, rootfs.Options{Missing: true})
	if err != nil {
		return nil, fmt.Errorf("directory %s: %w", dir, err)
	}
	list, err := fs.ReadDir(root, rootfs.Name(at.Path))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("directory %s: %w", dir, err)
	}
	for _, x := range list {
		if !strings.HasPrefix(x.Name(), path.Base(committed)) && !strings.HasPrefix(x.Name(), path.Base(confirmed)) {
			return out, nil // not ours to remove, and no reason to fail
		}
	}
	return append(out, machine.Remove{Path: dir}), nil
}

func exists(root fs.FS, name string) (bool, error) {
	at, err := rootfs.Resolve(rootfs.Of(root), name, rootfs.Options{Missing: true})
	if err != nil {
		return false, fmt.Errorf("file %s: %w", name, err)
	}
	return at.Info != nil, nil
}

// readFile gives a file's bytes, nil when it does not exist.
func readFile(root fs.FS, name string) ([]byte, error) {
	b, err := fs.ReadFile(root, strings.TrimPrefix(name, "/"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("file %s: %w", name, err)
	}
	return b, nil
}
