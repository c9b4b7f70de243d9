package stage

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"migrate-init/pkg/conf"
	"migrate-init/pkg/fstab"
	"migrate-init/pkg/loader"
	"migrate-init/pkg/plan"
)

// byUUID helps where something names a device of the old system in a way that rewrite does not know.
const byUUID = "name the filesystem by UUID there"

// fault is the answer to an error about a subject, whose name the error may begin with. Joined errors are several answers.
func fault(subject, fix string, err error) (out plan.Findings) {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		out = append(out, plan.Refusal(subject, fix, "%s", strings.TrimPrefix(line, subject+": ")))
	}
	return out
}

// fstab resolves every line: none may name the old system, and every new filesystem has its line.
func (pr *prover) fstab() (out plan.Findings) {
	const file, fix = "file /etc/fstab", "correct the line"
	b, err := pr.read("/etc/fstab")
	if err != nil {
		return fault(file, fix, err)
	}
	t, err := fstab.Parse(b)
	if err != nil {
		return fault(file, fix, err)
	}
	seen := map[string]string{}
	for _, x := range t.Entries() {
		if n := oldNode(pr.p, x.Spec); n != nil {
			out = append(out, plan.Refusal(file, byUUID, "line %d still names %s of the old system, by %s", x.Line, n.Ref.ID(), x.Spec))
		}
		if m := x.Spec.Meaning(); m.Kind == fstab.UUID && !x.IsBind() {
			seen[path.Clean(x.File)] = m.Value
		}
	}
	for _, n := range pr.p.Target.Places() {
		if seen[n.Dir] != n.Node.Ref.ID() {
			out = append(out, plan.Refusal(file, byUUID, "%s is %q, planned %s", n.Dir, seen[n.Dir], n.Node.Ref.ID()))
		}
	}
	return out
}

// leftovers searches what programs made of those settings for names of the old system.
func (pr *prover) leftovers() plan.Findings {
	return pr.searchAll(func(x text) bool { return x.by == byProgram })
}

// settings searches the texts from which boot entries and the initrds are made.
func (pr *prover) settings() plan.Findings {
	return pr.searchAll(func(x text) bool { return x.by != byProgram })
}

func (pr *prover) searchAll(want func(text) bool) (out plan.Findings) {
	for _, x := range texts(pr.loader, pr.sys) {
		if want(x) {
			out = append(out, pr.search(x.Setting)...)
		}
	}
	return out
}

// search finds names of the old system in the files of a pattern. Comments may tell history.
func (pr *prover) search(x loader.Setting) (out plan.Findings) {
	uncommented := conf.Uncommented
	if x.Lines {
		uncommented = conf.UncommentedLines
	}
	names, err := glob(pr.root, x.Pattern)
	if err != nil {
		return fault("files "+x.Pattern, "", err)
	}
	for _, n := range names {
		st, err := pr.stat(n)
		if errors.Is(err, fs.ErrNotExist) || err == nil && (st.IsDir() || x.Scripts && st.Mode().Perm()&0o111 == 0) {
			continue // a link that leads nowhere, a directory, a script that is never run: nothing reads it
		}
		if b, ok := pr.over["/"+n]; ok && b == nil {
			continue
		}
		b, err := pr.read("/" + n)
		if err != nil {
			out = append(out, fault("file /"+n, "", err)...)
			continue
		}
		if x.Others != nil {
			b = x.Others(b)
		}
		if id := oldIdentity(pr.p, uncommented(b)); id != "" {
			out = append(out, plan.Refusal("file /"+n, byUUID, "still names %s of the old system", id))
		}
	}
	return out
}
