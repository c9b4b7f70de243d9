package stage

import (
	"io/fs"
	"path"
	"strings"

	"migrate-init/pkg/fstab"
	"migrate-init/pkg/plan"
)

// confirms shows that the unit which confirms the new system can run the program that is left for it, and that the program
// finds the commit and can write beside it. Where it cannot, the old boot loader would go back to the old system after one
// more boot, unseen.
func (pr *prover) confirms() (out plan.Findings) {
	b, err := pr.read("/etc/fstab")
	if err != nil {
		return nil // asked already
	}
	t, err := fstab.Parse(b)
	if err != nil {
		return nil
	}
	refuse := func(on fstab.Entry, option, format string, args ...any) {
		out = append(out, plan.Refusal("file /etc/fstab", "take "+option+" out of that line until finish", "line %d: %s is mounted "+option+", so the new system "+format+", and the old one would come back",
			append([]any{on.Line, on.File}, args...)...))
	}
	// Without the unit people confirm, and they too need the commit's filesystem.
	marks := covering(t, path.Join(pr.p.Boot.Mount, "x"))
	switch {
	case marks.Options.Has("ro") && !marks.Options.Has("rw"):
		refuse(marks, "ro", "could not mark itself as good there")
	case marks.Options.Has("noauto") && !marks.Options.Has("x-systemd.automount"):
		refuse(marks, "noauto", "would not find its commit there, and not confirm itself")
	}
	if _, err := pr.stat(path.Dir(ConfirmUnit)); err != nil {
		return out
	}
	if on := covering(t, StateDir); on.Options.Has("noexec") {
		refuse(on, "noexec", "could not confirm itself with the program in %s", StateDir)
	}
	return append(out, pr.reached()...)
}

// covering is the line of fstab whose filesystem holds a path.
func covering(t fstab.File, name string) (on fstab.Entry) {
	for _, x := range t.Entries() {
		dir := path.Clean(x.File)
		if path.IsAbs(dir) && (dir == "/" || dir == name || strings.HasPrefix(name, dir+"/")) && len(dir) >= len(path.Clean(on.File)) {
			on = x
		}
	}
	return on
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
