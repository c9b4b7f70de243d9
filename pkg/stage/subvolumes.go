package stage

import (
	"errors"
	"fmt"

	"migrate-init/pkg/copy"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/tree"
)

// subvolumes fills in what a copy does with the subvolumes that its source has now: a snapshot may have been made by itself since
// the plan was made, and the plan says what becomes of it.
func (e *Env) subvolumes(s, n *plan.Node, j *copy.Job) error {
	if plan.FSTypeOf(s.FS.Type).Part == "" || n.FS.Type != s.FS.Type {
		return nil
	}
	l, ok := e.Copier.(copy.Lister)
	if !ok {
		return errors.New("subvolumes: this copier cannot list them")
	}
	list, err := l.Subvolumes(j.From)
	if err != nil {
		return err
	}
	seen := subvolumesOf(list)
	if why, fix := s.FS.Stray(seen.List); why != "" {
		return fmt.Errorf("%s; on the old system %s, in a new plan", why, fix)
	}
	j.Subvolumes, j.Default = []string{}, seen.Default
	for _, x := range seen.List {
		if !s.FS.Moved(x.Path, x.Snapshot) {
			j.Exclude = append(j.Exclude, x.Path)
			continue
		}
		j.Subvolumes = append(j.Subvolumes, x.Path)
		if x.ReadOnly {
			j.ReadOnly = append(j.ReadOnly, x.Path)
		}
	}
	return nil
}

func subvolumesOf(list []tree.Subvolume) *plan.Subvolumes {
	out := &plan.Subvolumes{}
	for _, x := range list {
		out.List = append(out.List, plan.Subvolume{Path: x.Path, ReadOnly: x.ReadOnly, Snapshot: x.Snapshot})
		if x.Default {
			out.Default = x.Path
		}
	}
	return out
}

// Subvolumes lists those of the filesystem that is mounted at a directory, for a look at a running system.
func Subvolumes(dir string) (*plan.Subvolumes, error) {
	list, err := tree.Subvolumes(dir)
	if err != nil {
		return nil, err
	}
	return subvolumesOf(list), nil
}
