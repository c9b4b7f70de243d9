package boot

import (
	"errors"
	"fmt"
	"strings"
)

// DeferralSpec is what the new system's custom.cfg is told until finish. Paths are as GRUB sees them.
type DeferralSpec struct {
	PlanID    string
	OldFS     string   // UUID of the filesystem that holds OldPrefix
	OldPrefix string   // the old GRUB's directory there: /boot/grub
	Modules   []string // that read it
	// Loaded are modules that the old menu needs. They are loaded before prefix leads to the old disk, so that they are those of
	// the GRUB that runs.
	Loaded []string
}

// deferredVariable is exported to the old system's grub.cfg.
const deferredVariable = "migrate_init_deferred"

// returnTimeout is how long, in seconds, the new menu waits when the old one was left or was empty.
const returnTimeout = "60"

// GRUBDeferral renders what makes the new system's GRUB ask the old one's, markers included. It is the mirror image of
// GRUBSnippet: the firmware may try the new disk first, and one side has to decide which system is started.
//
//  1. Where the old system's grub.cfg can be read, it is loaded at once, before any menu is shown. It consumes next_entry,
//     and its custom.cfg decides, as if the firmware had started the old disk. GRUB writes to the old environment block
//     only: it cannot write to an array.
//  2. A grub.cfg that the old one handed over to (the snippet's variable) boots its own entries: no loop.
//  3. Without the old disk, or its grub.cfg, the new menu is booted.
//  4. Who leaves the old menu by Esc comes back here, and has a minute in which the new menu waits. An old grub.cfg without
//     a single entry comes back, too, and so the wait has an end.
func GRUBDeferral(s DeferralSpec) ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("grub deferral: %w", err)
	}
	const old, root, prefix = "migrate_init_old", "migrate_init_root", "migrate_init_prefix"
	dir := `"(${` + old + `})` + s.OldPrefix
	w := snippetWriter{}
	w.line(0, deferral.begin()+s.PlanID)
	w.line(0, "# Written by migrate-init: while the old disk is there, its boot loader decides which system is started.")
	w.line(0, "# migrate-init finish removes exactly these lines.")
	w.line(0, `if [ "${`+handedVariable+`}" != "`+s.PlanID+`" -a "${`+deferredVariable+`}" != "`+s.PlanID+`" ]; then`)
	w.insmod(1, s.Modules)
	w.line(1, "if search --no-floppy --fs-uuid --set="+old+" "+w.word(s.OldFS)+"; then")
	w.line(2, "if [ -s "+dir+`/grub.cfg" ]; then`)
	w.insmod(3, s.Loaded)
	w.line(3, "set "+root+`="${root}"`)
	w.line(3, "set "+prefix+`="${prefix}"`)
	w.line(3, "set "+deferredVariable+"="+w.word(s.PlanID))
	w.line(3, "export "+deferredVariable)
	w.line(3, `set root="${`+old+`}"`)
	w.line(3, "set prefix="+dir+`"`)
	w.line(3, "configfile "+dir+`/grub.cfg"`)
	w.line(3, `set root="${`+root+`}"`)
	w.line(3, `set prefix="${`+prefix+`}"`)
	w.line(3, "set timeout_style=menu")
	w.line(3, "set timeout="+returnTimeout)
	w.line(2, "fi")
	w.line(1, "fi")
	w.line(0, "fi")
	w.line(0, deferral.end()+s.PlanID)
	if w.err != nil {
		return nil, fmt.Errorf("grub deferral: %w", w.err)
	}
	return []byte(w.b.String()), nil
}

func (s DeferralSpec) check() error {
	if !ValidPlanID(s.PlanID) {
		return fmt.Errorf("plan id %q: 1 to 64 letters, digits, dots, dashes or underscores expected", clip(s.PlanID))
	}
	if s.OldFS == "" {
		return errors.New("filesystem UUID of the old boot loader: empty")
	}
	// The path stands between double quotes.
	if !strings.HasPrefix(s.OldPrefix, "/") || strings.ContainsAny(s.OldPrefix, "\"\\$`\n") {
		return fmt.Errorf("old prefix %q: a path from the root of its filesystem expected", clip(s.OldPrefix))
	}
	return checkModules(append(append([]string{}, s.Modules...), s.Loaded...))
}

// InsertDeferral appends what GRUBDeferral made to a custom.cfg (nil for none).
func InsertDeferral(existing, block []byte) ([]byte, error) { return deferral.insert(existing, block) }

// RemoveDeferral takes the deferral out, by the rules of RemoveSnippet.
func RemoveDeferral(existing []byte) (rest []byte, found bool, err error) {
	return deferral.remove(existing)
}

// FindDeferral returns the deferral in a custom.cfg, nil when there is none.
func FindDeferral(existing []byte) ([]byte, error) {
	start, end, _, err := deferral.find(existing)
	if err != nil || end == 0 {
		return nil, err
	}
	return []byte(strings.Replace(string(existing[start:end]), joined+"\n", "\n", 1)), nil
}
