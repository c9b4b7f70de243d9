package plan

import (
	"path"
	"slices"
	"strings"
)

// option reports whether a comma-separated list of mount options has one.
func option(list, name string) bool { return slices.Contains(strings.Split(list, ","), name) }

// optional reports whether a boot goes on when the line's device is not there.
func (e *Fstab) optional() bool { return option(e.Options, "nofail") || option(e.Options, "noauto") }

// use says what a line is for.
func (e *Fstab) use() string {
	if e.Type == SwapType {
		return "has it as swap"
	}
	return "mounts it at " + e.Target
}

func (e *Fstab) bind() bool { return option(e.Options, "bind") || option(e.Options, "rbind") }

// line finds the fstab line of a device; two are refused.
func (b *builder) line(p *Device) *Fstab {
	var tab *Fstab
	for i := range b.f.Fstab {
		e := &b.f.Fstab[i]
		if e.Device != p.Name || e.bind() {
			continue
		}
		if fs := p.Filesystem(); tab != nil && fs != nil && !FSTypeOf(fs.Type).Movable {
			break // its type is refused, and may well have a line for each subvolume
		}
		if fs := p.Filesystem(); tab != nil && fs != nil && FSTypeOf(fs.Type).Part != "" {
			continue // each mounts a part of it
		}
		if tab != nil {
			b.refuse(p.noun(), "keep one line for it, and use bind mounts for the rest", "two lines of fstab name it: %s at %s and %s at %s", tab.Spec, tab.Target, e.Spec, e.Target)
			break
		}
		tab = e
	}
	return tab
}

// unresolved reports whether fstab has a line for a name that resolved to nothing.
func (b *builder) unresolved(n Name) bool {
	return slices.ContainsFunc(b.f.Fstab, func(e Fstab) bool { return e.Device == "" && e.Name == n })
}

func fstabWords(e *Fstab) string {
	if e == nil {
		return "no line in fstab"
	}
	return "fstab has " + e.Spec + " at " + e.Target
}

// sameTargets refuses two lines of fstab for one mount point, where one of them moves.
func (b *builder) sameTargets() {
	for _, s := range b.srcs {
		if s.node.FS == nil {
			continue
		}
		for _, x := range s.node.FS.Places() {
			b.sameTarget(x.Dir)
		}
	}
}

func (b *builder) sameTarget(mount string) {
	var specs []string
	for _, e := range b.f.Fstab {
		if path.IsAbs(e.Target) && path.Clean(e.Target) == mount {
			specs = append(specs, e.Spec)
		}
	}
	if len(specs) > 1 {
		b.refuse("mount point "+mount, "keep one line for it in /etc/fstab", "fstab mounts %s there", strings.Join(specs, " and "))
	}
}
