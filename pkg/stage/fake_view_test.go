package stage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"reflect"
	"slices"
	"sort"
	"strings"
	"testing"
	"testing/fstest"

	"migrate-init/pkg/copy"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/tree"
)

// at finds the tree that a path is on, and its name there.
func (w *world) at(name string) (tree fstest.MapFS, rel string, ro bool) {
	name = path.Clean(name)
	best := ""
	tree, rel = w.root, strings.TrimPrefix(name, "/")
	for _, m := range w.mounts {
		if (m.dir == "/" || name == m.dir || strings.HasPrefix(name, m.dir+"/")) && len(m.dir) >= len(best) {
			best, tree, ro = m.dir, m.tree, m.ro
			rel = strings.TrimPrefix(strings.TrimPrefix(name, m.dir), "/")
		}
	}
	if rel == "" {
		rel = "."
	}
	return tree, rel, ro
}

// view is the whole machine's root as one file system: mounted trees over each other, /proc and /sys as the kernel shows.
func (w *world) view() fstest.MapFS {
	out := maps.Clone(w.root)
	for _, m := range w.mounts {
		dir := strings.TrimPrefix(m.dir, "/")
		if dir == "" {
			out = maps.Clone(m.tree)
			continue
		}
		for n := range out {
			if strings.HasPrefix(n, dir+"/") {
				delete(out, n)
			}
		}
		out[dir] = &fstest.MapFile{Mode: fs.ModeDir | 0o755}
		for n, f := range m.tree {
			out[dir+"/"+n] = f
		}
	}
	w.kernel(out)
	return out
}

// below is view from a directory.
func (w *world) below(dir string) fstest.MapFS {
	all := w.view()
	pre := strings.TrimPrefix(path.Clean(dir), "/")
	if pre == "" {
		return all
	}
	out := fstest.MapFS{}
	for n, f := range all {
		if rel, ok := strings.CutPrefix(n, pre+"/"); ok {
			out[rel] = f
		}
	}
	return out
}

func (w *world) kernel(out fstest.MapFS) {
	file := func(name, format string, args ...any) {
		out[name] = &fstest.MapFile{Data: fmt.Appendf(nil, format+"\n", args...), Mode: 0o444}
	}
	link := func(name, to string) { out[name] = &fstest.MapFile{Data: []byte(to), Mode: fs.ModeSymlink | 0o777} }
	file("proc/sys/kernel/hostname", "server")
	file("proc/sys/kernel/osrelease", testRelease)
	file("proc/sys/kernel/random/boot_id", "boot-%d", w.boots)
	file("proc/cmdline", "root=UUID=%s ro console=ttyS0", oldRoot)
	file("proc/meminfo", "MemTotal:        1000000 kB")
	swaps := "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority"
	if w.live {
		swaps += "\n/dev/vda4                               partition\t131068\t\t0\t\t-2"
	}
	file("proc/swaps", "%s", swaps)
	var infos strings.Builder
	for i, m := range w.mounts {
		maj, min := uint32(0), uint32(30+i)
		if b := w.dev(m.src); b != nil && m.typ != "bind" {
			maj, min = b.maj, b.min
		}
		opts := "rw"
		if m.ro {
			opts = "ro"
		}
		fmt.Fprintf(&infos, "%d 1 %d:%d / %s %s - %s %s %s\n", 20+i, maj, min, m.dir, opts, m.typ, m.src, opts)
	}
	out["proc/self/mountinfo"] = &fstest.MapFile{Data: []byte(infos.String())}
	for i, b := range w.devs {
		at := "sys/devices/virtual/block/" + b.name
		switch {
		case b.disk != nil && b.number == 0:
			bus := fmt.Sprintf("sys/devices/pci0000:00/0000:00:%02x.0", 4+i)
			at = bus + "/virtio/block/" + b.name
			file(at+"/serial", "SER-%s", b.disk.name)
			file(at+"/removable", "0")
			file(at+"/queue/logical_block_size", "512")
			file(at+"/queue/rotational", "0")
			link(bus+"/virtio/driver/module", "../../../../../module/virtio_blk")
			link(bus+"/driver/module", "../../../../module/virtio_pci")
			if w.live {
				link("dev/disk/by-id/virtio-SER-"+b.disk.name, "../../"+b.name)
			}
		case b.disk != nil:
			up := w.devs[slices.IndexFunc(w.devs, func(x *bdev) bool { return x.disk == b.disk && x.number == 0 })]
			at = fmt.Sprintf("sys/devices/pci0000:00/0000:00:%02x.0/virtio/block/%s/%s", 4+indexOf(w.devs, up), up.name, b.name)
			file(at+"/partition", "%d", b.number)
			file(at+"/start", "%d", b.off/512)
		default:
			w.arrayFiles(at, b, file)
			link("sys/block/"+b.name, strings.TrimPrefix(strings.Replace(at, "sys/", "../", 1), "/"))
		}
		file(at+"/size", "%d", b.size/512)
		file(at+"/dev", "%d:%d", b.maj, b.min)
		ro := 0
		if b.ro {
			ro = 1
		}
		file(at+"/ro", "%d", ro)
		for _, h := range w.holders(b) {
			link(at+"/holders/"+h, "../../x")
		}
		link("sys/class/block/"+b.name, strings.Replace(at, "sys/", "../../", 1))
	}
}

