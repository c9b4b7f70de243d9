package stage

import (
	"context"
	"strings"

	"migrate-init/pkg/mkfs"
	"migrate-init/pkg/plan"
)

// fsKind: a filesystem is made for a copy by files; a copy by blocks brings it whole.
func fsKind() kind {
	return kind{
		is: func(n *plan.Node) bool { return n.FS != nil },
		make: func(ctx context.Context, e *Env, n *plan.Node) error {
			if byBlocks(e.Plan, n.Ref) {
				return nil
			}
			return e.prepareFS(ctx, n, false)
		},
	}
}

func byBlocks(p *plan.Plan, r plan.Ref) bool {
	m := p.MoveTo(r)
	return m != nil && m.Engine == plan.EngineExtent
}

// prepareFS makes a filesystem unless the journal says that it was made whole; again forces a new one.
func (e *Env) prepareFS(ctx context.Context, n *plan.Node, again bool) error {
	d, err := e.volume(n.Lower())
	if err != nil {
		return err
	}
	key := "mkfs:" + n.Ref.ID()
	if c := d.Filesystem(); !again && c != nil && strings.EqualFold(c.UUID, n.Ref.ID()) && e.records.Done(key) {
		return nil
	}
	if !again && e.records.Begun("copy:"+n.Ref.ID()) {
		const why = "its filesystem is not there any more"
		e.tell("prepare", "filesystem at %s is copied again: %s", n.FS.Mount, why)
		if err := e.invalidateCopy(ctx, n.Ref.ID(), why); err != nil {
			return err
		}
	}
	e.tell("prepare", "%s %s on %s for %s", n.FS.Type, n.Ref.ID(), d.Path, n.FS.Mount)
	argv, err := mkfs.Argv(mkfs.Spec{Type: n.FS.Type, Device: d.Path, UUID: n.Ref.ID(), Label: n.FS.Label, HashSeed: n.FS.HashSeed, Features: n.FS.Features, Version: n.FS.Tools, NodeSize: n.FS.NodeSize, Checksum: n.FS.Checksum,
		BlockSize: n.FS.BlockSize, InodeSize: n.FS.InodeSize, Inodes: n.FS.Inodes})
	if err != nil {
		return err
	}
	return e.make(ctx, key, d, argv)
}
