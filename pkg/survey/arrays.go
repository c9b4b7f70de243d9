package survey

import (
	"errors"
	"fmt"
	"io/fs"

	"migrate-init/pkg/md"
	"migrate-init/pkg/plan"
)

// arrays joins the superblocks seen with the arrays that run.
func (l *looker) arrays() {
	sys, err := fs.Sub(l.w.Root, "sys")
	if err != nil {
		l.problem("/sys", err)
		return
	}
	for _, d := range l.f.Devices {
		if d.Kind != plan.KindArray {
			continue
		}
		st, err := md.ReadSysfs(sys, d.Name)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				l.ofDevice("", d.Path, err)
			}
			continue
		}
		if a := l.running(st); a != nil {
			a.Node, a.State, a.Degraded = d.Name, st.State, st.Degraded
			left(a, st)
			a.Sync, a.SyncDone, a.SyncAll, a.SyncRate = st.SyncAction, int64(st.Sync.Done)*sector, int64(st.Sync.Size)*sector, st.Sync.Rate
			a.SpeedMin, a.SpeedMax = st.SpeedMin.Rate, st.SpeedMax.Rate
		}
	}
}

// running finds which of the arrays seen on disk a running one is: by UUID where sysfs tells it (newer kernels), else by
// its members and the place of their superblocks, since a member may still carry that of an older array elsewhere.
func (l *looker) running(st md.Status) *plan.Array {
	if !st.Running() {
		return nil
	}
	if a := l.f.Array(st.UUID.String()); a != nil && st.UUID != (md.UUID{}) {
		return a // of metadata 0.90 the kernel prints the words in another order: no match is no verdict
	}
	for i := range l.f.Arrays {
		a := &l.f.Arrays[i]
		if st.Version != "" && st.Version != a.Metadata {
			continue
		}
		for _, m := range a.Members {
			for _, x := range st.Members {
				if x.Name == m.Device {
					return a
				}
			}
		}
	}
	return nil
}

// left notes which devices with an array's superblock the running array does not have, or has given up. Their event counts are
// evidence only: those of the others grow while they are read.
func left(a *plan.Array, st md.Status) {
	in := map[string]md.MemberStatus{}
	var events uint64
	for _, x := range st.Members {
		in[x.Name] = x
	}
	if len(in) == 0 {
		return // sysfs shows none of them: nothing is known
	}
	for _, m := range a.Members {
		if x, ok := in[m.Device]; ok && !x.Has("faulty") {
			events = max(events, m.Events)
		}
	}
	for i := range a.Members {
		m := &a.Members[i]
		switch x, ok := in[m.Device]; {
		case !ok && m.Events < events:
			m.Stale = fmt.Sprintf("event count %d, the running array is at %d", m.Events, events)
		case !ok:
			m.Stale = "not in the running array"
		case x.Has("faulty"):
			m.Stale = "the kernel calls it faulty"
		}
	}
}

// stale notes which members of an array that does not run are behind the others, and why. Of one that runs the kernel
// knows.
func (l *looker) stale() {
	for _, set := range md.Group(l.supers) {
		a := l.f.Array(set.UUID.String())
		if a == nil || a.Node != "" {
			continue
		}
		for _, v := range set.Fresh().Stale {
			for i := range a.Members {
				if a.Members[i].Device == v.Member.Device {
					a.Members[i].Stale = v.Reason
				}
			}
		}
	}
}
