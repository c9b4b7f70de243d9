package stage

import "migrate-init/pkg/plan"

// What each stage does, for people: one sentence without its end.

func textReveal(p *plan.Plan, _ *plan.Facts) string {
	return p.OldDisks() + " is locked read-only in the kernel, every disk of the plan is found by its identity, and the layers that are there already are started"
}

func textCheck(*plan.Plan, *plan.Facts) string {
	return "all facts are compared with the plan; any drift ends here, with nothing written"
}

func textPrepare(p *plan.Plan, f *plan.Facts) string {
	return p.NewTargets() + " gets its partition table, degraded arrays, new filesystems and swap" + p.WipeText(f)
}

func textCopy(p *plan.Plan, f *plan.Facts) string {
	return "each filesystem is read without replaying its journal and copied whole, by itself: " + p.CopyText(f)
}

func textVerify(*plan.Plan, *plan.Facts) string {
	return "the copy is read back from the disk and compared: data, metadata, counts; one difference stops the migration and names the file"
}

func textRewrite(*plan.Plan, *plan.Facts) string {
	return "in the copy only: fstab, crypttab, mdadm.conf, the resume device, the boot loader's settings and install devices"
}

func textRebuild(p *plan.Plan, _ *plan.Facts) string {
	return "in the copy only: each initramfs and the boot menu that schedule made and proved are installed, or made again by the copy's own tools if something changed since; " +
		"the boot loader on " + p.NewTargets()
}

func textProve(*plan.Plan, *plan.Facts) string {
	return "every initramfs is opened, every boot file searched for old UUIDs, the boot sector read; a doubt stops the migration before the commit"
}

func textCommit(p *plan.Plan, _ *plan.Facts) string {
	return "one rename of one file on the new " + p.Boot.Mount + "; the old boot loader looks for that file and then starts the new system by default"
}

func textHandover(*plan.Plan, *plan.Facts) string {
	return "the new system starts at once, without a second reboot"
}

func textConfirm(*plan.Plan, *plan.Facts) string {
	return "a systemd unit in the new system confirms the first successful boot; otherwise the next boot returns to the old system"
}

func textReview(p *plan.Plan, _ *plan.Facts) string {
	return "this must be the migrated system, its boot loader complete, and " + p.OldDisks() + " as it was copied"
}

func textTakeover(p *plan.Plan, _ *plan.Facts) string {
	return "the boot sector of " + p.OldDisks() + " is switched to the new system; from here on there is no way back"
}

func textRepartition(p *plan.Plan, _ *plan.Facts) string {
	return p.OldDisks() + " loses what it held and gets its new partition table"
}

func textJoin(*plan.Plan, *plan.Facts) string { return "its partitions join the arrays" }

func textResync(*plan.Plan, *plan.Facts) string { return "finish waits until every array is whole" }

func textInstall(p *plan.Plan, _ *plan.Facts) string {
	return "the boot loader is installed on " + p.OldDisks() + " and read back"
}

func textClean(*plan.Plan, *plan.Facts) string {
	return "what the migration left behind is removed, and the boot menu is written again"
}
