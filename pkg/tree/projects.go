package tree

import "golang.org/x/sys/unix"

// projects is what the walk learns of project ids. Until Linux 6.17 no call tells those of what cannot be opened (symlinks,
// devices, fifos, sockets), and ext4's are not told later either: they read as 0 on both sides, so Verify could not see it.
type projects struct {
	used        bool
	told        map[uint32]bool // by file type: asked once
	untold      int64
	insideCount int64    // of them, in directories of a project, which they got an id from
	inside      []string // the first few of those
}

// tellsProject asks whether the project id of what cannot be opened can be read.
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
		s.find("tree.project", Loss, path(), "mkfs.xfs, or mkfs.ext4 -O project,quota", "project id %d, and the target's %s has none", id, c.FS)
	case !m.isReg() && !m.isDir() && !c.ProjectSpecial:
		s.find("tree.project", Loss, path(), "an xfs target under Linux 6.17, or "+recreateFix, "project id %d of what is no file and no directory, which this kernel cannot set on %s", id, c.FS)
	}
}

const recreateFix = "make them again on the target: in a directory with chattr +P they get its project id"

// lookUntold counts what has perhaps a project id that no one can read.
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

// wholeProjects runs when no one walks any more.
func (s *scanner) wholeProjects() {
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
		"the kernel does not tell the project ids of %d symlinks and special files, %d of them in directories of a project; the copies have none", p.untold, p.insideCount)
	s.found[id].Count, s.found[id].Paths = n, p.inside
}
