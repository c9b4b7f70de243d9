package sim

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"testing/fstest"

	"migrate-init/pkg/tree"
)

// Pair is the two sides of a copy: directories that are mounted and the devices they are on, or for a copy by blocks the
// devices alone and the UUID that the copy is to get.
type Pair struct {
	From, To, FromDev, ToDev string
	Blocks                   bool
	NewUUID                  string
	Hollow                   []string // below From: what stays empty in To
}

// ProbeDir is what trying out what a target can hold leaves there when it is cut short.
const ProbeDir = ".migrate-init-probe-1"

// Precheck tries things out on the target, and takes them away without a sync.
func (m *Machine) Precheck(p Pair) (tree.Scan, error) {
	if p.Blocks {
		_, then := m.Verb("precheck "+p.FromDev+" for "+p.ToDev, nil)
		return tree.Scan{Bytes: 1}, then
	}
	how, then := m.Verb("precheck "+p.From+" for "+p.To, []string{p.ToDev})
	if how == 0 {
		return tree.Scan{}, then
	}
	from, to, err := m.Sides(p)
	if err != nil {
		return tree.Scan{}, err
	}
	for n := range to {
		m.TB.Errorf("precheck of %s: not empty: %s", p.To, n)
	}
	to[ProbeDir] = &fstest.MapFile{Mode: fs.ModeDir | 0o700}
	if how == 1 {
		return tree.Scan{}, then
	}
	m.loosen(to, ProbeDir)
	delete(to, ProbeDir)
	return tree.Scan{Files: int64(len(from)), Findings: m.Finds[path.Base(p.From)]}, then
}

// Sides gives both trees of a copy.
func (m *Machine) Sides(p Pair) (from, to fstest.MapFS, err error) {
	if p.Blocks {
		return m.blocks(p)
	}
	src, dst := m.mountAt(p.From), m.mountAt(p.To)
	part := ""
	for up := p.From; src == nil && up != "/"; {
		up = path.Dir(up)
		src, part = m.mountAt(up), strings.TrimPrefix(p.From, up+"/")
	}
	if src == nil || dst == nil || src.Src != p.FromDev || dst.Src != p.ToDev {
		return nil, nil, fmt.Errorf("copy %s to %s: not mounted so", p.From, p.To)
	}
	if !src.ReadOnly || dst.ReadOnly {
		m.TB.Errorf("copy: source read-only %v, target read-only %v", src.ReadOnly, dst.ReadOnly)
	}
	return partOf(src.Tree, part, p.Hollow), dst.Tree, nil
}

// partOf is what a copy sees of a tree.
func partOf(tree fstest.MapFS, part string, hollow []string) fstest.MapFS {
	if part == "" && len(hollow) == 0 {
		return tree
	}
	out := fstest.MapFS{}
	for name, f := range tree {
		rest, below := name, part == ""
		if !below {
			rest, below = strings.CutPrefix(name, part+"/")
		}
		if below && !slices.ContainsFunc(hollow, func(h string) bool { return strings.HasPrefix(rest, h+"/") }) {
			out[rest] = f
		}
	}
	return out
}

// blocks gives both trees of a copy by blocks. The target's has no superblock and cannot be mounted.
func (m *Machine) blocks(p Pair) (from, to fstest.MapFS, err error) {
	src, dst := m.Dev(p.FromDev), m.Dev(p.ToDev)
	if src == nil || dst == nil || m.mountOf(src) != "" || m.mountOf(dst) != "" {
		return nil, nil, fmt.Errorf("copy %s to %s: not here, or mounted", p.FromDev, p.ToDev)
	}
	if id := m.FilesystemOn(dst); id != "" {
		return nil, nil, fmt.Errorf("copy to %s: filesystem %s is seen on it", p.ToDev, id)
	}
	if m.Trees[p.NewUUID] == nil {
		m.Trees[p.NewUUID] = fstest.MapFS{}
	}
	return m.Trees[m.FilesystemOn(src)], m.Trees[p.NewUUID], nil
}

// Copy copies, and tells how many files it copied one by one.
func (m *Machine) Copy(p Pair) (files int64, err error) {
	if p.Blocks {
		return 0, m.copyBlocks(p)
	}
	how, then := m.Verb("copy "+p.From+" to "+p.To, []string{p.ToDev})
	if how == 0 {
		return 0, then
	}
	from, to, err := m.Sides(p)
	if err != nil {
		return 0, err
	}
	for n := range to {
		return 0, fmt.Errorf("copy to %s: not empty: %s", p.To, n)
	}
	names := slices.Sorted(maps.Keys(from))
	if how == 1 {
		names = names[:len(names)/2]
	}
	for _, n := range names {
		f := *from[n]
		to[n] = &f
	}
	m.Filled(p)
	return int64(len(names)), then
}

// Filled notes that a copy of files wrote through this mount: what is read of it comes from the cache until it is mounted again.
func (m *Machine) Filled(p Pair) {
	if mount := m.mountAt(p.To); mount != nil {
		mount.filled, m.Dev(p.ToDev).cached = true, true
	}
}

func (m *Machine) copyBlocks(p Pair) error {
	how, then := m.Verb("copy blocks of "+p.FromDev+" to "+p.ToDev, []string{p.ToDev})
	if how == 0 {
		return then
	}
	from, to, err := m.blocks(p)
	if err != nil {
		return err
	}
	clear(to)
	n := 0
	for name, f := range from {
		if n++; how == 2 || n%2 == 0 {
			to[name] = &fstest.MapFile{Data: f.Data, Mode: f.Mode}
		}
	}
	return then
}

// Verify compares both sides, and tells how many files it compared.
func (m *Machine) Verify(p Pair) (files int64, err error) {
	how, then := m.Verb("verify "+p.To+" against "+p.From, nil)
	if how == 0 || then != nil {
		return 0, then
	}
	if mount := m.mountAt(p.To); !p.Blocks && mount != nil && (mount.filled || m.Dev(p.ToDev).cached) {
		m.TB.Errorf("verify of %s: inodes from the mount that the copy filled: %v, from the device's cache: %v", p.To, mount.filled, m.Dev(p.ToDev).cached)
	}
	from, to, err := m.Sides(p)
	if err != nil {
		return 0, err
	}
	if d := Diff(from, to); d != "" {
		return 0, fmt.Errorf("verify: %s", d)
	}
	return int64(len(to)), nil
}
