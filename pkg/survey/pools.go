package survey

import (
	"io/fs"
	"path"
	"slices"
	"strings"

	"migrate-init/pkg/kmod"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/probe"
	"migrate-init/pkg/zfs"
)

// poolLabel is a ZFS label as facts have it.
func poolLabel(m *probe.ZFSMember) *plan.PoolLabel {
	l := &plan.PoolLabel{Pool: m.Pool, PoolGUID: m.PoolGUID, GUID: m.VdevGUID, TXG: m.TXG, State: m.State, Comment: m.Comment, Host: m.HostName, Type: m.TopType, Labels: m.Labels}
	if m.HostID != 0 {
		l.HostID = zfs.FormatHostID(m.HostID)
	}
	for _, c := range m.Children {
		l.Children = append(l.Children, c.GUID)
	}
	return l
}

// pools joins the labels that were read, and asks the kernel which pools are imported.
func (l *looker) pools() {
	newest := map[string]*plan.PoolLabel{} // by the pool's GUID
	for i := range l.f.Devices {
		d := &l.f.Devices[i]
		for _, c := range d.Contents {
			if c.Pool == nil || c.Ghost || c.Pool.PoolGUID == "" || c.Pool.State == "spare" || c.Pool.State == "l2cache" || l.ofPartition(d, c.Pool) {
				continue
			}
			x := c.Pool
			i := slices.IndexFunc(l.f.Pools, func(p plan.StoragePool) bool { return p.GUID == x.PoolGUID })
			if i < 0 {
				i = len(l.f.Pools)
				l.f.Pools = append(l.f.Pools, plan.StoragePool{GUID: x.PoolGUID})
			}
			p := &l.f.Pools[i]
			if was := newest[x.PoolGUID]; was == nil || x.TXG > was.TXG {
				newest[x.PoolGUID] = x
				p.Name, p.Comment, p.TXG, p.State, p.HostID, p.Host = x.Pool, x.Comment, x.TXG, x.State, x.HostID, x.Host
			}
			p.Members = append(p.Members, plan.PoolMember{Device: d.Name, GUID: x.GUID, Tail: !slices.ContainsFunc(x.Labels, func(n int) bool { return n < 2 })})
		}
	}
	for i := range l.f.Pools {
		p := &l.f.Pools[i]
		for _, guid := range newest[p.GUID].Children {
			if !slices.ContainsFunc(p.Members, func(m plan.PoolMember) bool { return m.GUID == guid }) {
				p.Missing = append(p.Missing, guid)
			}
		}
		p.Imported = l.imported(p)
	}
}

// ofPartition reports whether a label of a whole disk is that of its last partition, which ends near the disk's end: the places of
// the last two labels are counted from there, and may be the same.
func (l *looker) ofPartition(d *plan.Device, x *plan.PoolLabel) bool {
	return d.Kind == plan.KindDisk && slices.ContainsFunc(l.f.Parts(d.Name), func(p *plan.Device) bool {
		return slices.ContainsFunc(p.Contents, func(c plan.Content) bool { return c.Pool != nil && c.Pool.GUID == x.GUID })
	})
}

// imported is the state of a pool in the running kernel, "" where it is not imported. Newer versions tell its GUID there. For others
// the name decides, and among pools of one name a label that calls it active; one may still say "exported" for a moment after the import.
func (l *looker) imported(p *plan.StoragePool) string {
	if p.Name == "" || !fs.ValidPath(p.Name) || strings.Contains(p.Name, "/") {
		return ""
	}
	dir := path.Join("proc/spl/kstat/zfs", p.Name)
	state := l.attr(dir, "state")
	if guid := l.attr(dir, "guid"); state == "" || guid != "" && guid != p.GUID {
		return ""
	}
	others := slices.ContainsFunc(l.f.Pools, func(o plan.StoragePool) bool { return o.Name == p.Name && o.GUID != p.GUID })
	if l.attr(dir, "guid") == "" && others && p.State != "active" {
		return ""
	}
	return state
}

// pooling looks at what the running system has of ZFS.
func (l *looker) pooling() {
	p := &l.f.Pooling
	p.Loaded = l.exists("sys/module/zfs")
	lockdown := l.attr("sys/kernel/security/lockdown")
	p.Signed = l.attr("sys/module/module/parameters/sig_enforce") == "Y" || lockdown != "" && !strings.Contains(lockdown, "[none]")
	b, err := l.bytes(strings.TrimPrefix(zfs.HostIDPath, "/"))
	if err != nil {
		return // it may well be absent
	}
	n, err := zfs.HostID(b)
	l.problem(zfs.HostIDPath, err)
	if err == nil && n != 0 {
		p.HostID = zfs.FormatHostID(n)
	}
}

// zfsOf is the version of the module zfs that a kernel would load, "" where there is none.
func (l *looker) zfsOf(release string) string {
	dir := path.Join("lib/modules", release)
	name := ""
	for line := range strings.Lines(l.text(path.Join(dir, "modules.dep"))) {
		at, _, found := strings.Cut(line, ":")
		if base, _, _ := strings.Cut(path.Base(at), "."); found && base == "zfs" && fs.ValidPath(at) {
			name = at
		}
	}
	if name == "" {
		return ""
	}
	at := path.Join(dir, name)
	b, err := l.bytes(at)
	if err == nil {
		b, err = kmod.Decompress(name, b)
	}
	if err != nil {
		l.problem("/"+at, err)
		return ""
	}
	info, err := kmod.ReadInfo(b)
	l.problem("/"+at, err)
	switch {
	case err != nil:
		return ""
	case info.Release() != release:
		l.note("/"+at, "was built for kernel "+info.Release())
		return ""
	case info.Version == "":
		return "unknown"
	}
	return info.Version
}