func indexOf[T comparable](list []T, x T) int {
	for i := range list {
		if list[i] == x {
			return i
		}
	}
	return -1
}

func (w *world) arrayFiles(at string, b *bdev, file func(string, string, ...any)) {
	a := w.arrays[b.name]
	if !a.runs {
		file(at+"/md/array_state", "clear")
		return
	}
	file(at+"/md/array_state", "clean")
	file(at+"/md/level", "raid1")
	file(at+"/md/metadata_version", "%s", a.version)
	file(at+"/md/raid_disks", "%d", a.slots)
	file(at+"/md/degraded", "%d", a.slots-len(a.added))
	file(at+"/md/sync_action", "idle")
	for i, m := range a.added {
		file(at+"/md/dev-"+m.name+"/state", "in_sync")
		file(at+"/md/dev-"+m.name+"/slot", "%d", i)
	}
}

// file carries out the effects on files.
func (w *world) file(e machine.Effect, torn bool) error {
	change := func(name string) (fstest.MapFS, string, error) {
		tree, rel, ro := w.at(name)
		if ro {
			w.t.Errorf("read-only mount: %v", e)
			return nil, "", errors.New("read-only filesystem")
		}
		return tree, rel, nil
	}
	write := func(name string, data []byte, mode fs.FileMode) error {
		if torn {
			return nil // an atomic write that was cut short leaves what was there
		}
		if !w.isDir(path.Dir(name)) {
			return fmt.Errorf("file %s: no directory: %w", name, fs.ErrNotExist)
		}
		tree, rel, err := change(name)
		if err != nil {
			return err
		}
		if f := tree[rel]; f != nil {
			if f.Mode&fs.ModeSymlink != 0 {
				return fmt.Errorf("file %s: a symbolic link", name)
			}
			mode = f.Mode
		}
		tree[rel] = &fstest.MapFile{Data: data, Mode: mode}
		delete(w.loose[w.idOf(tree)], rel)
		return nil
	}
	switch e := e.(type) {
	case machine.Mkdir:
		for d := path.Clean(e.Path); d != "/"; d = path.Dir(d) {
			tree, rel, err := change(d)
			if err != nil {
				return err
			}
			if rel != "." && tree[rel] == nil {
				tree[rel] = &fstest.MapFile{Mode: fs.ModeDir | e.Mode}
			}
		}
		return nil
	case machine.WriteFile:
		return write(e.Path, e.Data, e.Mode)
	case machine.WriteInPlace:
		tree, rel, err := change(e.Path)
		if err != nil {
			return err
		}
		f := tree[rel]
		if f == nil || len(f.Data) != len(e.Data) {
			return fmt.Errorf("file %s: not there, or of another length", e.Path)
		}
		tree[rel] = &fstest.MapFile{Data: e.Data, Mode: f.Mode}
		return nil
	case machine.CopyFile:
		tree, rel, _ := w.at(e.From)
		if tree[rel] == nil {
			return fmt.Errorf("file %s: %w", e.From, fs.ErrNotExist)
		}
		return write(e.To, tree[rel].Data, e.Mode)
	case machine.Remove:
		tree, rel, err := change(e.Path)
		if err != nil {
			return err
		}
		for n := range tree {
			if strings.HasPrefix(n, rel+"/") {
				return fmt.Errorf("remove %s: directory not empty: %s", e.Path, n)
			}
		}
		delete(tree, rel)
		return nil
	case machine.Rename:
		tree, from, err := change(e.From)
		if err != nil {
			return err
		}
		other, to, err := change(e.To)
		if err != nil {
			return err
		}
		if tree[from] == nil {
			return fmt.Errorf("rename %s: %w", e.From, fs.ErrNotExist)
		}
		if torn {
			return nil
		}
		f := tree[from]
		delete(tree, from)
		other[to] = f
		return nil
	case machine.Symlink:
		tree, rel, err := change(e.Path)
		if err != nil || torn {
			return err
		}
		tree[rel] = &fstest.MapFile{Data: []byte(e.Target), Mode: fs.ModeSymlink | 0o777}
		return nil
	}
	return fmt.Errorf("effect %T: not known here", e)
}

