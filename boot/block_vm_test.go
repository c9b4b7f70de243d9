package boot

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

const (
	vmOldArray = "fedcba9876543210fedcba9876543210"
	vmOldFS    = "0a3407de-014b-458b-b5c1-848e92a327a3" // spec's
)

// TestBlockBoots boots a system whose /boot is on a degraded RAID1, where GRUB cannot write its environment block, with
// a block of ours on another disk. The boots of one case share the disks.
func TestBlockBoots(t *testing.T) {
	vmTools(t)
	id := spec().PlanID
	committed, confirmed := CommittedFile(id)[1:], ConfirmedFile(id)[1:]
	near := []string{"hd1,msdos1", "hd0,msdos1"}
	const both, newFirst, oldAlone, locked = "old new", "new old", "old", "old locked"
	type boots struct{ disks, want string }
	for _, story := range []struct {
		name  string
		armed bool
		hints []string
		old   map[string][]byte
		files []string // on the new disk
		boots []boots
		next  string // NextVariable at the end
		tried string
	}{
		{"armed: once", true, near, nil, nil, []boots{{both, vmKernelMark}, {both, "MARK-OLD"}, {both, "MARK-OLD"}}, "", ""},
		{"armed and found without a hint", true, nil, nil, nil, []boots{{both, vmKernelMark}, {both, "MARK-OLD"}}, "", ""},
		{"armed with hints that lead nowhere", true, []string{"hd7,gpt2", "hd0,gpt9"}, nil, nil, []boots{{both, vmKernelMark}, {both, "MARK-OLD"}}, "", ""},
		{"armed while the firmware tries the new disk first", true, near, nil, nil, []boots{{newFirst, vmKernelMark}, {newFirst, "MARK-OLD"}, {both, "MARK-OLD"}}, "", ""},
		{"not armed", false, near, nil, nil, []boots{{both, "MARK-OLD"}}, "", ""},
		{"armed but the disk is gone", true, near, nil, nil, []boots{{oldAlone, "MARK-OLD"}}, id, ""},
		{"armed but it cannot be cleared", true, near, nil, nil, []boots{{locked, "MARK-OLD"}}, id, ""},
		{"armed for another plan", true, near, map[string][]byte{"boot/grub/custom.cfg": vmSnippetOfBlock(t, "another", near)}, nil, []boots{{both, "MARK-OLD"}}, id, ""},
		{"armed but an entry was asked for", true, near, map[string][]byte{"boot/grub/grubenv": armedBlock(t, "next_entry", "old").Bytes()}, nil,
			[]boots{{both, "MARK-OLD"}, {both, "MARK-OLD"}}, "", ""},
		{"committed: the new system once", false, near, nil, []string{committed}, []boots{{both, "MARK-NEW"}, {both, "MARK-OLD"}, {newFirst, "MARK-OLD"}}, "", id},
		{"committed but the block cannot be written", false, near, nil, []string{committed}, []boots{{locked, "MARK-OLD"}}, "", ""},
		{"confirmed", false, near, nil, []string{committed, confirmed}, []boots{{both, "MARK-NEW"}, {newFirst, "MARK-NEW"}}, "", ""},
		{"armed and confirmed: the migration first", true, near, nil, []string{committed, confirmed}, []boots{{both, vmKernelMark}, {both, "MARK-NEW"}}, "", ""},
	} {
		t.Run(story.name, func(t *testing.T) {
			t.Parallel()
			env := NewGrubenv()
			if story.armed {
				env = armedBlock(t, NextVariable, id, AttemptVariable, "1")
			}
			d := deferralSpec()
			d.Modules, d.Loaded, d.Hints = nil, nil, []string{"mduuid/" + vmOldArray}
			lines, err := GRUBDeferral(d)
			if err != nil {
				t.Fatal(err)
			}
			old := map[string][]byte{"boot/grub/grub.cfg": []byte(vmOldConfig), "boot/grub/grubenv": NewGrubenv().Bytes(), "boot/grub/custom.cfg": vmSnippetOfBlock(t, id, story.hints),
				"boot/vmlinuz-6.1": vmKernel(), "boot/migrate.img": []byte("image")}
			for name, data := range story.old {
				old[name] = data
			}
			content := map[string][]byte{"boot/grub/grub.cfg": []byte(vmNewConfig), "boot/grub/custom.cfg": lines}
			for _, f := range story.files {
				content[f] = []byte("plan\n")
			}
			images := map[string]string{"old": vmArrayDiskOf(t, vmOldArray, vmOldFS, old, nil), "new": vmArrayDiskOf(t, vmArray, vmNewFS, content, blockImage(t, env))}
			images["locked"] = images["new"] + vmReadOnly
			for i, b := range story.boots {
				var disks []string
				for _, name := range strings.Fields(b.disks) {
					disks = append(disks, images[name])
				}
				out := vmBoot(t, disks...)
				if got := marks(out); got != b.want {
					t.Errorf("boot %d, %s: started %q, want %s:\n%s", i+1, b.disks, got, b.want, out)
				}
			}
			disk, err := os.ReadFile(images["new"])
			if err != nil {
				t.Fatal(err)
			}
			got, whole, err := ReadBlock(bytes.NewReader(disk[vmBlock*512:]), blockUUID)
			if err != nil || !whole {
				t.Fatalf("the block is whole: %v, %v", whole, err)
			}
			if next, _ := got.Get(NextVariable); next != story.next {
				t.Errorf("%s is %q, want %q", NextVariable, next, story.next)
			}
			if tried, _ := got.Get(TriedVariable); tried != story.tried {
				t.Errorf("%s is %q, want %q", TriedVariable, tried, story.tried)
			}
			if n, _ := got.Get(AttemptVariable); story.armed && n != "1" {
				t.Errorf("%s is %q", AttemptVariable, n)
			}
		})
	}
}

func vmSnippetOfBlock(t *testing.T, plan string, hints []string) []byte {
	t.Helper()
	s := blockSpec()
	s.PlanID, s.BlockHints, s.BlockModules, s.BootHints = plan, hints, nil, []string{"mduuid/" + vmOldArray}
	return vmSnippet(t, s)
}
