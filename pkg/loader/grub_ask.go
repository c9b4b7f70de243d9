package loader

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"migrate-init/boot"
	"migrate-init/pkg/conf"
	"migrate-init/pkg/plan"
)

// grubQuestions are those of a system that GRUB boots. What the old GRUB has to do for a commit is asked here too: it reads
// custom.cfg at every boot, and a commit that it does not see brings the old system back.
func grubQuestions() []plan.Question {
	const live = plan.Planning | plan.Live
	return []plan.Question{
		{ID: "boot-loader.place", When: live, OK: "no symbolic link leads away from GRUB's directory", Ask: grubAskPlace},
		{ID: "boot-loader.modules", When: live, OK: "GRUB has the modules that the hand-over needs", Ask: grubAskOldModules},
		{ID: "boot-loader.programs", When: live, OK: "GRUB's programs and files are installed", Ask: grubAskPrograms},
		{ID: "boot-loader.environment", When: live, OK: "GRUB's environment block has room for what schedule writes", Ask: grubAskEnv},
		{ID: "boot-loader.custom", When: live, OK: "GRUB reads what schedule adds to custom.cfg", Ask: grubAskCustom},
		{ID: "boot-menu.settings", When: live, OK: "GRUB's settings suit the new system", Ask: grubAskSettings},
		{ID: "boot-menu.default", When: live | plan.Proving, OK: "the boot menu's default starts a kernel of this system with its root", Ask: grubAskMenu},
		{ID: "boot-loader.old-disk", When: plan.Proving, OK: "the new disk's GRUB asks the old disk's which system to start", Ask: grubAskDeferral},
		{ID: "boot-loader.new-modules", When: plan.Proving, OK: "GRUB's modules on the new system are complete", Ask: grubAskModules},
	}
}

// grubAskPlace refuses links on the way to GRUB's own files. grub-install writes the place that they lead to into the core
// image, and the two GRUBs are told the planned one; an environment block behind a link is on another filesystem, or is
// replaced by a file when it is written.
func grubAskPlace(in plan.Installed) (out plan.Findings) {
	s, err := grubSettingsOf(in.Plan)
	if err != nil {
		return grubFault("boot loader", "", err)
	}
	link := func(name string) bool {
		st, err := in.Lstat(name)
		return err == nil && st.Mode()&fs.ModeSymlink != 0
	}
	for _, dir := range []string{path.Dir(s.Dir), s.Dir} {
		if link(dir) {
			at, _ := in.Place(dir)
			out = append(out, plan.Refusal("directory "+dir, "rm "+dir+" && mv "+at+" "+dir+" && "+grubInstallOld(in.Plan)+" && update-grub",
				"it is a symbolic link to %s: the new boot loader would look for its files there, and the plan's proof finds another place", at))
		}
	}
	for _, name := range []string{s.Env, s.Custom} {
		if name != "" && link(name) {
			at, _ := in.Place(name)
			out = append(out, plan.Refusal("file "+name, "cp --remove-destination "+at+" "+name, "it is a symbolic link to %s; GRUB, which schedule writes for, may not follow it", at))
		}
	}
	return out
}

// grubAskEnv asks whether the environment block holds what schedule writes, and what the old GRUB writes when it tries the
// new system.
func grubAskEnv(in plan.Installed) plan.Findings {
	s, err := grubSettingsOf(in.Plan)
	if err != nil {
		return grubFault("boot loader", "", err)
	}
	if s.block() {
		return nil // there is nothing else in the block on the target
	}
	b := in.Old(s.Env)
	if b == nil {
		return nil // refused by the survey's facts
	}
	env, err := boot.ParseGrubenv(b)
	for _, kv := range [][2]string{{"next_entry", boot.MigrateEntryID(in.Plan.ID)}, {boot.TriedVariable, in.Plan.ID}} {
		if err == nil {
			err = env.Set(kv[0], kv[1])
		}
	}
	if err != nil {
		return grubFault("file "+s.Env, "grub-editenv "+s.Env+" create", err)
	}
	return nil
}

// grubAskPrograms asks for what rebuild runs, and for what grub-install makes the core image of.
func grubAskPrograms(in plan.Installed) plan.Findings {
	out := in.NoProgram("grub2-common", "grub-install", "update-grub")
	out = append(out, in.NoProgram("grub-common", "grub-mkconfig", "grub-probe", "grub-script-check")...)
	dir := "/usr/lib/grub/" + grubTarget
	for _, f := range append([]string{"boot.img", "diskboot.img", "kernel.img", "lzma_decompress.img", "moddep.lst", "normal.mod", "linux.mod", "biosdisk.mod"}, grubModFiles(in.Plan)...) {
		if st, err := in.Stat(path.Join(dir, f)); err != nil || st.Size() == 0 {
			out = append(out, plan.Refusal("directory "+dir, in.Reinstall("grub-pc-bin"), "%s is missing: grub-install cannot make the new disk boot", f))
			break
		}
	}
	if b, err := in.Read("/usr/sbin/grub-mkconfig"); err == nil && !strings.Contains(string(b), "default/grub.d") {
		out = append(out, plan.Refusal("program grub-mkconfig", in.Reinstall("grub-common"), "it does not read %s, so the settings that keep the old system out of the new menu have no effect", path.Dir(grubDropIn)))
	}
	return out
}

