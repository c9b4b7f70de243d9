package boot

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// SnippetSpec describes the block in the old system's custom.cfg. Paths are as GRUB sees them: from the root of their
// filesystem. Volumes are as GRUB names them, without parentheses: mduuid/<32 hex digits>, hd0,gpt2.
type SnippetSpec struct {
	PlanID string // letters, digits, dot, dash, underscore

	// The one-shot entry that starts the migration.
	BootFSUUID  string // of the filesystem that holds Kernel and Image
	BootModules []string
	BootHints   []string // where to look for it first, as GRUB names volumes
	Kernel      string
	Image       string
	Cmdline     string // in the kernel's own quoting

	// The hand-over to the new system.
	Modules      []string // GRUB modules that read Volume: part_gpt diskfilter mdraid1x ext2
	Volume       string   // holds NewPrefix, CommittedFile and ConfirmedFile
	Root         string   // the directory there that CommittedFile and ConfirmedFile are in; "" for its root
	NewPrefix    string   // GRUB's directory there: /boot/grub
	CanSaveEnv   bool     // the old GRUB can write its environment block
	Unrestricted bool     // the old grub.cfg sets superusers: entries must start without a password

	// Another environment block, in a filesystem by [BlockFS], which starts the migration while NextVariable is the plan's id.
	BlockFS      string // the filesystem's UUID, "" for none
	BlockModules []string
	BlockHints   []string
}

// Names that the snippet and the stages share.
const (
	CommitDir     = "/migrate-init"      // on SnippetSpec.Volume: CommittedFile and ConfirmedFile
	TriedVariable = "migrate_init_tried" // in the old grubenv: the plan whose new system was started without confirmation
)

// CommittedFile returns the path of the file on SnippetSpec.Volume whose existence is the commit. Its name contains the
// plan's id, because the copy of a system that was migrated before contains the file of that plan, which must not
// count.
func CommittedFile(planID string) string { return CommitDir + "/committed-" + planID }

// ConfirmedFile returns the path of the file on SnippetSpec.Volume whose existence means that the new system has run.
func ConfirmedFile(planID string) string { return CommitDir + "/confirmed-" + planID }

// handedVariable is exported to the new system's grub.cfg, and has the plan id as its value.
const handedVariable = "migrate_init_handed"

// MigrateEntryID returns the id of the entry that starts the migration: the value for next_entry.
func MigrateEntryID(planID string) string { return "migrate-init-" + planID }

// newSystemEntryID returns the id of the entry that hands over to the new system.
func newSystemEntryID(planID string) string { return "migrate-init-new-" + planID }

// GRUBSnippet renders the block of custom.cfg that belongs to a plan, markers included, in the script language of GRUB
// 2.02.
//
// The block works in the old GRUB after its grub.cfg has set default and consumed next_entry:
//
//  1. An entry with MigrateEntryID boots the migration; it never becomes the default by itself.
//  2. If CommittedFile and the new grub.cfg can be read, an entry for the new system loads that grub.cfg.
//  3. That entry becomes the default if ConfirmedFile exists too. Without ConfirmedFile it becomes the default once:
//     TriedVariable is first set to the plan id and saved. If it cannot be saved, or was already saved, the old default
//     stays. Without CanSaveEnv it is saved in the block of BlockFS; without that either, it cannot be remembered, and
//     CommittedFile is enough.
//  4. An explicit request (next_entry, which grub.cfg signals with boot_once) always takes precedence over 3 and 7.
//  5. After the hand-over, a copy of the snippet in the new system's custom.cfg does nothing. It would otherwise load
//     its own grub.cfg again and again, up to GRUB's recursion limit. The stage rewrite removes that copy; this covers
//     a copy that it did not remove.
//  6. If one of these entries is the default and fails inside GRUB, the first entry of the menu boots (fallback),
//     because a machine that waits at a menu without a timeout is down.
//  7. If NextVariable in the block of BlockFS is the plan id, it is cleared there. If it is really empty when it is read
//     again, the entry of the migration becomes the default, before 3. A block that cannot be written starts nothing.
func GRUBSnippet(s SnippetSpec) ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("grub snippet: %w", err)
	}
	w := snippetWriter{}
	w.line(0, snippet.begin()+s.PlanID)
	w.line(0, "# Written by migrate-init schedule; migrate-init cancel removes exactly these lines.")
	s.migrateEntry(&w)
	s.blockTest(&w)
	s.commitTest(&w)
	w.line(0, snippet.end()+s.PlanID)
	if w.err != nil {
		return nil, fmt.Errorf("grub snippet: %w", w.err)
	}
	return []byte(w.b.String()), nil
}

