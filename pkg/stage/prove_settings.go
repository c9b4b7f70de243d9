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
	for _, n := range pr.p.Target.Filesystems() {
		if seen[n.FS.Mount] != n.Ref.ID() {
			out = append(out, plan.Refusal(file, byUUID, "%s is %q, planned %s", n.FS.Mount, seen[n.FS.Mount], n.Ref.ID()))
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

// confirms shows that the unit which confirms the new system can run the program that is left for it. Where it cannot,
// the old boot loader would go back to the old system after one more boot, unseen.
func (pr *prover) confirms() plan.Findings {
	if _, err := pr.stat(path.Dir(ConfirmUnit)); err != nil {
		return nil
	}
	const file = "file /etc/fstab"
	b, err := pr.read("/etc/fstab")
	if err != nil {
		return nil // asked already
	}
	t, err := fstab.Parse(b)
	if err != nil {
		return nil
	}
	var on fstab.Entry
	for _, x := range t.Entries() {
		dir := path.Clean(x.File)
		if path.IsAbs(dir) && (dir == "/" || dir == StateDir || strings.HasPrefix(StateDir, dir+"/")) && len(dir) >= len(path.Clean(on.File)) {
			on = x
		}
	}
	if on.Options.Has("noexec") {
		return plan.Findings{plan.Refusal(file, "take noexec out of that line until finish",
			"line %d: %s is mounted noexec, so the new system could not confirm itself with the program in %s, and the old one would come back", on.Line, on.File, StateDir)}
	}
	return pr.reached()
}

// reached warns where the system does not come to the target that wants the unit.
func (pr *prover) reached() plan.Findings {
	const fix = "run `migrate-init confirm` once the new system is up"
	if st, err := pr.files().Lstat(ConfirmUnit); err == nil && st.Mode()&fs.ModeSymlink != 0 {
		return plan.Findings{plan.Warning("file "+ConfirmUnit, "rm "+ConfirmUnit, "it is a link: the unit that confirms the new system is masked, and the old one would come back")}
	}
	for _, name := range []string{"/etc/systemd/system/default.target", "/usr/lib/systemd/system/default.target", "/lib/systemd/system/default.target"} {
		at, err := throughLinks(pr.root, name)
		if err != nil {
			continue
		}
		if _, err := pr.stat(name); err != nil {
			continue
		}
		if base := path.Base(at); base != "multi-user.target" && base != "graphical.target" && base != "default.target" {
			return plan.Findings{plan.Warning("file "+name, fix, "the system starts %s, which does not start the unit that confirms the new system; unconfirmed, it is tried once, and the old one comes back", base)}
		}
		break
	}
	return nil
}
