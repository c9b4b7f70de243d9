package main

import (
	"context"
	"flag"
	"fmt"

	"migrate-init/pkg/copy"
	"migrate-init/pkg/plan"
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
		fs.BoolVar(&o.dryRun, "dry-run", false, "print each action and the diffs of files, and change nothing")
	}
	above := func(fs *flag.FlagSet, o *options) {
		fs.StringVar(&o.rehearseIn, "rehearse-in", "", "let the rehearsal write below `DIR` instead of into memory (it removes what it wrote); an absolute path on a filesystem that is not moved")
	}
	onePlan := []string{"PLAN"}
	return []verb{
		{groupLook, "inspect", "", "describe this machine on one page", nil, asJSON, cmdInspect},
		{groupLook, "status", "", "show what happened, what the next boot enters, and what to do next", nil, asJSON, cmdStatus},
		{groupLook, "report", "", "print the journal in full, or read a failure report from a console log", nil, func(fs *flag.FlagSet, o *options) {
			fs.StringVar(&o.decode, "decode", "", "read the report that a failed migration printed, from `FILE`, a captured log of its console; - is standard input")
			asJSON(fs, o)
		}, cmdReport},
		{groupPlan, "plan", "--to LAYOUT --disk DEV...", "make a plan, and show it on one screen", nil, func(fs *flag.FlagSet, o *options) {
			fs.StringVar(&o.to, "to", "", "the new `LAYOUT`: "+plan.Layouts())
			fs.Var(&o.disks, "disk", "the new disk `DEV`; may be repeated")
			fs.StringVar(&o.old, "old", "", "`CHOICE` of what finish does with the old disks: join (they become members of the new arrays) or keep (they are not touched); the default is keep for raid1 on two or more new disks, and join otherwise")
			fs.Var(&o.wipe, "wipe", "allow the contents of the new disk `DEV` to be destroyed; may be repeated")
			fs.Var(&o.types, "fs", "make the new filesystem at MOUNT one of another type, `MOUNT=TYPE` (such as /data=xfs); it is copied by files; may be repeated")
			fs.BoolVar(&o.leaveSnapshots, "leave-snapshots", false, "leave the snapshots of a btrfs that fstab does not mount behind (finish erases them)")
			fs.Var(&o.leave, "leave", "leave the partition `DEV` of the old disk behind (finish erases it); may be repeated")
			fs.Var(&o.keys, "unlock", "open the encrypted container on a device with a key file, `DEV=FILE`, which goes into the image; without it the image asks for a passphrase at every console; may be repeated")
			fs.StringVar(&o.engine, "engine", "", "copy every filesystem with this `ENGINE`: tree (file by file) or extent (used blocks); by default the plan chooses for each")
			fs.StringVar(&o.metadata, "metadata", "", "md metadata `VERSION`: 1.2 (default), 1.1 or 1.0")
			fs.StringVar(&o.onFailure, "on-failure", "", "the `ACTION` after a failed migration: reboot (the default, into the old system), shell or poweroff")
			fs.BoolVar(&o.explain, "explain", false, "explain the plan in full: each stage, how to go back, what is never done, how long it takes")
			fs.StringVar(&o.output, "o", "plan.toml", "write the plan to this `FILE`")
			dry(fs, o)
			asJSON(fs, o)
		}, cmdPlan},
		{groupPlan, "check", "PLAN", "check a plan against this machine, read-only", onePlan, func(fs *flag.FlagSet, o *options) {
			fs.BoolVar(&o.all, "all", false, "also list the checks that passed, with what they saw")
			fs.BoolVar(&o.files, "files", false, "also look at every file for what a copy file by file would lose; takes as long as the disk needs")
			fs.BoolVar(&o.rehearse, "rehearse", false, "also make and prove the new system's initrds, as schedule does, in an overlay of this system in memory")
			above(fs, o)
			asJSON(fs, o)
		}, cmdCheck},
		{groupImage, "build", "PLAN", "build the initramfs that carries out the migration", onePlan, func(fs *flag.FlagSet, o *options) {
			fs.StringVar(&o.output, "o", "migrate.img", "write the image to this `FILE`")
			fs.BoolVar(&o.list, "list", false, "list what the image would contain, and why, and write nothing")
			fs.BoolVar(&o.dryRun, "dry-run", false, "make the image in memory, print what would be written, and write nothing")
		}, cmdBuild},
		{groupMigrate, "schedule", "PLAN", "make the new initrds, and add a boot entry that runs the migration once", onePlan, func(fs *flag.FlagSet, o *options) {
			fs.StringVar(&o.image, "image", "migrate.img", "the image `FILE` that build made")
			fs.BoolVar(&o.skipRehearsal, "skip-rehearsal", false, "do not make and prove the new system's initrds now, but during the migration, which then takes a minute or more longer and may fail there")
			above(fs, o)
			dry(fs, o)
		}, cmdSchedule},
		{groupAfter, "confirm", "", "mark this boot of the migrated system as good (a systemd unit runs this)", nil, dry, cmdConfirm},
		{groupAfter, "finish", "", "make the arrays whole; an old disk that joins them loses the old system", nil, func(fs *flag.FlagSet, o *options) {
			fs.StringVar(&o.syncSpeed, "sync-speed", "", "rebuild at least at `RATE` a second (50M, 1G, or max), even if that slows other programs down; the kernel's limits are restored at the end")
			fs.BoolVar(&o.discard, "discard-changes", false, "go on even if files on the old disk changed since the copy; the changes are lost")
			dry(fs, o)
		}, cmdFinish},
		{groupBack, "cancel", "", "undo schedule: restore the boot loader's files exactly", nil, dry, cmdCancel},
		{groupBack, "rollback", "", "make the old system the default again (until finish)", nil, dry, cmdRollback},
		{groupCopy, "copy", "SRC DST", "copy a directory tree, or the filesystem on a device, and verify the copy", []string{"SRC", "DST"}, func(fs *flag.FlagSet, o *options) {
			fs.StringVar(&o.engine, "engine", "tree", "the `ENGINE`: tree copies file by file, between directories; extent copies the used blocks of ext2, ext3, ext4 or xfs, between devices that are not mounted")
			fs.Var(&o.wipe, "wipe", "extent: allow the contents of the target `DEV` to be destroyed")
			fs.BoolVar(&o.keepUUID, "keep-uuid", false, "extent: keep the source's UUID, label and size; by default the copy gets a new UUID, no label, and the size of its device")
			fs.BoolVar(&o.noGrow, "no-grow", false, "extent: keep the source's size")
			fs.StringVar(&o.label, "label", "", "extent: give the copy the label `TEXT`; by default it has none, since two filesystems with one label are ambiguous")
			fs.StringVar(&o.readError, "read-error", policyStop, "the `POLICY` when something cannot be read: stop; or skip-and-list: copy everything else, list what is missing, and exit with code 3")
			fs.StringVar(&o.diskKind, "disk-kind", copy.DiskAuto, "tree: the `KIND` of disks: heads (one reader, in the order of the disk), flash (many readers), or auto (measure both disks with a few dozen reads)")
			fs.BoolVar(&o.dryRun, "dry-run", false, "look for what the copy could not keep, and copy nothing; with tree, tries out what the target can hold, in a directory that it removes")
			fs.DurationVar(&o.checkpoint, "checkpoint", 0, "save progress every `DURATION`, such as 2s, so that a power cut costs no more than that; by default every 0.5 to 5 seconds")
			fs.BoolVar(&o.json, "json", false, "print the result as JSON; progress goes to stderr, as lines of JSON that begin with {")
		}, cmdCopy},
		{groupHelp, "help", "[COMMAND]", "show this help, or a command's options", nil, nil, nil},
		{groupHelp, "version", "", "print the version", nil, nil, func(_ context.Context, c *call) error {
			fmt.Fprintln(c.out, "migrate-init", version)
			return nil
		}},
	}
}
