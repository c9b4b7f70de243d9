package loader

import "migrate-init/pkg/plan"

// standing is what decides which system the next boot enters, where the old boot loader asks for files on the new system.
type standing struct {
	migrated  bool // the new system runs, else the old one
	oldDisk   bool // the old system's filesystem with its boot loader is there
	newDisk   bool // so is the volume with the commit
	armed     bool // the migration is chosen for the next boot
	asks      bool // the old boot loader has the lines that ask
	defers    bool // the new system's boot loader has those that ask the old one
	committed bool
	confirmed bool
	tried     bool // the old boot loader has started the new system once
	first     bool // the new system was entered by the migration itself: no boot loader has started it in this boot
}

// next is the rule that both boot loaders follow, told from the running system. What the running system cannot see is said
// as a condition: nothing is promised that the boot loader may not do.
func (s standing) next() plan.NextBoot {
	if !s.migrated {
		return s.fromOld()
	}
	var out plan.NextBoot
	switch {
	case s.committed && s.confirmed:
		return plan.NextBoot{System: plan.NextNew, Text: "this system, whichever disk the firmware starts"}
	case !s.oldDisk:
		return plan.NextBoot{System: plan.NextNew, Text: "this system, because the old disk is not here; once it is connected, its boot loader decides"}
	case s.committed && s.first:
		out = plan.NextBoot{System: plan.NextNew, Text: "this system, once more at most, and then the old one, unless this one is confirmed: migrate-init confirm"}
	case s.committed:
		out = plan.NextBoot{System: plan.NextOpen, Text: "the old system, if its boot loader has started this one already; migrate-init confirm makes it this one"}
	default:
		out = plan.NextBoot{System: plan.NextOld, Text: "the old system, whichever disk the firmware starts"}
	}
	if !s.defers {
		out = plan.NextBoot{System: plan.NextOpen, Text: out.Text + "; but this one where the firmware starts the new disk: the lines in its custom.cfg that ask the old disk are gone or changed"}
		if !s.committed {
			out.Text = "the old system where the firmware starts the old disk, and this one where it starts the new disk: the lines in its custom.cfg that ask the old disk are gone or changed"
		}
	}
	return out
}

func (s standing) fromOld() plan.NextBoot {
	switch {
	case s.armed:
		return plan.NextBoot{System: plan.NextMigration, Text: "the migration, once"}
	case !s.committed || !s.asks:
		return plan.NextBoot{System: plan.NextOld, Text: "this system"}
	case !s.newDisk:
		return plan.NextBoot{System: plan.NextOld, Text: "this system, because the new disk is not here"}
	case s.tried:
		return plan.NextBoot{System: plan.NextOpen, Text: "this system, unless the migrated one was confirmed: then that one"}
	}
	return plan.NextBoot{System: plan.NextOpen, Text: "the migrated system, once, unless it was rolled back: then this one"}
}
