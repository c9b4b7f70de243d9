package loader

import (
	"errors"
	"io/fs"
	"slices"

	"migrate-init/boot"
	"migrate-init/pkg/plan"
)

// grubNext looks at what both GRUBs will look at, by the same names. On the old system the commit itself cannot be seen:
// committed is what the journal says there.
func grubNext(p *plan.Plan, f *plan.Facts, root fs.FS, migrated, committed bool) (plan.NextBoot, error) {
	s := standing{migrated: migrated, committed: committed, armed: f.Boot.Armed == p.ID}
	own, err := grubSettingsOf(p)
	if err != nil {
		return plan.NextBoot{}, err
	}
	old, errOld := f.FS(p.Boot.BootFS)
	if errOld != nil {
		return plan.NextBoot{}, errOld
	}
	s.oldDisk, s.newDisk = old != nil, true
	for _, n := range p.NewDisks() {
		// Not the array: the old system does not start it, and GRUB does not need that.
		d, err := f.Disk(n)
		if err != nil {
			return plan.NextBoot{}, err
		}
		s.newDisk = s.newDisk && d != nil
	}
	if migrated {
		var errs [3]error
		s.committed, errs[0] = fileCommitted(p, root)
		s.confirmed, errs[1] = exists(root, confirmedFile(p))
		s.defers, errs[2] = grubDefers(p, root)
		for _, x := range f.Kernel.Params {
			s.first = s.first || x.Key == "migrate.plan" && x.Value == p.ID
		}
		return s.next(), errors.Join(errs[:]...)
	}
	custom, err := readFile(root, own.Custom)
	if err != nil {
		return plan.NextBoot{}, err
	}
	id, err := boot.SnippetPlan(custom)
	if err != nil {
		return plan.NextBoot{}, err
	}
	s.asks = id == p.ID
	if own.block() {
		if d, err := f.PartByGUID(p.Boot.Block.ID()); err == nil && d != nil && d.Filesystem() != nil {
			s.tried = slices.Contains(d.Filesystem().Env, boot.TriedVariable+"="+p.ID)
		}
		return s.next(), nil
	}
	b, err := readFile(root, own.Env)
	if err != nil || b == nil {
		return s.next(), err
	}
	env, err := boot.ParseGrubenv(b)
	if err != nil {
		return plan.NextBoot{}, err
	}
	tried, _ := env.Get(boot.TriedVariable)
	s.tried = tried == p.ID
	return s.next(), nil
}
