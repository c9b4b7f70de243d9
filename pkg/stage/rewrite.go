package stage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"migrate-init/pkg/distro"
	"migrate-init/pkg/fstab"
	"migrate-init/pkg/loader"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// Rewrites spells what of an installed system has to change for a plan, as effects on the tree below dir. root is that
// tree, for reading; on the live system the old root serves, which is how a dry run shows the diffs. It is idempotent:
// a file that is as planned already gives no effect.
func Rewrites(loaders loader.Table, p *plan.Plan, root fs.FS, dir string) ([]machine.Effect, error) {
	l, err := loaders.Of(p)
	if err != nil {
		return nil, err
	}
	sys, err := distro.Of(p)
	if err != nil {
		return nil, err
	}
	r := &rewriter{p: p, sys: sys, root: root, dir: dir, ids: identities(p), loader: l}
	for _, step := range []func() error{r.fstab, r.crypttab, r.mdadm, r.settings, r.bootLoader, r.scheduled, r.mtab, r.confirm, r.volumes, r.mountPoints} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return r.out, r.inside()
}

// inside leads every effect to its place in the root, whatever symbolic links stand on the way.
func (r *rewriter) inside() error {
	at := func(p *string) error {
		in, err := inRoot(r.root, strings.TrimPrefix(*p, r.dir))
		*p = path.Join(r.dir, in)
		return err
	}
	for i, eff := range r.out {
		var err error
		switch x := eff.(type) {
		case machine.WriteFile:
			err = at(&x.Path)
			r.out[i] = x
		case machine.WriteInPlace:
			err = at(&x.Path)
			r.out[i] = x
		case machine.Mkdir:
			err = at(&x.Path)
			r.out[i] = x
		case machine.Remove:
			err = at(&x.Path)
			r.out[i] = x
		case machine.Symlink:
			err = at(&x.Path)
			r.out[i] = x
		default:
			err = fmt.Errorf("effect %s: not one that rewrites", eff)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func runRewrite(ctx context.Context, e *Env) error {
	if err := e.releaseSources(ctx); err != nil {
		return err
	}
	if err := e.assembleTree(ctx); err != nil {
		return err
	}
	root, err := e.Inside(TargetDir)
	if err != nil {
		return err
	}
	effs, err := Rewrites(e.Loaders, e.Plan, root, TargetDir)
	if err != nil {
		return err
	}
	for _, eff := range effs {
		e.tell("rewrite", "%s", eff)
	}
	return e.do(ctx, effs...)
}

// identities maps every UUID of the source to the one that takes its place.
func identities(p *plan.Plan) map[string]string {
	m := map[string]string{}
	for _, x := range p.Moves {
		if x.Path != "" {
			continue // nothing named it
		}
		m[x.From.ID()] = x.To.ID()
	}
	return m
}

type rewriter struct {
	p      *plan.Plan
	sys    distro.System
	root   fs.FS
	dir    string
	ids    map[string]string
	loader loader.Loader
	out    []machine.Effect
}

// read gives a file's bytes, nil when it does not exist.
func (r *rewriter) read(name string) ([]byte, error) {
	at, err := throughLinks(r.root, name)
	if err != nil {
		return nil, err
	}
	b, err := fs.ReadFile(r.root, nonRoot(at))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("file %s: %w", name, err)
	}
	return b, nil
}

func (r *rewriter) write(name string, old, data []byte, mode fs.FileMode) {
	if !bytes.Equal(old, data) {
		r.out = append(r.out, machine.WriteFile{Path: path.Join(r.dir, name), Data: data, Old: old, Mode: mode})
	}
}

// edit rewrites a file if it exists, where links lead to it.
func (r *rewriter) edit(name string, change func([]byte) ([]byte, error)) error {
	at, err := r.place(name)
	if err != nil || at == "" {
		return err
	}
	old, err := r.read(at)
	if err != nil || old == nil {
		return err
	}
	data, err := change(bytes.Clone(old))
	if err != nil {
		return fmt.Errorf("file %s: %w", name, err)
	}
	r.write(at, old, data, 0o644)
	return nil
}

// becomes gives the UUID that takes the place of what a spec names, "" when the plan does not move it.
func (r *rewriter) becomes(spec fstab.Spec) string {
	if n := oldNode(r.p, spec); n != nil {
		return r.ids[n.Ref.ID()]
	}
	return ""
}

func (r *rewriter) fstab() error {
	return r.edit("/etc/fstab", func(b []byte) ([]byte, error) {
		t, err := fstab.Parse(b)
		if err != nil {
			return nil, err
		}
		for _, x := range t.Entries() {
			if to := r.becomes(x.Spec); to != "" && !x.IsBind() {
				if err := t.SetSpec(x.Line, fstab.Spec{Kind: fstab.UUID, Value: to}); err != nil {
					return nil, err
				}
				if err := r.retype(&t, x, to); err != nil {
					return nil, err
				}
			}
		}
		return t.Bytes(), nil
	})
}

// retype gives a line the type of its new filesystem where that changes, and leaves of its options those that every type has. Where
// it does not change, only the number of a subvolume goes.
func (r *rewriter) retype(t *fstab.File, x fstab.Entry, to string) error {
	m := r.p.MoveTo(plan.Ref("fs:" + to))
	if m == nil {
		return nil
	}
	typ, changes := r.p.Retyped(m.From)
	if !changes {
		list := x.Options.List()
		if keep := plan.WithoutNumber(list); len(keep) < len(list) {
			return t.SetOptions(x.Line, fstab.Options(strings.Join(keep, ",")))
		}
		return nil
	}
	if err := t.SetType(x.Line, typ); err != nil || x.Options == "" {
		return err
	}
	var keep []string
	for _, o := range x.Options.List() {
		if plan.AnyType(o) {
			keep = append(keep, o)
		}
	}
	if len(keep) == 0 {
		keep = []string{"defaults"}
	}
	return t.SetOptions(x.Line, fstab.Options(strings.Join(keep, ",")))
}

func (r *rewriter) crypttab() error {
	return r.edit("/etc/crypttab", func(b []byte) ([]byte, error) {
		t, err := fstab.ParseCrypttab(b)
		if err != nil {
			return nil, err
		}
		for _, x := range t.Entries() {
			if n := oldContainer(r.p, x.Source); n != nil {
				if err := t.CommentOut(x.Line, "migrate-init: nothing of this system is in it any more"); err != nil {
					return nil, err
				}
			} else if to := r.becomes(x.Source); to != "" {
				if err := t.SetSource(x.Line, fstab.Spec{Kind: fstab.UUID, Value: to}); err != nil {
					return nil, err
				}
			}
		}
		return t.Bytes(), nil
	})
}