// idOf gives the UUID of the filesystem that a tree is.
func (w *world) idOf(tree fstest.MapFS) string {
	for id, x := range w.trees {
		if reflect.ValueOf(x).Pointer() == reflect.ValueOf(tree).Pointer() {
			return id
		}
	}
	return ""
}

// loosen notes a file as the disk has it, before a write that only reaches the page cache.
func (w *world) loosen(tree fstest.MapFS, rel string) {
	id := w.idOf(tree)
	if id == "" {
		return
	}
	if w.loose == nil {
		w.loose = map[string]fstest.MapFS{}
	}
	if w.loose[id] == nil {
		w.loose[id] = fstest.MapFS{}
	}
	if _, noted := w.loose[id][rel]; !noted {
		w.loose[id][rel] = tree[rel]
	}
}

// flush is a sync: what the page cache had is on the disk.
func (w *world) flush(tree fstest.MapFS) { delete(w.loose, w.idOf(tree)) }

// lost is the world after a power cut that took the page cache with it; nil when that had nothing.
func (w *world) lost(t testing.TB) *world {
	if len(w.loose) == 0 {
		return nil
	}
	c := w.clone(t)
	for id, files := range w.loose {
		for name, f := range files {
			if f == nil {
				delete(c.trees[id], name)
			} else {
				c.trees[id][name] = f
			}
		}
	}
	return c
}

// copier copies trees between what is mounted.
type copier struct{ w *world }

// probeDir is what trying out what a target can hold leaves there when it is cut short.
const probeDir = ".migrate-init-probe-1"

// Precheck tries things out on the target, and takes them away without a sync.
func (c copier) Precheck(_ context.Context, j copy.Job) (tree.Scan, error) {
	if j.Engine == plan.EngineExtent {
		_, then := c.w.verb("precheck "+j.FromDev+" for "+j.ToDev, nil)
		return tree.Scan{Bytes: 1}, then
	}
	how, then := c.w.verb("precheck "+j.From+" for "+j.To, []string{j.ToDev})
	if how == 0 {
		return tree.Scan{}, then
	}
	from, to, err := c.trees(j)
	if err != nil {
		return tree.Scan{}, err
	}
	for n := range to {
		c.w.t.Errorf("precheck of %s: not empty: %s", j.To, n)
	}
	to[probeDir] = &fstest.MapFile{Mode: fs.ModeDir | 0o700}
	if how == 1 {
		return tree.Scan{}, then
	}
	c.w.loosen(to, probeDir)
	delete(to, probeDir)
	return tree.Scan{Files: int64(len(from)), Findings: c.w.finds[path.Base(j.From)]}, then
}

func (w *world) mountAt(dir string) *mounted {
	for i := range w.mounts {
		if w.mounts[i].dir == dir {
			return &w.mounts[i]
		}
	}
	return nil
}

func (c copier) trees(j copy.Job) (from, to fstest.MapFS, err error) {
	src, dst := c.w.mountAt(j.From), c.w.mountAt(j.To)
	if src == nil || dst == nil || src.src != j.FromDev || dst.src != j.ToDev {
		return nil, nil, fmt.Errorf("copy %s to %s: not mounted so", j.From, j.To)
	}
	if !src.ro || dst.ro {
		c.w.t.Errorf("copy: source read-only %v, target read-only %v", src.ro, dst.ro)
	}
	return src.tree, dst.tree, nil
}

// blocks gives both trees of a copy by blocks. The target's has no superblock and cannot be mounted.
func (c copier) blocks(j copy.Job) (from, to fstest.MapFS, err error) {
	src, dst := c.w.dev(j.FromDev), c.w.dev(j.ToDev)
	if src == nil || dst == nil || c.w.mountOf(src) != "" || c.w.mountOf(dst) != "" {
		return nil, nil, fmt.Errorf("copy %s to %s: not here, or mounted", j.FromDev, j.ToDev)
	}
	if id := c.w.fsOn(dst); id != "" {
		return nil, nil, fmt.Errorf("copy to %s: filesystem %s is seen on it", j.ToDev, id)
	}
	if c.w.trees[j.NewUUID] == nil {
		c.w.trees[j.NewUUID] = fstest.MapFS{}
	}
	return c.w.trees[c.w.fsOn(src)], c.w.trees[j.NewUUID], nil
}