func (s SnippetSpec) migrateEntry(w *snippetWriter) {
	args, err := grubKernelArgs(s.Cmdline)
	if err != nil && w.err == nil {
		w.err = err
	}
	s.entry(w, 0, "migrate-init: migrate this system ("+s.PlanID+")", MigrateEntryID(s.PlanID))
	w.insmod(1, s.BootModules)
	w.line(1, w.search("root", s.BootHints, s.BootFSUUID))
	w.line(1, strings.TrimRight("linux "+w.word(s.Kernel)+" "+args, " "))
	w.line(1, "initrd "+w.word(s.Image))
	w.line(0, "}")
}

// blockVariable is where GRUB found the filesystem of the block, "" for nowhere.
const blockVariable = "migrate_init_block"

// blockFile is the block as GRUB is told it.
const blockFile = `"(${` + blockVariable + `})` + BlockFile + `"`

func (s SnippetSpec) blockTest(w *snippetWriter) {
	if s.BlockFS == "" {
		return
	}
	load := "load_env --file " + blockFile + " " + NextVariable
	w.insmod(0, s.BlockModules)
	w.line(0, "set "+blockVariable+"=")
	w.line(0, `if [ "${`+handedVariable+`}" != "`+s.PlanID+`" ]; then`)
	w.line(1, "if "+w.search(blockVariable, s.BlockHints, s.BlockFS)+"; then")
	w.line(2, "if [ -f "+blockFile+" ]; then")
	w.line(3, "set "+NextVariable+"=")
	w.line(3, load)
	w.line(3, `if [ "${`+NextVariable+`}" = "`+s.PlanID+`" ]; then`)
	w.line(4, "set "+NextVariable+"=")
	w.line(4, "if save_env --file "+blockFile+" "+NextVariable+"; then")
	w.line(5, load)
	w.line(5, `if [ -z "${`+NextVariable+`}" -a "${boot_once}" != "true" ]; then`)
	w.line(6, "set default="+w.word(MigrateEntryID(s.PlanID)))
	w.line(5, "fi")
	w.line(4, "fi")
	w.line(3, "fi")
	w.line(2, "fi")
	w.line(1, "fi")
	w.line(0, "fi")
}

// triedOnce makes the new system the default, unless it was started before and not confirmed. A block of ours that is not
// found, or cannot be written, remembers nothing: then the old default stays.
func (s SnippetSpec) triedOnce(w *snippetWriter, depth int, choose func(depth int)) {
	save, load := "save_env "+TriedVariable, ""
	if !s.CanSaveEnv {
		save, load = "save_env --file "+blockFile+" "+TriedVariable, "load_env --file "+blockFile+" "+TriedVariable
	}
	if load != "" {
		w.line(depth, "set "+TriedVariable+"=")
		w.line(depth, load)
	}
	w.line(depth, `if [ "${`+TriedVariable+`}" != "`+s.PlanID+`" ]; then`)
	w.line(depth+1, "set "+TriedVariable+"="+w.word(s.PlanID))
	w.line(depth+1, "if "+save+"; then")
	choose(depth + 2)
	w.line(depth+1, "fi")
	w.line(depth, "fi")
}

