package stage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"migrate-init/boot"
	"migrate-init/pkg/distro"
	"migrate-init/pkg/fstab"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// Rewrites spells what of an installed system has to change for a plan, as effects on the tree below dir. root is that
// tree, for reading; on the live system the old root serves, which is how a dry run shows the diffs. It is idempotent:
// a file that is as planned already gives no effect.
func Rewrites(p *plan.Plan, root fs.FS, dir string) ([]machine.Effect, error) {
	sys, err := distro.Of(p)
	if err != nil {
		return nil, err
	}
	r := &rewriter{p: p, sys: sys, root: root, dir: dir, ids: identities(p)}
	for _, step := range []func() error{r.fstab, r.crypttab, r.mdadm, r.settings, r.grubDropIn, r.custom, r.grubenv, r.debconf, r.mtab, r.confirm, r.mountPoints} {
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
	effs, err := Rewrites(e.Plan, root, TargetDir)
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
		m[x.From.ID()] = x.To.ID()
	}
	return m
}

type rewriter struct {
	p    *plan.Plan
	sys  distro.System
	root fs.FS
	dir  string
	ids  map[string]string
	out  []machine.Effect
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

// becomes tells the UUID that takes the place of what a spec names, "" when the plan does not move it.
func (r *rewriter) becomes(spec fstab.Spec) string {
	spec = untangled(spec)
	if spec.Kind == fstab.UUID {
		for from, to := range r.ids {
			if strings.EqualFold(from, spec.Value) {
				return to
			}
		}
	}
	names := func(planned, dev string, on plan.Ref) bool {
		return planned != "" && planned == spec.String() || spec.Kind == fstab.Device && spec.Value != "" && (spec.Value == dev || spec.Value == idLink(r.p, dev)) ||
			spec.Kind == fstab.PartUUID && strings.EqualFold("part:"+spec.Value, string(on))
	}
	for _, s := range r.p.Source.Filesystems() {
		if names(s.FS.Spec, s.Was, s.Lower()) || spec.Kind == fstab.Label && s.FS.Label != "" && s.FS.Label == spec.Value {
			return r.ids[s.Ref.ID()]
		}
	}
	for _, s := range r.p.Source.Swaps() {
		if names(s.Swap.Spec, s.Was, s.Lower()) {
			return r.ids[s.Ref.ID()]
		}
	}
	return ""
}

// idLink is the link in /dev/disk/by-id of a partition of the old disk, by the one of that disk which the plan knows.
func idLink(p *plan.Plan, dev string) string {
	for _, d := range p.Source.Disks() {
		number, ok := strings.CutPrefix(dev, d.Was)
		if !ok || d.Disk.ByID == "" || d.Was == "" {
			continue
		}
		if number = strings.TrimPrefix(number, "p"); number != "" && strings.Trim(number, "0123456789") == "" {
			return d.Disk.ByID + "-part" + number
		}
	}
	return ""
}

// untangled takes udev's links for the tags that they stand for.
func untangled(spec fstab.Spec) fstab.Spec {
	if spec.Kind != fstab.Device {
		return spec
	}
	for dir, kind := range map[string]fstab.Kind{"uuid": fstab.UUID, "label": fstab.Label, "partuuid": fstab.PartUUID} {
		if v, ok := strings.CutPrefix(spec.Value, "/dev/disk/by-"+dir+"/"); ok {
			return fstab.Spec{Kind: kind, Value: v}
		}
	}
	return spec
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
			}
		}
		return t.Bytes(), nil
	})
}

func (r *rewriter) crypttab() error {
	return r.edit("/etc/crypttab", func(b []byte) ([]byte, error) {
		t, err := fstab.ParseCrypttab(b)
		if err != nil {
			return nil, err
		}
		for _, x := range t.Entries() {
			if to := r.becomes(x.Source); to != "" {
				if err := t.SetSource(x.Line, fstab.Spec{Kind: fstab.UUID, Value: to}); err != nil {
					return nil, err
				}
			}
		}
		return t.Bytes(), nil
	})
}

