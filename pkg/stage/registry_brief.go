package stage

import "migrate-init/pkg/plan"

// What each stage does, on one line of a screen.

func briefReveal(p *plan.Plan, _ *plan.Facts) string {
	return "find the planned disks by identity; lock " + p.OldDisks() + " read-only" + semicolon(p.OverlayText())
}

func briefCheck(*plan.Plan, *plan.Facts) string {
	return "compare this machine with the plan; any difference ends here"
}

func briefPrepare(p *plan.Plan, f *plan.Facts) string {
	return "partitions, arrays and filesystems on " + p.NewTargets() + p.WipeText(f)
}

func briefCopy(p *plan.Plan, f *plan.Facts) string { return p.CopyBrief(f) }

func briefVerify(*plan.Plan, *plan.Facts) string {
	return "read the copy back from the disk and compare it"
}

func briefRewrite(*plan.Plan, *plan.Facts) string {
	return "fstab, mdadm.conf and boot settings, in the copy only"
}

func briefRebuild(p *plan.Plan, _ *plan.Facts) string {
	return "install what schedule made; the boot loader on " + p.NewTargets()
}

func briefProve(*plan.Plan, *plan.Facts) string {
	return "inspect every initramfs and boot file of the copy"
}

func briefCommit(*plan.Plan, *plan.Facts) string {
	return "rename one file: the new system is now the default"
}

func briefHandover(*plan.Plan, *plan.Facts) string {
	return "start the new system, without a second reboot"
}

func briefConfirm(*plan.Plan, *plan.Facts) string {
	return "the first good boot keeps it, otherwise back to the old system"
}

func briefReview(p *plan.Plan, _ *plan.Facts) string {
	return "check the new system, its boot loader, and " + p.OldDisks()
}

func briefTakeover(p *plan.Plan, _ *plan.Facts) string {
	return "the boot sector of " + p.OldDisks() + " starts the new system; no way back"
}

func briefRepartition(p *plan.Plan, _ *plan.Facts) string {
	return "new partition table on " + p.OldDisks() + "; its contents are lost"
}

func briefJoin(p *plan.Plan, _ *plan.Facts) string {
	return "the partitions of " + p.OldDisks() + " join the arrays"
}

func briefResync(*plan.Plan, *plan.Facts) string { return "wait until every array is whole" }

func briefInstall(p *plan.Plan, _ *plan.Facts) string { return "the boot loader on " + p.OldDisks() }

func briefClean(*plan.Plan, *plan.Facts) string {
	return "remove the migration's leftovers, write the boot menu again"
}
