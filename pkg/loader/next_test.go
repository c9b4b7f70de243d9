package loader

import (
	"strings"
	"testing"

	"migrate-init/pkg/plan"
)

// TestNext: what is said of the next boot is what the boot loaders do: the states are those that boot/deferral_vm_test.go boots.
func TestNext(t *testing.T) {
	both := standing{oldDisk: true, newDisk: true, asks: true, defers: true}
	in := func(change func(*standing)) standing { s := both; change(&s); return s }
	migrated := func(change func(*standing)) standing {
		s := in(change)
		s.migrated = true
		return s
	}
	for name, c := range map[string]struct {
		s    standing
		want string
		text string
	}{
		"armed":                          {in(func(s *standing) { s.armed = true }), plan.NextMigration, "the migration, once"},
		"armed after the commit":         {in(func(s *standing) { s.armed, s.committed = true, true }), plan.NextMigration, "the migration, once"},
		"cut before the commit":          {both, plan.NextOld, "this system"},
		"old, committed":                 {in(func(s *standing) { s.committed = true }), plan.NextOpen, "once, unless it was rolled back"},
		"old, committed and tried":       {in(func(s *standing) { s.committed, s.tried = true, true }), plan.NextOpen, "unless the migrated one was confirmed"},
		"old, cancelled":                 {in(func(s *standing) { s.committed, s.asks = true, false }), plan.NextOld, "this system"},
		"old, without the new disk":      {in(func(s *standing) { s.committed, s.newDisk = true, false }), plan.NextOld, "the new disk is not here"},
		"confirmed":                      {migrated(func(s *standing) { s.committed, s.confirmed = true, true }), plan.NextNew, "this system, whichever disk"},
		"confirmed, asks no one":         {migrated(func(s *standing) { s.committed, s.confirmed, s.defers = true, true, false }), plan.NextNew, "this system, whichever disk"},
		"confirmed, old disk missing":    {migrated(func(s *standing) { s.committed, s.confirmed, s.oldDisk = true, true, false }), plan.NextNew, "this system"},
		"entered by the migration":       {migrated(func(s *standing) { s.committed, s.first = true, true }), plan.NextNew, "once more at most"},
		"not confirmed":                  {migrated(func(s *standing) { s.committed = true }), plan.NextOpen, "the old system, if"},
		"not confirmed, asks no one":     {migrated(func(s *standing) { s.committed, s.defers = true, false }), plan.NextOpen, "but this one where the firmware starts the new disk"},
		"not confirmed, no old disk":     {migrated(func(s *standing) { s.committed, s.oldDisk = true, false }), plan.NextNew, "the old disk is not here"},
		"rolled back":                    {migrated(func(*standing) {}), plan.NextOld, "the old system, whichever disk"},
		"rolled back, asks no one":       {migrated(func(s *standing) { s.defers = false }), plan.NextOpen, "where the firmware starts the old disk, and this one where"},
		"rolled back, old disk missing":  {migrated(func(s *standing) { s.oldDisk = false }), plan.NextNew, "the old disk is not here"},
		"rolled back, missing, asks no1": {migrated(func(s *standing) { s.oldDisk, s.defers = false, false }), plan.NextNew, "the old disk is not here"},
	} {
		if got := c.s.next(); got.System != c.want || !strings.Contains(got.Text, c.text) {
			t.Errorf("%s: %+v, want %s: %s", name, got, c.want, c.text)
		}
	}
}