func (c copier) copyBlocks(j copy.Job) (copy.Counts, error) {
	how, then := c.w.verb("copy blocks of "+j.FromDev+" to "+j.ToDev, []string{j.ToDev})
	if how == 0 {
		return copy.Counts{}, then
	}
	from, to, err := c.blocks(j)
	if err != nil {
		return copy.Counts{}, err
	}
	clear(to)
	n := 0
	for name, f := range from {
		if n++; how == 2 || n%2 == 0 {
			to[name] = &fstest.MapFile{Data: f.Data, Mode: f.Mode}
		}
	}
	return copy.Counts{Bytes: 1}, then
}

// settling is a copier of a plan that copies blocks.
type settling struct{ copier }

// Finalize implements copy.Finalizer.
func (c settling) Finalize(j copy.Job) ([]machine.Effect, error) {
	if j.Engine != plan.EngineExtent {
		return []machine.Effect{machine.Remove{Path: path.Join(j.To, copy.ManifestName)}}, nil
	}
	b := c.w.dev(j.ToDev)
	super := extSuper(j.NewUUID, "", b.size, 0)
	head := slices.Replace(make([]byte, 4096), 1024, 1024+len(super), super...)
	run := func(argv ...string) machine.Effect {
		return machine.Exec{Argv: append(argv, j.ToDev), Alters: []string{j.ToDev}}
	}
	return []machine.Effect{machine.WriteDevice{Dev: j.ToDev, Why: "superblock with uuid " + j.NewUUID, Chunks: []machine.Chunk{{Data: head}}},
		run("e2fsck", "-f", "-p"), run("tune2fs", "-O", "^metadata_csum_seed"), run("resize2fs"), run("tune2fs", "-L", j.NewLabel), run("e2fsck", "-fn")}, nil
}

func (c copier) Copy(_ context.Context, j copy.Job) (copy.Counts, error) {
	if j.Engine == plan.EngineExtent {
		return c.copyBlocks(j)
	}
	how, then := c.w.verb("copy "+j.From+" to "+j.To, []string{j.ToDev})
	if how == 0 {
		return copy.Counts{}, then
	}
	from, to, err := c.trees(j)
	if err != nil {
		return copy.Counts{}, err
	}
	for n := range to {
		return copy.Counts{}, fmt.Errorf("copy to %s: not empty: %s", j.To, n)
	}
	names := make([]string, 0, len(from))
	for n := range from {
		names = append(names, n)
	}
	sort.Strings(names)
	if how == 1 {
		names = names[:len(names)/2]
	}
	for _, n := range names {
		f := *from[n]
		to[n] = &f
	}
	c.w.mountAt(j.To).filled, c.w.dev(j.ToDev).cached = true, true
	return copy.Counts{Files: int64(len(names)), Bytes: 1, Hash: "h"}, then
}

func (c copier) Verify(_ context.Context, j copy.Job) (copy.Counts, error) {
	how, then := c.w.verb("verify "+j.To+" against "+j.From, nil)
	if how == 0 || then != nil {
		return copy.Counts{}, then
	}
	pair := c.trees
	if j.Engine == plan.EngineExtent {
		pair = c.blocks
	} else if m := c.w.mountAt(j.To); m != nil && (m.filled || c.w.dev(j.ToDev).cached) {
		c.w.t.Errorf("verify of %s: inodes from the mount that the copy filled: %v, from the device's cache: %v", j.To, m.filled, c.w.dev(j.ToDev).cached)
	}
	from, to, err := pair(j)
	if err != nil {
		return copy.Counts{}, err
	}
	if d := treeDiff(from, to); d != "" {
		return copy.Counts{}, fmt.Errorf("verify: %s", d)
	}
	return copy.Counts{Files: int64(len(to))}, nil
}

// treeDiff names the first difference of two trees, "" for none.
func treeDiff(a, b fstest.MapFS) string {
	names := map[string]bool{}
	for n := range a {
		names[n] = true
	}
	for n := range b {
		names[n] = true
	}
	var all []string
	for n := range names {
		all = append(all, n)
	}
	sort.Strings(all)
	for _, n := range all {
		x, y := a[n], b[n]
		switch {
		case x == nil || y == nil:
			return fmt.Sprintf("%s: there %v, here %v", n, x != nil, y != nil)
		case x.Mode != y.Mode:
			return fmt.Sprintf("%s: mode %v, %v", n, x.Mode, y.Mode)
		case string(x.Data) != string(y.Data):
			return fmt.Sprintf("%s: %.200q, %.200q", n, x.Data, y.Data)
		}
	}
	return ""
}
