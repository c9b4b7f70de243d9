package stage

import "migrate-init/pkg/plan"

// What each stage does, for people: one sentence without its end.

func textReveal(p *plan.Plan, _ *plan.Facts) string {
	return p.OldDisks() + " is locked read-only in the kernel, every disk of the plan is found by its identity, and existing layers (arrays, encrypted containers, volumes) are started" + semicolon(p.OverlayText()) +
		"; the journal of a filesystem that was not unmounted cleanly is replayed in memory"
}

func semicolon(s string) string {
	if s == "" {
		return ""
	}
	return "; " + s
}

func textCheck(*plan.Plan, *plan.Facts) string {
	return "this machine is compared with the plan; any difference ends the migration here, with nothing written"
}

func textPrepare(p *plan.Plan, f *plan.Facts) string {
	return p.NewTargets() + " gets its partition table, degraded arrays, new filesystems and swap" + p.WipeText(f)
}

func textCopy(p *plan.Plan, f *plan.Facts) string {
	return "each filesystem is read without a write to its disk, and copied completely: " + p.CopyText(f)
}

func textVerify(*plan.Plan, *plan.Facts) string {
	return "the copy is read back from the disk and compared (data, metadata, counts); a single difference stops the migration and names the file"
}

func textRewrite(*plan.Plan, *plan.Facts) string {
	return "in the copy only: fstab, crypttab, mdadm.conf, the resume device, the boot loader's settings and install devices"
}

func textRebuild(p *plan.Plan, _ *plan.Facts) string {
	return "in the copy only: each initramfs and the boot menu that schedule made and proved are installed, or made again by the copy's own tools if something changed since; " +
		"the boot loader on " + p.NewTargets()
}

func textProve(*plan.Plan, *plan.Facts) string {
	return "every initramfs is opened, every boot file is searched for old UUIDs, the boot sector is read; any doubt stops the migration before the commit"
}

func textCommit(p *plan.Plan, _ *plan.Facts) string {
	return "one file is renamed on the new " + p.Boot.Mount + "; when the old boot loader finds that file, it starts the new system by default"
}

func textHandover(*plan.Plan, *plan.Facts) string {
	return "the new system starts at once, without a second reboot"
}

func textConfirm(*plan.Plan, *plan.Facts) string {
	return "a systemd unit in the new system confirms the first successful boot; otherwise the next boot returns to the old system"
}

func textReview(p *plan.Plan, _ *plan.Facts) string {
	old := p.OldJoining()
	if old == "" {
		return "this must be the migrated system with a complete boot loader"
	}
	return "this must be the migrated system with a complete boot loader, and " + old + " must be as it was copied"
}

func textTakeover(p *plan.Plan, _ *plan.Facts) string {
	if p.OldJoining() == "" {
		return "no old disk joins: " + p.OldDisks() + " is not touched"
	}
	return "the boot sector of " + p.OldJoining() + " is switched to the new system; after this there is no way back"
}

func textRepartition(p *plan.Plan, _ *plan.Facts) string {
	if p.OldJoining() == "" {
		return "no disk gets another partition table"
	}
	return p.OldJoining() + " loses its contents and gets its new partition table"
}

func textJoin(p *plan.Plan, _ *plan.Facts) string {
	if p.Joining() == "" {
		return "nothing joins: every array has all its members"
	}
	return "the partitions of " + p.Joining() + " join the arrays"
}

func textResync(*plan.Plan, *plan.Facts) string { return "finish waits until every array is whole" }

func textInstall(p *plan.Plan, _ *plan.Facts) string {
	if p.OldJoining() == "" {
		return "every new disk has its boot loader already"
	}
	return "the boot loader is installed on " + p.OldJoining() + " and read back"
}

func textClean(*plan.Plan, *plan.Facts) string {
	return "the files of the migration are removed, and the boot menu is written again"
}
