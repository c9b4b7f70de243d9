package stage

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"migrate-init/pkg/plan"
)

func TestComplaints(t *testing.T) {
	const dev = "vda2"
	for line, want := range map[string]bool{
		"EXT4-fs error (device vda2): ext4_readdir:260: inode #12: block 8650: comm x: path /d: directory fails checksum at offset 0": true,
		"EXT4-fs error (device vda2: state E): __ext4_find_entry:1683: inode #12: comm x: checksumming directory block 0":             true,
		"EXT4-fs error (device vda2) in ext4_do_update_inode:5088: error 28":                                                          true,
		"EXT2-fs (vda2): error: ext2_check_page: bad entry in directory #2":                                                           true,
		"XFS (vda2): Metadata CRC error detected at xfs_dir3_block_read_verify+0x8c/0xe0, xfs_dir3_block block 0x60 ":                 true,
		"XFS (vda2): Metadata corruption detected at xfs_dinode_verify":                                                               true,
		"BTRFS error (device vda2): bad tree block start, mirror 1 want 30408704 have 0":                                              true,
		"BTRFS critical (device vda2: state A): corrupt leaf":                                                                         true,
		"BTRFS warning (device vda2): csum failed root 5 ino 257 off 0 csum 0x1 expected csum 0x2 mirror 1":                           true,
		"EXT4-fs error (device vda21): bad":                                                                                           false,
		"EXT4-fs error (device vda":                                                                                                   false,
		"EXT4-fs (vda2): mounted filesystem with ordered data mode. Opts: errors=remount-ro":                                          false,
		"EXT4-fs (vda2): error count since last fsck: 3":                                                                              false, // of another day
		"XFS (vda2): Mounting V5 Filesystem":                                                                                          false,
		"BTRFS info (device vda2): first mount of filesystem":                                                                         false,
		"BTRFS warning (device vda2): excessive commit interval":                                                                      false,
		"init: EXT4-fs error (device vda2): said by somebody":                                                                         false,
	} {
		if got := len(about([]string{"x", line}, dev)) == 1; got != want {
			t.Errorf("%q: %v", line, got)
		}
	}
}

// What only the kernel's log tells of the source ends the migration, or is listed where the plan says so; of the target it always ends it.
func TestKernelComplains(t *testing.T) {
	for _, tt := range []struct {
		policy, dev, want string
	}{
		{"stop", "vda2", "could not be read, and the plan's policy is to stop"},
		{"skip-and-list", "vda2", ""},
		{"stop", "vdz9", ""},
		{"skip-and-list", "", "the kernel found damage in what was just made there"},
	} {
		w := newWorld(t)
		p, text := planned(t, w, func(in *plan.Intent) { in.Policy.ReadError = tt.policy })
		w.boot()
		e := w.env(p, text)
		heard := 0
		e.Ear = &Ear{Read: func(keep func(string) bool) ([]string, bool, error) {
			dev := tt.dev
			if dev == "" {
				for _, n := range p.Target.Filesystems {
					if d, err := e.volume(n.On); err == nil && n.Mount == "/" {
						dev = d.Name
					}
				}
			}
			if heard++; heard != 2 { // after the first copy
				return nil, false, nil
			}
			line := "EXT4-fs error (device " + dev + "): ext4_readdir:260: directory fails checksum"
			if keep("nothing much") || !keep(line) {
				t.Error("the wrong lines are kept")
			}
			return []string{line}, false, nil
		}}
		err := Run(t.Context(), e)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%+v: %v", tt, err)
		}
		told := slices.ContainsFunc(w.told, func(s string) bool {
			return strings.Contains(s, "/dev/vda2: the kernel found damage, and names may lack") && strings.Contains(s, "directory fails checksum")
		})
		if told != (tt.dev == "vda2") {
			t.Errorf("%+v: told %v:\n%s", tt, told, strings.Join(w.told, "\n"))
		}
		if tt.want != "" && w.committedFile(p) {
			t.Errorf("%+v: committed", tt)
		}
	}
}

// What could not be heard is told; more than is kept is not kept.
func TestEar(t *testing.T) {
	var deaf *Ear
	deaf.Listen()
	if a, b, err := deaf.Complaints("/dev/a", "/dev/b"); len(a)+len(b) != 0 || err != nil {
		t.Error(a, b, err)
	}
	many := make([]string, mostHeard+5)
	for i := range many {
		many[i] = "EXT4-fs error (device a): bad"
	}
	fails := errors.New("no more")
	for _, tt := range []struct {
		lost bool
		err  error
	}{{false, nil}, {true, nil}, {false, fails}} {
		asked := 0
		e := &Ear{Read: func(func(string) bool) ([]string, bool, error) { asked++; return many, tt.lost, tt.err }}
		e.Listening(nil)(Progress{})
		var c Counts
		unsure, err := c.Heard(e, "/dev/a", "/dev/b")
		if err != nil || c.Unread != mostHeard || (unsure != nil) != (tt.lost || tt.err != nil) || errors.Is(unsure, fails) != (tt.err != nil) {
			t.Errorf("%+v: %v, %v, %d", tt, unsure, err, c.Unread)
		}
		if want := 2; asked != want && tt.err == nil || tt.err != nil && asked != 1 {
			t.Errorf("%+v: asked %d times", tt, asked)
		}
		if _, err := c.Heard(e, "/dev/b", "/dev/a"); err == nil || !strings.Contains(err.Error(), "target /dev/a: the kernel found damage") {
			t.Errorf("%v", err)
		}
	}
}
