package copy

import (
	"fmt"
	"io"
	"path/filepath"

	"migrate-init/pkg/extent"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/tree"
)

// Finalize implements Finalizer. It removes the manifest of a copy by files. It gives a block copy its identity and grows it
// to the size of its volume; if j.NewUUID is empty, the copy keeps the UUID, label and size of the source.
func (g *Engines) Finalize(j Job) ([]machine.Effect, error) {
	if j.Engine != Extent {
		out := []machine.Effect{machine.Remove{Path: filepath.Join(j.To, ManifestName)}}
		for _, argv := range tree.FinishSubvolumes(j.To, j.ReadOnly, j.Default) {
			out = append(out, machine.Exec{Argv: argv, Alters: []string{j.ToDev}})
		}
		return out, nil
	}
	src, dst, whole, hidden, err := openExtent(j)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	defer dst.Close()
	if sums, ok := g.sums[j.ToDev]; ok && sums.alloc.Identity != hidden.Identity {
		return nil, fmt.Errorf("source %s: it has changed since it was copied; make sure that nothing uses it, and copy it again", j.FromDev)
	}
	writes, cmds, err := whole.Reveal(src, j.ToDev, j.NewUUID)
	if err != nil {
		return nil, err
	}
	eff := machine.WriteDevice{Dev: j.ToDev, Why: "superblock with uuid " + j.NewUUID}
	if j.NewUUID == "" {
		eff.Why = "superblock with the uuid of the source, " + whole.UUID
	}
	for _, w := range writes {
		eff.Chunks = append(eff.Chunks, machine.Chunk{Offset: w.Offset, Data: w.Data})
	}
	out := append([]machine.Effect{eff}, execs(j, cmds)...)
	if j.NewUUID != "" {
		size, err := dst.Seek(0, io.SeekEnd)
		if err != nil {
			return nil, err
		}
		grow, err := growEffects(j, whole, size)
		if err != nil {
			return nil, err
		}
		out = append(out, grow...)
		if j.NewLabel != "" {
			out = append(out, execs(j, []extent.Command{whole.Name(j.ToDev, j.NewLabel)})...)
		}
	}
	return append(out, execs(j, []extent.Command{whole.Check(j.ToDev)})...), nil
}

// growEffects returns the effects that grow a filesystem to size bytes. Some types must be mounted for that.
func growEffects(j Job, a *extent.Allocation, size int64) ([]machine.Effect, error) {
	if j.NoGrow || size-a.Size < a.BlockSize {
		return nil, nil
	}
	cmds, err := a.Grow(j.ToDev, j.To)
	if err != nil || !extent.GrowsMounted(a.Type) {
		return execs(j, cmds), err
	}
	out := []machine.Effect{machine.Mkdir{Path: j.To, Mode: 0o755}, machine.Mount{Source: j.ToDev, Target: j.To, Type: a.Type}}
	return append(append(out, execs(j, cmds)...), machine.Unmount{Target: j.To}), nil
}

func execs(j Job, cmds []extent.Command) (out []machine.Effect) {
	for _, c := range cmds {
		out = append(out, machine.Exec{Argv: c.Argv, OK: c.OK, Alters: []string{j.ToDev}})
	}
	return out
}
