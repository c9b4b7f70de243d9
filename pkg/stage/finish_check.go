package stage

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"migrate-init/pkg/plan"
)

// Rollbackable refuses once an old disk does not boot the old system any more. A finish that refused before that has
// changed nothing.
func Rollbackable(p *plan.Plan, rs Records) error {
	if len(p.LaterDisks()) == 0 && rs.Begun(clean) {
		return fmt.Errorf("new system: `finish` has made it independent of the old disk; the old system is still on %s: start that disk by the firmware's boot menu", p.OldDisks())
	}
	for _, n := range p.LaterDisks() {
		if rs.Begun(partOf(takeover, n)) || rs.Begun(partOf(repartition, n)) {
			return errors.New("old system: `finish` has begun to take its disk, so there is no old system to go back to; `migrate-init finish` continues")
		}
	}
	return nil
}

// Finishable refuses unless this is the migrated system and the old disk is as it was copied.
func Finishable(p *plan.Plan, f *plan.Facts, rs Records, discard bool) error {
	var out plan.Findings
	refuse := func(noun, fix, format string, args ...any) {
		out = append(out, plan.Finding{ID: "finish", Severity: plan.Refuse, Subject: noun, Detail: fmt.Sprintf(format, args...), Fix: fix})
	}
	if f.Machine.UID != 0 {
		refuse("user", "run it as root", "uid is %d", f.Machine.UID)
	}
	root, options := "", ""
	for _, m := range f.Mounts {
		if d := f.Dev(m.Device); m.Target == "/" && d != nil && d.Filesystem() != nil {
			root, options = d.Filesystem().UUID, m.Options
		}
	}
	if root != p.Boot.Root {
		refuse("running system", "boot the migrated system first", "it does not run from the new array: its root is filesystem %s, planned %s", orDash(root), p.Boot.Root)
	}
	if !rs.Done("commit") {
		refuse("journal", "boot the migrated system first", "it has no commit")
	}
	// The old disk holds the only other copy: it is not given up for one that is in doubt.
	if root == p.Boot.Root && slices.Contains(strings.Split(options, ","), "ro") {
		refuse("running system", "look for errors of the new disk in dmesg; if there are none: mount -o remount,rw /", "its root is mounted read-only")
	}
	for _, n := range p.Target.Arrays() {
		if a := f.Array(n.Ref.ID()); root == p.Boot.Root && (a == nil || a.Node == "") {
			refuse("array "+n.MD.Name, "mdadm --assemble --scan, and look at what is on it", "%s does not run", n.Ref.ID())
		}
	}
	const keep = "copy what you want to keep of it, then pass --discard-changes"
	whole := map[plan.Ref]bool{} // the old disks that finish has not begun to change
	for _, n := range p.Source.Disks() {
		if p.Final.Node(n.Ref) == nil {
			continue // it stays as it is, and may be gone
		}
		d, err := f.Disk(n)
		if err != nil {
			refuse("old disk "+n.Was, "", "%v", err)
			continue
		}
		if d == nil {
			refuse("old disk "+n.Was, "connect it", "no disk with %s was found", n.Identity())
			continue
		}
		final, begun := p.Final.Node(n.Ref), rs.Begun(partOf(repartition, n))
		// A table that was cut short while it was written is none, or the new one by its second copy.
		if d.Table != nil && final != nil && strings.EqualFold(d.Table.ID, final.Disk.Table) || d.Table == nil && begun {
			continue
		}
		if had := tableID(d); !strings.EqualFold(had, n.Disk.Table) {
			refuse("old disk "+d.Path, "look at what is on it; finish does not touch a repartitioned disk", "its partition table is no longer %s", orDash(n.Disk.Table))
			continue
		}
		for _, x := range inUse(f, d) {
			refuse("old disk "+d.Path, "umount, swapoff or stop what uses it", "%s is in use: %s", x.Path, strings.Join(append(x.MountedAt, x.Holders...), ", "))
		}
		if begun {
			continue
		}
		whole[n.Ref] = true
		for _, s := range unknownContents(p, f, d) {
			if !discard {
				refuse("old disk "+d.Path, keep, "%s: it was created after the copy", s)
			}
		}
	}
	for _, s := range p.Source.Filesystems() {
		if !slices.ContainsFunc(p.Source.DisksUnder(s.Ref), func(n *plan.Node) bool { return p.Final.Node(n.Ref) != nil }) {
			continue
		}
		d, err := f.FS(s.Ref.ID())
		at, verr := f.Volume(p, s.Lower())
		was := rs.Fact("stamp:" + s.Ref.ID())
		whole := !slices.ContainsFunc(p.Source.DisksUnder(s.Ref), func(n *plan.Node) bool { return !whole[n.Ref] })
		switch {
		case err != nil || verr != nil:
			refuse("old filesystem "+s.Ref.ID(), "", "%v", errors.Join(err, verr))
		case discard:
		case whole && at == nil && stopped(p, f, s):
			for _, x := range stale(p, f, rs, s) {
				refuse(x.Subject, x.Fix, "%s", x.Detail)
			}
		case whole && (d == nil || d != at):
			refuse("old filesystem "+s.Ref.ID(), keep, "it is no longer on its partition %s, so what is there now was created after the copy", s.Lower().ID())
		case d != nil && was != "" && d.Filesystem().Stamp != was:
			refuse("old filesystem "+d.Path, "copy what is new in it, then run finish with --discard-changes", "it changed since it was copied: then %s, now %s", was, d.Filesystem().Stamp)
		}
	}
	return out.Err()
}