// GRUBDropIn keeps os-prober from putting the old system, found on the old disk, into the new menu, and makes a panic of
// a boot that was not confirmed yet a reset, which is what falls back. Finish removes it.
const GRUBDropIn = "/etc/default/grub.d/migrate-init.cfg"

func (r *rewriter) grubDropIn() error {
	if r.p.Boot.Loader != "grub" {
		return nil
	}
	old, err := r.read(GRUBDropIn)
	if err != nil {
		return err
	}
	if old == nil {
		r.out = append(r.out, machine.Mkdir{Path: path.Join(r.dir, path.Dir(GRUBDropIn)), Mode: 0o755})
	}
	r.write(GRUBDropIn, old, fmt.Appendf(nil, "# Written by migrate-init, removed by its finish. The old system must not appear in this menu, and a panic must become\n"+
		"# a reset, from which the old boot loader can fall back.\nGRUB_DISABLE_OS_PROBER=true\nGRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX panic=%d\"\n", r.p.Policy.Panic), 0o644)
	return nil
}

// custom takes the snippet of schedule, which came along with the copy, out of the new system's boot loader.
func (r *rewriter) custom() error {
	if r.p.Boot.Custom == "" {
		return nil
	}
	old, err := r.read(r.p.Boot.Custom)
	if err != nil {
		return err
	}
	rest, found, err := boot.RemoveSnippet(old)
	if err != nil {
		return fmt.Errorf("file %s: %w", r.p.Boot.Custom, err)
	}
	switch {
	case found && len(rest) == 0:
		r.out = append(r.out, machine.Remove{Path: path.Join(r.dir, r.p.Boot.Custom)})
	default:
		r.write(r.p.Boot.Custom, old, r.successors(rest), 0o644)
	}
	for _, f := range []string{ScheduledKernel(r.p), ScheduledImage(r.p), ScheduleFile} {
		there, err := exists(r.root, f)
		if err != nil {
			return err
		}
		if there {
			r.out = append(r.out, machine.Remove{Path: path.Join(r.dir, f)})
		}
	}
	return nil
}

// ScheduledKernel and ScheduledImage are where schedule puts its two files.
func ScheduledKernel(p *plan.Plan) string {
	return path.Join(path.Dir(p.Boot.Kernel), "migrate-init-"+p.ID[:8]+".vmlinuz")
}

// ScheduledImage is the image's place; see ScheduledKernel.
func ScheduledImage(p *plan.Plan) string {
	return path.Join(path.Dir(p.Boot.Kernel), "migrate-init-"+p.ID[:8]+".img")
}

// grubenv drops what was meant for the old GRUB; the new one, on an array, could not even clear it.
func (r *rewriter) grubenv() error {
	if r.p.Boot.Env == "" {
		return nil
	}
	old, err := r.read(r.p.Boot.Env)
	if err != nil || old == nil {
		return err
	}
	env, err := boot.ParseGrubenv(old)
	if err != nil {
		return fmt.Errorf("file %s: %w", r.p.Boot.Env, err)
	}
	for _, k := range []string{"next_entry", boot.TriedVariable} {
		env.Unset(k)
	}
	// saved_entry names a menu entry by the root's UUID.
	for _, k := range env.Keys() {
		v, _ := env.Get(k)
		n := string(r.successors([]byte(v)))
		if n == v {
			continue
		}
		if err := env.Set(k, n); err != nil {
			return fmt.Errorf("file %s: %w", r.p.Boot.Env, err)
		}
	}
	if !bytes.Equal(env.Bytes(), old) {
		r.out = append(r.out, machine.WriteInPlace{Path: path.Join(r.dir, r.p.Boot.Env), Data: env.Bytes()})
	}
	return nil
}