func grubModFiles(p *plan.Plan) (out []string) {
	for _, m := range grubModules(p) {
		out = append(out, m+".mod")
	}
	return out
}

// grubAskCustom asks whether the old GRUB reaches the lines that are put at the end of custom.cfg, and whether what they
// choose stays chosen.
func grubAskCustom(in plan.Installed) (out plan.Findings) {
	s, err := grubSettingsOf(in.Plan)
	if err != nil {
		return grubFault("boot loader", "", err)
	}
	cfg, err := boot.ParseGRUBConfig(in.Old(path.Join(s.Dir, "grub.cfg")))
	if err == nil && cfg.DefaultLast {
		out = append(out, plan.Refusal("file "+path.Join(s.Dir, "grub.cfg"), "give the script of /etc/grub.d that does it a name before 41_custom, and run update-grub",
			"it sets default after it has read custom.cfg: the commit would be overruled, and the old system would come back"))
	}
	own := in.Old(s.Custom)
	if own == nil {
		return out
	}
	file := "file " + s.Custom
	rest, _, err := boot.RemoveSnippet(own)
	if err != nil {
		return append(out, grubFault(file, "remove the lines of migrate-init there", err)...)
	}
	custom, err := boot.ParseGRUBConfig(rest)
	switch {
	case err != nil:
		out = append(out, grubFault(file, "correct it, until grub-script-check "+s.Custom+" succeeds", err)...)
	case custom.Ends != 0:
		out = append(out, plan.Refusal(file, "remove the line, or put it into a menuentry", "line %d ends the script: GRUB would not read what schedule adds behind it", custom.Ends))
	case in.Run != nil && len(rest) > 0:
		if _, err := in.Run(rest, "grub-script-check"); err != nil {
			out = append(out, plan.Refusal(file, "correct it, until grub-script-check "+s.Custom+" succeeds", "GRUB cannot read it, nor what schedule adds to it: %s", grubWords(err)))
		}
	}
	return out
}

// grubAskSettings reads the settings that no menu shows.
func grubAskSettings(in plan.Installed) (out plan.Findings) {
	answer := func(sev plan.Severity, id, subject, fix, format string, args ...any) {
		x := plan.Warning(subject, fix, format, args...)
		x.ID, x.Severity = id, sev
		out = append(out, x)
	}
	files, err := in.Glob(strings.TrimPrefix(path.Dir(grubDropIn), "/") + "/*.cfg")
	if err != nil {
		return grubFault("directory "+path.Dir(grubDropIn), "", err)
	}
	for _, f := range append([]string{"etc/default/grub"}, files...) {
		b, err := in.Read("/" + f)
		if err != nil || "/"+f == grubDropIn {
			continue
		}
		noun := "file /" + f
		if v, found, err := conf.Get(b, "GRUB_SAVEDEFAULT"); err == nil && found && v == "true" {
			answer(plan.Warn, "boot-menu.savedefault", noun, "remove GRUB_SAVEDEFAULT=true there, and set GRUB_DEFAULT=0",
				"GRUB_SAVEDEFAULT is true, and GRUB cannot write its environment block on an array: each boot of the new system waits at an error, and no choice is saved")
		}
		if "/"+f < grubDropIn {
			continue
		}
		// It is read after our own file.
		if v, found, err := conf.Get(b, "GRUB_DISABLE_OS_PROBER"); errors.Is(err, conf.ErrDynamic) || err == nil && found && v != "true" {
			answer(plan.Refuse, "boot-menu.os-prober", noun, "mv /"+f+" "+path.Join(path.Dir(grubDropIn), "00-"+path.Base(f)),
				"it is read after %s and sets GRUB_DISABLE_OS_PROBER=%s: the old system would be in the new menu", path.Base(grubDropIn), v)
		}
		if _, found, err := conf.Get(b, "GRUB_CMDLINE_LINUX"); err == nil && found {
			answer(plan.Warn, "boot-menu.panic", noun, "mv /"+f+" "+path.Join(path.Dir(grubDropIn), "00-"+path.Base(f)),
				"it is read after %s and sets GRUB_CMDLINE_LINUX without what was there: a kernel panic in the first boot of the new system would not become a reset", path.Base(grubDropIn))
		}
	}
	if st, err := in.Stat("/etc/grub.d/10_linux"); err != nil || st.Mode().Perm()&0o111 == 0 {
		answer(plan.Warn, "boot-menu.scripts", "file /etc/grub.d/10_linux", "chmod +x /etc/grub.d/10_linux", "it is missing or not executable: update-grub writes no entries for the installed kernels")
	}
	return out
}
