package main

import (
	"context"
	"flag"
	"fmt"

	"migrate-init/pkg/copy"
)

// Groups of commands, by what a person wants to do, in the order of the help.
const (
	groupLook    = "Look"
	groupPlan    = "Plan"
	groupImage   = "Make the image"
	groupMigrate = "Migrate"
	groupAfter   = "After the migration"
	groupBack    = "Go back"
	groupCopy    = "Copy without a migration"
	groupHelp    = "Help"
)

func groups() []string {
	return []string{groupLook, groupPlan, groupImage, groupMigrate, groupAfter, groupBack, groupCopy, groupHelp}
}

func verbs() []verb {
	asJSON := func(fs *flag.FlagSet, o *options) { fs.BoolVar(&o.json, "json", false, "print JSON") }
	dry := func(fs *flag.FlagSet, o *options) {
		fs.BoolVar(&o.dryRun, "dry-run", false, "print each action, and the diffs of files, and change nothing")
	}
	above := func(fs *flag.FlagSet, o *options) {
		fs.StringVar(&o.rehearseIn, "rehearse-in", "", "the rehearsal writes into this `DIR`, on a filesystem that is not moved, and not into memory; it is removed again")
	}
	onePlan := []string{"PLAN"}
	return []verb{
		{groupLook, "inspect", "", "describe this machine on one page", nil, asJSON, cmdInspect},
		{groupLook, "status", "", "show what happened, from the journal, and what to do next", nil, asJSON, cmdStatus},
		{groupLook, "report", "", "print the journal in full; or read the report of a failure from a console's log", nil, func(fs *flag.FlagSet, o *options) {
			fs.StringVar(&o.decode, "decode", "", "read the report that a failed migration printed, from a captured log of its console, `FILE`; - is standard input")
			asJSON(fs, o)
		}, cmdReport},
		{groupPlan, "plan", "--to raid1 --disk DEV", "make a plan, and show it on one screen", nil, func(fs *flag.FlagSet, o *options) {
			fs.StringVar(&o.to, "to", "", "the new layout, `LAYOUT`: raid1")
			fs.Var(&o.disks, "disk", "the new disk, `DEV`; may be repeated")
			fs.Var(&o.wipe, "wipe", "a new disk, `DEV`, whose contents may be destroyed; may be repeated")
			fs.Var(&o.leave, "leave", "leave behind this partition of the old disk, `DEV` (finish erases it); may be repeated")
			fs.StringVar(&o.engine, "engine", "", "copy every filesystem by this `ENGINE`: tree or extent; by default the plan chooses for each")
			fs.StringVar(&o.metadata, "metadata", "", "md metadata `VERSION`: 1.2 (default), 1.1 or 1.0")
			fs.StringVar(&o.onFailure, "on-failure", "", "what a failed migration ends in, `ACTION`: reboot (default), shell or poweroff")
			fs.BoolVar(&o.explain, "explain", false, "explain the plan in full: each stage, how to go back, what is never done, how long it takes")
			fs.StringVar(&o.output, "o", "plan.toml", "write the plan to this `FILE`")
			dry(fs, o)
			asJSON(fs, o)
		}, cmdPlan},
		{groupPlan, "check", "PLAN", "check a plan against this machine, read-only", onePlan, func(fs *flag.FlagSet, o *options) {
			fs.BoolVar(&o.all, "all", false, "also list the checks that passed, with what they saw")
			fs.BoolVar(&o.files, "files", false, "also look at every file for what a copy file by file would not keep; takes as long as the disk needs")
			fs.BoolVar(&o.rehearse, "rehearse", false, "also make and prove the new system's initrds, in an overlay of this system in memory, as schedule does")
			above(fs, o)
			asJSON(fs, o)
		}, cmdCheck},
		{groupImage, "build", "PLAN", "build the initramfs that migrates", onePlan, func(fs *flag.FlagSet, o *options) {
			fs.StringVar(&o.output, "o", "migrate.img", "write the image to this `FILE`")
			fs.BoolVar(&o.list, "list", false, "list what would be inside, and why, and write nothing")
			fs.BoolVar(&o.dryRun, "dry-run", false, "make the image in memory, print what would be written, and write nothing")
		}, cmdBuild},
		{groupMigrate, "schedule", "PLAN", "install kernel, image and a boot entry that runs once, at the next reboot", onePlan, func(fs *flag.FlagSet, o *options) {
			fs.StringVar(&o.image, "image", "migrate.img", "the image `FILE` that build made")
			fs.BoolVar(&o.skipRehearsal, "skip-rehearsal", false, "do not make and prove the new system's initrds now; they are made during the migration, which takes a minute or more longer and may fail there")
			above(fs, o)
			dry(fs, o)
		}, cmdSchedule},
		{groupAfter, "confirm", "", "mark this boot of the migrated system as good (a systemd unit runs this)", nil, dry, cmdConfirm},
		{groupAfter, "finish", "", "make the old disk a mirror of the new one; this destroys the old system", nil, func(fs *flag.FlagSet, o *options) {
			fs.BoolVar(&o.discard, "discard-changes", false, "lose what was changed on the old disk since the copy")
			dry(fs, o)
		}, cmdFinish},
		{groupBack, "cancel", "", "undo schedule: restore the boot loader's files exactly", nil, dry, cmdCancel},
		{groupBack, "rollback", "", "make the old system the default again (until finish)", nil, dry, cmdRollback},
		{groupCopy, "copy", "SRC DST", "copy a directory tree or a device's filesystem, and verify the copy", []string{"SRC", "DST"}, func(fs *flag.FlagSet, o *options) {
			fs.StringVar(&o.engine, "engine", "tree", "`ENGINE`: tree copies file by file, between directories; extent copies the used blocks of ext2, ext3, ext4 or xfs, between devices that are not mounted")
			fs.Var(&o.wipe, "wipe", "extent: the target `DEV`, if what is on it may be destroyed")
			fs.BoolVar(&o.keepUUID, "keep-uuid", false, "extent: keep the source's UUID, label and size; by default the copy gets a new UUID, no label, and the size of its device")
			fs.BoolVar(&o.noGrow, "no-grow", false, "extent: keep the source's size")
			fs.StringVar(&o.label, "label", "", "extent: give the copy this label, `TEXT`; the source's own would be ambiguous if both stay in one machine")
			fs.StringVar(&o.readError, "read-error", policyStop, "what to do when something cannot be read, `POLICY`: stop; or skip-and-list: copy everything else, list what is missing, and exit with code 3")
			fs.StringVar(&o.diskKind, "disk-kind", copy.DiskAuto, "tree: what the disks are, `KIND`: heads (one reader, in the order of the disk) or flash (many readers); auto measures both disks with a few dozen reads")
			fs.BoolVar(&o.dryRun, "dry-run", false, "look for what could not be kept, and copy nothing (tries what the target can hold, in a directory that it removes)")
			fs.DurationVar(&o.checkpoint, "checkpoint", 0, "save progress every `DURATION`, such as 2s, so that a power cut costs no more; by default every 0.5 to 5 seconds")
			fs.BoolVar(&o.json, "json", false, "print the result as JSON, and progress to stderr as lines of JSON, each beginning with {")
		}, cmdCopy},
		{groupHelp, "help", "[COMMAND]", "show this help, or a command's options", nil, nil, nil},
		{groupHelp, "version", "", "print the version", nil, nil, func(_ context.Context, c *call) error {
			fmt.Fprintln(c.out, "migrate-init", version)
			return nil
		}},
	}
}
