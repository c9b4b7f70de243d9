package tree

import "golang.org/x/sys/unix"

// projects collects what the walk finds out about project ids. Before Linux 6.17 the kernel does not report those of objects
// that cannot be opened (symlinks, devices, fifos, sockets), and on ext4 it never does. They read as 0 on both sides, so Verify
// could not detect the loss.
type projects struct {
	used        bool
	told        map[uint32]bool // by file type: whether ids can be read; asked once
	untold      int64           // objects whose id cannot be read
	insideCount int64           // those of them in directories with a project id, which they inherited
	inside      []string        // the first few of those
}

// tellsProject reports whether the kernel reports the project id of o, which cannot be opened.
func (o object) tellsProject() bool {
	var a fileAttr
	return o.fileAttr(unix.SYS_FILE_GETATTR, &a)
}

func (s *scanner) lookProject(path func() string, m *meta) {
	id := m.fsx.projid
	if id == 0 && m.flags&flProjinherit == 0 {
		return
	}
	s.mu.Lock()
	s.projects.used = true
	s.mu.Unlock()
	switch c := &s.caps; {
	case id == 0:
	case !c.Project:
		s.find("tree.project", Loss, path(), "mkfs.xfs, or mkfs.ext4 -O project,quota", "project id %d, but the target's %s does not support project ids", id, c.FS)
	case !m.isReg() && !m.isDir() && !c.ProjectSpecial:
		s.find("tree.project", Loss, path(), "an xfs target under Linux 6.17, or "+recreateFix, "project id %d on something that is neither a file nor a directory, which this kernel cannot set on %s", id, c.FS)
	}
}

const recreateFix = "create them again on the target: in a directory with chattr +P they inherit its project id"

// lookUntold counts objects that may have a project id that cannot be read.
func (s *scanner) lookUntold(d *dir, o object, m *meta) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &s.projects
	told, asked := p.told[m.typ()]
	if !asked {
		if p.told == nil {
			p.told = map[uint32]bool{}
		}
		told = s.tellsProject(o)
		p.told[m.typ()] = told
	}
	if told {
		return
	}
	p.untold++
	if d.meta.fsx.projid == 0 {
		return
	}
	p.insideCount++
	if len(p.inside) < findingPaths {
		p.inside = append(p.inside, d.path(o.name))
	}
}

// addProjectFinding adds the finding about project ids that cannot be read. The walk must have ended.
func (s *scanner) addProjectFinding() {
	p := &s.projects
	if !p.used || p.untold == 0 {
		return
	}
	sev, n := Loss, p.insideCount
	if n == 0 {
		sev, n = Info, p.untold
	}
	const id = "tree.projectunread"
	s.find(id, sev, "", "copy by blocks (engine extent), an xfs source under Linux 6.17, or "+recreateFix,
		"the kernel does not report the project ids of %d symlinks and special files, %d of them in directories with a project id; the copies have none", p.untold, p.insideCount)
	s.found[id].Count, s.found[id].Paths = n, p.inside
}
