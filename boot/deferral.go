package boot

import (
	"errors"
	"fmt"
	"strings"
)

// DeferralSpec describes the block in the new system's custom.cfg until finish. Paths are as GRUB sees them.
type DeferralSpec struct {
	PlanID    string
	OldFS     string   // UUID of the filesystem that holds OldPrefix
	OldPrefix string   // the old GRUB's directory there: /boot/grub
	Modules   []string // GRUB modules that read that filesystem
	Hints     []string // where to look for it first, as GRUB names volumes
	// Loaded are GRUB modules that the old menu needs. They are loaded before prefix points to the old disk, so that
	// they match the GRUB that is running.
	Loaded []string
}

// deferredVariable is exported to the old system's grub.cfg, and has the plan id as its value.
const deferredVariable = "migrate_init_deferred"

// returnTimeout is how long, in seconds, the new menu waits if the user left the old one, or if it was empty.
const returnTimeout = "60"

// GRUBDeferral renders the block, markers included, that makes the new system's GRUB defer to the old system's. It is
// the counterpart of [GRUBSnippet]: the firmware may try the new disk first, and one side has to decide which system
// starts.
//
//  1. If the old system's grub.cfg can be read, it is loaded at once, before any menu is shown. It consumes next_entry,
//     and its custom.cfg decides, as if the firmware had started the old disk. GRUB writes only to the old environment
//     block, because it cannot write to an array.
//  2. If the old grub.cfg handed over to the new one (the snippet's variable), the new one boots its own entries, so
//     that there is no loop.
//  3. Without the old disk, or without its grub.cfg, the new menu boots.
//  4. A user who leaves the old menu with Esc returns here, where the new menu waits for a minute. An old grub.cfg
//     without entries returns here too, so the wait must end.
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
	w.line(1, "if "+w.search(old, s.Hints, s.OldFS)+"; then")
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
	// The path is written between double quotes.
	if !strings.HasPrefix(s.OldPrefix, "/") || strings.ContainsAny(s.OldPrefix, "\"\\$`\n") {
		return fmt.Errorf("old prefix %q: a path from the root of its filesystem expected", clip(s.OldPrefix))
	}
	return errors.Join(checkModules(append(append([]string{}, s.Modules...), s.Loaded...)), checkHints(s.Hints))
}

// InsertDeferral appends a block by [GRUBDeferral] to a custom.cfg (nil for none).
func InsertDeferral(existing, block []byte) ([]byte, error) { return deferral.insert(existing, block) }

// RemoveDeferral removes the deferral, by the rules of [RemoveSnippet].
func RemoveDeferral(existing []byte) (rest []byte, found bool, err error) {
	return deferral.remove(existing)
}

// FindDeferral returns the deferral in a custom.cfg, or nil if there is none.
func FindDeferral(existing []byte) ([]byte, error) {
	start, end, _, err := deferral.find(existing)
	if err != nil || end == 0 {
		return nil, err
	}
	return []byte(strings.Replace(string(existing[start:end]), joined+"\n", "\n", 1)), nil
}
