package qemutests

import "testing"

// rollBack goes back after the commit, and cancel then leaves nothing behind.
func rollBack(t *testing.T, s *stock) {
	r := take(t, s.done(t))

	// The one-shot entry fires again after the commit: nothing may be copied, the new system is entered.
	vm := r.start("the armed entry once more")
	r.follow(vm)
	r.ready(vm)
	r.wantRoot(vm, "new")
	if st := r.status(vm); st.State != "migrated" {
		t.Errorf("status says %q", st.State)
	} else {
		copies := 0
		for _, rec := range st.Records {
			if rec.Stage == "copy" && rec.Event == "begin" {
				copies++
			}
		}
		if copies != 1 {
			t.Errorf("the journal has %d copies, want the first only", copies)
		}
	}
	r.must(vm, "migrate-init rollback --dry-run")
	r.must(vm, "migrate-init rollback")
	if st := r.status(vm); st.State != "rolled back" {
		t.Errorf("status after rollback says %q", st.State)
	}
	r.must(vm, "migrate-init rollback # once more changes nothing")
	r.off(vm)

	vm = r.comesUp("after the rollback", "old")
	if st := r.status(vm); st.State != "old system after a commit" || st.Migrated {
		t.Errorf("status in the old system says %q, migrated %v", st.State, st.Migrated)
	}
	r.must(vm, "migrate-init status")
	r.refused(vm, "migrate-init finish", "does not run from the new array")
	r.refused(vm, "migrate-init rollback", "it is the old one already")
	r.must(vm, "migrate-init cancel --dry-run")
	r.must(vm, "migrate-init cancel")
	if got := r.must(vm, bootFiles); got != s.sums {
		t.Errorf("the boot loader's files:\n%s\nbefore schedule:\n%s", got, s.sums)
	}
	if got := r.quiet(vm, "ls /boot /var/lib | grep migrate-init || true"); got != "" {
		t.Errorf("cancel leaves %q", got)
	}
	r.refused(vm, "migrate-init cancel", "nothing is scheduled")
	r.off(vm)
	r.off(r.comesUp("after cancel", "old"))
}
