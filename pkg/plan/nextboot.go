package plan

// NextBoot is what the boot loader will do, as far as the running system can tell.
type NextBoot struct {
	System string `json:"system"` // one of the constants
	Text   string `json:"text"`
}

// The systems of NextBoot.
const (
	NextOld       = "old"
	NextNew       = "new"
	NextMigration = "migration"
	NextUnknown   = "unknown" // a file that says so cannot be read; the text says why
	NextOpen      = "open"    // it depends on what the running system cannot see; the text says on what
)
