package stage

import (
	"path"
	"slices"

	"migrate-init/pkg/plan"
)

// place returns where a path of the new system is on this machine: below TargetDir, with every symbolic link followed
// as the new system will follow it. Its /srv may be a link to /data/srv; the kernel, asked to mount at
// TargetDir/srv from here, would look for /data/srv in the initramfs. What is missing is returned as it will be made.
func (e *Env) place(name string) (string, error) {
	root, err := e.Inside(TargetDir)
	if err != nil {
		return "", err
	}
	at, err := throughLinks(root, name)
	return path.Join(TargetDir, at), err
}

// placed is a place of the new system and where that is on this machine.
type placed struct {
	plan.Place
	at string
}

// places returns places so that each comes after the one that it is mounted in. Only the first is sure to be
// right while others are not mounted yet: their links may lead on.
func (e *Env) places(list []plan.Place) ([]placed, error) {
	var out []placed
	for _, n := range list {
		at := TargetDir
		if n.Dir != "/" {
			var err error
			if at, err = e.place(n.Dir); err != nil {
				return nil, err
			}
		}
		out = append(out, placed{n, at})
	}
	slices.SortStableFunc(out, func(a, b placed) int { return len(a.at) - len(b.at) })
	return out, nil
}