func (s SnippetSpec) commitTest(w *snippetWriter) {
	id := newSystemEntryID(s.PlanID)
	prefix := "(" + s.Volume + ")" + s.NewPrefix
	config := prefix + "/grub.cfg"
	choose := func(depth int) { w.line(depth, "set default="+w.word(id)) }

	w.insmod(0, s.Modules)
	w.line(0, `if [ "${`+handedVariable+`}" != "`+s.PlanID+`" -a -f `+w.word("("+s.Volume+")"+path.Join("/", s.Root, CommittedFile(s.PlanID)))+" -a -f "+w.word(config)+" ]; then")
	s.entry(w, 1, "migrate-init: the migrated system ("+s.PlanID+")", id)
	w.insmod(2, s.Modules)
	w.line(2, "set root="+w.word(s.Volume))
	w.line(2, "set prefix="+w.word(prefix))
	w.line(2, "set "+handedVariable+"="+w.word(s.PlanID))
	w.line(2, "export "+handedVariable)
	w.line(2, "configfile "+w.word(config))
	w.line(1, "}")
	w.line(1, `if [ "${boot_once}" != "true" -a "${default}" != "`+MigrateEntryID(s.PlanID)+`" ]; then`)
	if s.CanSaveEnv || s.BlockFS != "" {
		w.line(2, "if [ -f "+w.word("("+s.Volume+")"+path.Join("/", s.Root, ConfirmedFile(s.PlanID)))+" ]; then")
		choose(3)
		w.line(2, "else")
		s.triedOnce(w, 3, choose)
		w.line(2, "fi")
	} else {
		choose(2)
	}
	w.line(1, "fi")
	w.line(0, "fi")
	w.line(0, `if [ "${default}" = "`+MigrateEntryID(s.PlanID)+`" -o "${default}" = "`+id+`" ]; then`)
	w.line(1, `if [ -z "${fallback}" ]; then`)
	w.line(2, "set fallback=0")
	w.line(1, "fi")
	w.line(0, "fi")
}

func (s SnippetSpec) entry(w *snippetWriter, depth int, title, id string) {
	free := ""
	if s.Unrestricted {
		free = "--unrestricted "
	}
	w.line(depth, "menuentry "+w.word(title)+" "+free+"--id "+w.word(id)+" {")
}

func (s SnippetSpec) check() error {
	if !ValidPlanID(s.PlanID) {
		return fmt.Errorf("plan id %q: 1 to 64 letters, digits, dots, dashes or underscores expected", clip(s.PlanID))
	}
	if s.BootFSUUID == "" {
		return errors.New("filesystem UUID of /boot: empty")
	}
	for _, p := range []struct{ name, path string }{{"kernel", s.Kernel}, {"image", s.Image}, {"new prefix", s.NewPrefix}, {"root", path.Join("/", s.Root)}} {
		if !strings.HasPrefix(p.path, "/") {
			return fmt.Errorf("%s %q: a path from the root of its filesystem expected", p.name, clip(p.path))
		}
	}
	if s.Volume == "" {
		return errors.New("volume of the new system: empty")
	}
	if strings.ContainsAny(s.Volume, "()' \t") {
		return fmt.Errorf("volume %q: GRUB's name for it without parentheses expected", clip(s.Volume))
	}
	return errors.Join(checkModules(slices.Concat(s.Modules, s.BootModules, s.BlockModules)), checkHints(slices.Concat(s.BootHints, s.BlockHints)))
}

func checkHints(hints []string) error {
	for _, h := range hints {
		if h == "" || strings.ContainsAny(h, "()' \t\n") {
			return fmt.Errorf("hint %q: GRUB's name of a volume without parentheses expected", clip(h))
		}
	}
	return nil
}

func checkModules(modules []string) error {
	for _, m := range modules {
		if m == "" || strings.Trim(m, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			return fmt.Errorf("grub module name %q: lower-case letters, digits and underscores expected", clip(m))
		}
	}
	return nil
}

// ValidPlanID reports whether a plan id can be used in entry ids, markers and grubenv: 1 to 64 letters, digits, '.',
// '-', '_'.
func ValidPlanID(id string) bool {
	return len(id) >= 1 && len(id) <= 64 &&
		strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") == ""
}

// snippetWriter indents lines and keeps the first quoting error.
type snippetWriter struct {
	b   strings.Builder
	err error
}

func (w *snippetWriter) line(depth int, s string) {
	w.b.WriteString(strings.Repeat("\t", depth) + s + "\n")
}

func (w *snippetWriter) word(s string) string {
	q, err := grubQuote(s)
	if err != nil && w.err == nil {
		w.err = err
	}
	return q
}

// search is the command that finds a filesystem. Hints are tried before all disks are: a disk that cannot be read ends the
// search, as a floppy drive without medium did.
func (w *snippetWriter) search(variable string, hints []string, uuid string) string {
	out := "search --no-floppy --fs-uuid --set=" + variable
	for _, h := range hints {
		out += " --hint=" + w.word(h)
	}
	return out + " " + w.word(uuid)
}

func (w *snippetWriter) insmod(depth int, modules []string) {
	for _, m := range modules {
		w.line(depth, "insmod "+m)
	}
}

func or(s, def string) string {
	if s == "" {
		return def
	}
	return s
}
