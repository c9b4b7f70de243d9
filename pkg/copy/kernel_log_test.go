package copy

import (
	"errors"
	"strings"
	"testing"
)

func TestDamagedDevice(t *testing.T) {
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
		"init: EXT4-fs error (device vda2): said by a program":                                                                        false,
	} {
		if got := len(errorsOf([]string{"x", line}, dev)) == 1; got != want {
			t.Errorf("%q: %v", line, got)
		}
	}
}

// TestKernelLog checks that lost lines and an unreadable log are reported, and that the number of lines kept is bounded.
func TestKernelLog(t *testing.T) {
	var none *KernelLog
	none.Poll()
	if a, b, err := none.FilesystemErrors("/dev/a", "/dev/b"); len(a)+len(b) != 0 || err != nil {
		t.Error(a, b, err)
	}
	many := make([]string, maxKept+5)
	for i := range many {
		many[i] = "EXT4-fs error (device a): bad"
	}
	fails := errors.New("no more")
	for _, tt := range []struct {
		lost bool
		err  error
	}{{false, nil}, {true, nil}, {false, fails}} {
		asked := 0
		e := &KernelLog{Read: func(func(string) bool) ([]string, bool, error) { asked++; return many, tt.lost, tt.err }}
		e.Watch(nil)(Progress{})
		var c Counts
		unsure, err := c.AddKernelErrors(e, "/dev/a", "/dev/b")
		if err != nil || c.Unread != maxKept || (unsure != nil) != (tt.lost || tt.err != nil) || errors.Is(unsure, fails) != (tt.err != nil) {
			t.Errorf("%+v: %v, %v, %d", tt, unsure, err, c.Unread)
		}
		if want := 2; asked != want && tt.err == nil || tt.err != nil && asked != 1 {
			t.Errorf("%+v: asked %d times", tt, asked)
		}
		if _, err := c.AddKernelErrors(e, "/dev/b", "/dev/a"); err == nil || !strings.Contains(err.Error(), "target /dev/a: the kernel logged errors") {
			t.Errorf("%v", err)
		}
	}
}
