package plan

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// nodes gives names for arrays that no device has.
func (b *builder) nodes() func() string {
	at := -1
	return func() string {
		for {
			at++
			if name := "md" + strconv.Itoa(at); b.f.Dev(name) == nil {
				return name
			}
		}
	}
}

// successor is what takes the place of a source, on a volume of room bytes that was planned for it.
func (b *builder) successor(s *source, on Ref, room int64, labels map[string]bool) Node {
	if s.node.Swap != nil {
		n := Node{Ref: Ref("swap:" + b.ids.uuid()), On: []Ref{on}, Layer: Layer{Swap: &Swap{}}}
		b.p.Moves = append(b.p.Moves, Move{From: s.node.Ref, To: n.Ref, Engine: EngineMake})
		return n
	}
	fs := b.newFS(*s, room)
	n := Node{Ref: Ref("fs:" + b.ids.uuid()), On: []Ref{on}, Layer: Layer{FS: fs}}
	fs.HashSeed = b.ids.uuid()
	if fs.Label != "" && labels[fs.Label] {
		// Two filesystems of one label are ambiguous to the old system, which must stay bootable.
		b.warn("label "+fs.Label, "after finish: "+fill(FSTypeOf(fs.Type).Fixes.Label, "label it "+fs.Label, "DEVICE", fs.Label), "the old system finds its filesystem by it, so the new one at %s gets none and is found by UUID", fs.Mount)
		fs.Label = ""
	}
	move := b.engine(*s, n, room)
	b.makeable(n, move, room)
	b.p.Moves = append(b.p.Moves, move)
	return n
}

// engine chooses how a filesystem is copied: by its used blocks where that is possible, which takes the disk's own time,
// and file by file else.
func (b *builder) engine(s source, n Node, room int64) Move {
	c := Move{From: s.node.Ref, To: n.Ref, Engine: EngineTree, Why: "asked for"}
	if b.in.Engine == EngineTree {
		return c
	}
	why := b.notByBlocks(s)
	if room < s.use.Size && b.becomes(n.FS.Mount, s.use.Type) == s.use.Type {
		why = fmt.Sprintf("it has %s, and its new volume of %s is too small for a copy by blocks", size(s.use.Size), size(room))
	}
	switch {
	case why == "":
		c.Engine, c.Why = EngineExtent, "its used blocks are copied, and it grows into its new volume"
	case b.in.Engine == EngineExtent:
		b.refuse("engine extent", "use --engine tree", "filesystem at %s: %s", n.FS.Mount, why)
	default:
		c.Why = why
	}
	return c
}

func merge(lists ...[]string) []string {
	var out []string
	for _, l := range lists {
		for _, s := range l {
			if !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out
}

// nameOf makes a mount point a name: what md, udev and GPT all take, at most 20 bytes.
func nameOf(mount string) string {
	if mount == "/" {
		return "root"
	}
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-' {
			return r
		}
		return '-'
	}, strings.Trim(path.Clean(mount), "/"))
	return name[:min(len(name), 20)]
}

// name is what a source's partition and array are called.
func (s source) name() string {
	if s.node.FS == nil {
		return "swap"
	}
	return nameOf(s.node.FS.Mount)
}

// unique gives a name that was not given before: two arrays of one name are two times /dev/md/NAME.
func unique(taken map[string]bool, name string) string {
	for n, base := 2, name; taken[name]; n++ {
		name = base + strconv.Itoa(n)
	}
	taken[name] = true
	return name
}

// inodes is the source's number of inodes, where a smaller volume can have as many: mke2fs cuts odd groups of blocks for
// more than one a block. A source that was made so has them again.
func inodes(c *Content, room int64) int64 {
	if c.BlockSize <= 0 || c.Inodes > c.Size/c.BlockSize {
		return c.Inodes
	}
	return min(c.Inodes, room/c.BlockSize)
}
