package loader

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"migrate-init/boot"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// grubBlock is GRUB's environment block in a filesystem of ours. It has one file of one block, which GRUB's save_env writes
// in place.
func grubBlock() *BlockSpeller {
	return &BlockSpeller{Read: readGRUBBlock, Write: writeGRUBBlock}
}

func readGRUBBlock(p *plan.Plan, r io.ReaderAt) (Block, error) {
	env, whole, err := boot.ReadBlock(r, p.Boot.BlockFS)
	if err != nil {
		if _, rerr := r.ReadAt(make([]byte, 1024), boot.BlockAt); rerr != nil && !errors.Is(rerr, io.EOF) {
			return Block{}, fmt.Errorf("boot block: %w", rerr)
		}
		return Block{}, nil
	}
	next, _ := env.Get(boot.NextVariable)
	text, _ := env.Get(boot.AttemptVariable)
	b := Block{Armed: next == p.ID && whole, Whole: whole}
	if n, err := strconv.Atoi(text); err == nil && n > 0 && whole {
		b.Attempt = min(n, 1<<20)
	}
	return b, nil
}

func writeGRUBBlock(p *plan.Plan, b Block) ([]machine.Chunk, error) {
	env := boot.NewGrubenv()
	next := ""
	if b.Armed {
		next = p.ID
	}
	// Both are in the first sector, which is written whole or not at all.
	if err := errors.Join(env.Set(boot.NextVariable, next), env.Set(boot.AttemptVariable, strconv.Itoa(b.Attempt))); err != nil {
		return nil, fmt.Errorf("boot block: %w", err)
	}
	all, err := boot.BlockFS(p.Boot.BlockFS, env)
	if err != nil {
		return nil, fmt.Errorf("boot block: %w", err)
	}
	at := machine.Chunk{Offset: boot.BlockAt, Data: all[boot.BlockAt:]}
	if b.Whole {
		return []machine.Chunk{at}, nil
	}
	// By the superblock, in the first 2 KiB, GRUB finds the filesystem: it comes last, and one that is there goes first.
	const super = 2048
	return []machine.Chunk{{Offset: 0, Zero: super}, {Offset: super, Data: all[super:]}, {Offset: 0, Data: all[:super]}}, nil
}

// grubOnce is a mechanism by which GRUB starts an entry exactly once.
type grubOnce struct {
	name string
	// can says why it works on this machine, or what is in the way.
	can func(g grubFacts, dev *plan.Device) (why, fix, refused string)
	// block: it is the block on the target.
	block bool
}

// grubOnces are the mechanisms, the first that works is taken.
func grubOnces() []grubOnce {
	return []grubOnce{
		{name: "next_entry", can: grubOwnEnv},
		{name: "block", can: grubBlockOnTarget, block: true},
	}
}

// grubOwnEnv: GRUB can write its own environment block on a plain partition. On md and btrfs grub-reboot succeeds, and the
// entry is permanent.
func grubOwnEnv(g grubFacts, dev *plan.Device) (why, fix, refused string) {
	switch {
	case dev.Kind != plan.KindPart:
		return "", "", fmt.Sprintf("GRUB cannot write its environment block on %s (%s)", dev.Path, dev.Kind)
	case !plan.FSTypeOf(dev.Filesystem().Type).GRUBWrites:
		return "", "", "GRUB cannot be relied on to write its environment block on " + dev.Filesystem().Type
	case g.Env == "":
		return "", "create it: grub-editenv " + grubEnv + " create", grubEnv + " does not exist"
	case !g.LoadsEnv:
		return "", "regenerate it: update-grub", grubCfg + " does not honour next_entry"
	case g.EnvDamage != "":
		return "", "recreate it: grub-editenv " + grubEnv + " create", fmt.Sprintf("%s is damaged: %s", grubEnv, g.EnvDamage)
	}
	return fmt.Sprintf("GRUB can write its environment block %s, so the entry runs once", g.Env), "", ""
}

// grubBlockOnTarget: GRUB only has to read its custom.cfg.
func grubBlockOnTarget(grubFacts, *plan.Device) (why, fix, refused string) {
	return "GRUB clears a block on the new disk before it starts the entry, so the entry runs once", "", ""
}

// grubOnceOf chooses the mechanism for a machine. why says that it works, and what kept the ones before it from being taken. A
// defect that a command repairs is refused, and not worked around.
func grubOnceOf(g grubFacts, dev *plan.Device) (once grubOnce, why, fix, refused string) {
	var not []string
	for _, x := range grubOnces() {
		if why, fix, refused = x.can(g, dev); refused == "" {
			return x, strings.Join(append(not, why), "; "), "", ""
		} else if fix != "" {
			return grubOnce{}, "", fix, refused
		}
		not = append(not, refused)
	}
	return grubOnce{}, "", fix, strings.Join(not, "; ")
}

// grubHints are where GRUB looks for a partition of the new disk first: which of its disks that is, is not known.
func grubHints(n *plan.Node) []string {
	var out []string
	for _, disk := range []int{1, 0, 2, 3} {
		out = append(out, fmt.Sprintf("hd%d,gpt%d", disk, n.Part.Number))
	}
	return out
}

// grubLayer is how GRUB reads a layer: by which modules, and under which name.
type grubLayer struct {
	is      func(n *plan.Node) bool
	modules func(n *plan.Node) []string
	hint    func(n *plan.Node) (string, error)
}

func grubLayers() []grubLayer {
	return []grubLayer{
		{is: func(n *plan.Node) bool { return n.MD != nil },
			modules: func(n *plan.Node) []string {
				out := []string{"diskfilter", grubMetadata(n.MD.Metadata)}
				switch n.MD.Level {
				case 4, 5:
					out = append(out, "raid5rec")
				case 6:
					out = append(out, "raid6rec")
				}
				return out
			},
			hint: func(n *plan.Node) (string, error) { return grubVolume(n.Ref) }},
		{is: func(n *plan.Node) bool { return n.LV != nil },
			modules: func(*plan.Node) []string { return []string{"lvm"} },
			hint:    func(n *plan.Node) (string, error) { return "lvmid/" + n.Lower().ID() + "/" + n.Ref.ID(), nil }},
	}
}

// grubUnder lists the modules and hints by which GRUB reads a filesystem of a graph.
func grubUnder(g plan.Graph, fs plan.Ref) (modules, hints []string, err error) {
	for _, n := range g.Under(fs) {
		for _, l := range grubLayers() {
			if !l.is(n) {
				continue
			}
			for _, m := range l.modules(n) {
				if !slices.Contains(modules, m) {
					modules = append(modules, m)
				}
			}
			h, err := l.hint(n)
			if err != nil {
				return nil, nil, err
			}
			hints = append(hints, h)
		}
	}
	return modules, hints, nil
}
