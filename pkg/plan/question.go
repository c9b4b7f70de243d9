package plan

import (
	"cmp"
	"fmt"
	"io/fs"
	"path"
)

// Question is asked of an installed system before it is moved, and of the copy before it is committed. Rooms that plan
// does not import have tables of them: each boot loader, generator and family its own.
type Question struct {
	ID   string // stable: scripts read it
	When Moment
	OK   string                      // what was seen when there is nothing to object to
	Ask  func(in Installed) Findings // ids are filled in; no finding means that all is well
}

// Installed is an installed system as a question sees it.
type Installed struct {
	Files
	Plan   *Plan
	When   Moment
	Facts  *Facts          // nil where the machine was not looked at
	Proved map[string]bool // by absolute path, kernels that are known to boot, and their initrds; nil when none was looked at
	Say    func(string)
	// Run runs a program of the system that only reads, and returns what it prints; stdin is what it reads. Nil: no
	// program may be run, and what only a program can tell is not asked.
	Run func(stdin []byte, argv ...string) ([]byte, error)
	// Old is the file as it is, before anything was rewritten; nil when it does not exist.
	Old func(name string) []byte
	// Renamed replaces the UUIDs of the old system's filesystems in a text by those of the new one's, and Params every
	// name of their devices in kernel parameters.
	Renamed func(b []byte) []byte
	Params  func(v string) string
	// Path are the directories in which its programs are looked for.
	Path []string
	// Free is the room, in bytes, of the filesystem that holds a directory; negative where it is not known. Nil: not asked.
	Free func(dir string) int64
}

// Files reads an installed system. Names are paths in it, and symbolic links stay inside it.
type Files struct {
	Read  func(name string) ([]byte, error)
	Stat  func(name string) (fs.FileInfo, error)
	Lstat func(name string) (fs.FileInfo, error) // the last component is not followed
	Place func(name string) (string, error)      // where it is, with every link followed, the last one too
	Glob  func(pattern string) ([]string, error)
}

// Refusal is the answer that forbids to go on.
func Refusal(subject, fix, format string, args ...any) Finding {
	return Finding{Severity: Refuse, Subject: subject, Detail: fmt.Sprintf(format, args...), Fix: fix}
}

// Warning is an answer that people should know, with its consequence.
func Warning(subject, fix, format string, args ...any) Finding {
	return Finding{Severity: Warn, Subject: subject, Detail: fmt.Sprintf(format, args...), Fix: fix}
}

// AskAll asks those questions whose moment it is, in their order; each answers, at least with an OK.
func AskAll(questions []Question, in Installed) Findings {
	var out Findings
	for _, q := range questions {
		if q.When&in.When == 0 {
			continue
		}
		a := &answers{id: q.ID}
		for _, x := range q.Ask(in) {
			a.id = cmp.Or(x.ID, q.ID) // a question that has several parts names the part
			a.add(x.Severity, x.Subject, x.Fix, "%s", x.Detail)
		}
		if len(a.out) == 0 {
			a.ok(orElse(q.OK, "no objection"))
		}
		out = append(out, a.out...)
	}
	return out
}

// NoProgram answers for those programs of a package that the system cannot run. One that is a link to another program does
// something else: systems are seen on which /bin/true stands for what must not run there.
func (in Installed) NoProgram(pkg string, names ...string) (out Findings) {
	for _, name := range names {
		found := ""
		for _, dir := range in.Path {
			if st, err := in.Stat(path.Join(dir, name)); err == nil && st.Mode().IsRegular() && st.Mode().Perm()&0o111 != 0 {
				found = path.Join(dir, name)
				break
			}
		}
		at := ""
		if found != "" {
			at, _ = in.Place(found)
		}
		switch base := path.Base(at); {
		case found == "":
			out = append(out, Refusal("program "+name, in.Reinstall(pkg), "it is missing, or not executable; the new system is made with it"))
		case base == "true" || base == "false":
			out = append(out, Refusal("program "+name, "rm "+found+" && "+in.Reinstall(pkg), "it is a link to %s, and does nothing; the new system is made with it", at))
		}
	}
	return out
}

// Reinstall is the command that installs packages again.
func (in Installed) Reinstall(packages ...string) string {
	if in.Facts == nil {
		return command("", "reinstall the package PACKAGES", packages)
	}
	return in.Facts.Rules.Family(in.Plan.Machine.Family).ReinstallCommand(packages...)
}
