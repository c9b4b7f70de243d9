package boot

import (
	"strings"
	"testing"
)

// TestNewDiskFirst boots the states of a migration in each order of the disks, and with one of them missing. The boots
// of one case share the disks: what GRUB writes in one boot counts in the next.
func TestNewDiskFirst(t *testing.T) {
	vmTools(t)
	id := spec().PlanID
	committed, confirmed := CommittedFile(id)[1:], ConfirmedFile(id)[1:]
	const newFirst, oldFirst, newAlone, oldAlone = "new old", "old new", "new", "old"
	type boots struct{ disks, want string }
	for _, story := range []struct {
		name   string
		next   string             // next_entry in the old environment block
		files  []string           // on the new disk, beside grub.cfg and the deferral
		change func(*SnippetSpec) // of what the old custom.cfg says
		old    map[string][]byte  // files of the old disk that are different
		boots  []boots
	}{
		{"cut before the commit", "", nil, nil, nil,
			[]boots{{newFirst, "MARK-OLD"}, {oldFirst, "MARK-OLD"}, {oldAlone, "MARK-OLD"}, {newAlone, "MARK-NEW"}}},
		{"committed but not confirmed: once", "", []string{committed}, nil, nil,
			[]boots{{newFirst, "MARK-NEW"}, {newFirst, "MARK-OLD"}, {oldFirst, "MARK-OLD"}, {newAlone, "MARK-NEW"}}},
		{"committed and tried from the old disk", "", []string{committed}, nil, nil,
			[]boots{{oldFirst, "MARK-NEW"}, {newFirst, "MARK-OLD"}}},
		{"confirmed", "", []string{committed, confirmed}, nil, nil,
			[]boots{{newFirst, "MARK-NEW"}, {newFirst, "MARK-NEW"}, {oldFirst, "MARK-NEW"}, {newAlone, "MARK-NEW"}, {oldAlone, "MARK-OLD"}}},
		{"rolled back", "", []string{committed + ".rolled-back"}, nil, nil,
			[]boots{{newFirst, "MARK-OLD"}, {oldFirst, "MARK-OLD"}, {newAlone, "MARK-NEW"}}},
		{"armed when the power failed: once", MigrateEntryID(id), nil, nil, nil,
			[]boots{{newFirst, vmKernelMark}, {newFirst, "MARK-OLD"}}},
		{"armed and committed: the migration first", MigrateEntryID(id), []string{committed, confirmed}, nil, nil,
			[]boots{{newFirst, vmKernelMark}, {newFirst, "MARK-NEW"}}},
		{"cancelled", "", []string{committed, confirmed}, nil, map[string][]byte{"boot/grub/custom.cfg": nil},
			[]boots{{newFirst, "MARK-OLD"}, {oldFirst, "MARK-OLD"}, {newAlone, "MARK-NEW"}}},
		{"an old grub.cfg that is empty", "", []string{committed, confirmed}, nil, map[string][]byte{"boot/grub/grub.cfg": nil},
			[]boots{{newFirst, "MARK-NEW"}}},
		{"another old disk", "", []string{committed}, func(s *SnippetSpec) { s.BootFSUUID = "1a3407de-014b-458b-b5c1-848e92a327a3" }, nil,
			[]boots{{newFirst, "MARK-NEW"}, {newFirst, "MARK-NEW"}}},
	} {
		t.Run(story.name, func(t *testing.T) {
			t.Parallel()
			s := spec()
			if story.change != nil {
				story.change(&s)
			}
			s.BootModules, s.Modules = nil, nil
			d := deferralSpec()
			d.Modules, d.Loaded = nil, nil
			lines, err := GRUBDeferral(d)
			if err != nil {
				t.Fatal(err)
			}
			content := map[string][]byte{"boot/grub/grub.cfg": []byte(vmNewConfig), "boot/grub/custom.cfg": lines}
			for _, f := range story.files {
				content[f] = []byte("plan\n")
			}
			images := map[string]string{"old": vmOldDiskWith(t, s, story.next, story.old), "new": vmArrayDisk(t, content)}
			for i, b := range story.boots {
				var disks []string
				for _, name := range strings.Fields(b.disks) {
					disks = append(disks, images[name])
				}
				out := vmBoot(t, disks...)
				if got := marks(out); got != b.want {
					t.Errorf("boot %d, %s: started %q, want %s:\n%s", i+1, b.disks, got, b.want, out)
				}
				if n := strings.Count(out, "Booting `migrate-init: the migrated system"); n > 1 {
					t.Errorf("boot %d, %s: handed over %d times", i+1, b.disks, n)
				}
			}
		})
	}
}

// marks are the systems that were started in a boot.
func marks(out string) string {
	var found []string
	for _, m := range []string{"MARK-OLD", "MARK-NEW", vmKernelMark} {
		if strings.Contains(out, m) {
			found = append(found, m)
		}
	}
	return strings.Join(found, " and ")
}
