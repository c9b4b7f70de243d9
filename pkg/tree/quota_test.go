package tree

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestQuotasOfSuperblocks(t *testing.T) {
	le, be := binary.LittleEndian, binary.BigEndian
	ext := make([]byte, 2048)
	le.PutUint16(ext[1024+0x38:], 0xef53)
	le.PutUint32(ext[1024+0x64:], 0x100|0x1)
	le.PutUint32(ext[1024+0x240:], 3)
	le.PutUint32(ext[1024+0x26c:], 12)
	if got := extQuotas(ext); !slices.Equal(got, []string{"user", "project"}) {
		t.Errorf("ext4: %q", got)
	}
	le.PutUint32(ext[1024+0x64:], 0x1)
	if got := extQuotas(ext); got != nil {
		t.Errorf("ext4 without the feature: %q", got)
	}
	xfs := make([]byte, 2048)
	copy(xfs, "XFSB")
	be.PutUint16(xfs[100:], 0xb4a5)
	for _, at := range []int{160, 168, 232} {
		be.PutUint64(xfs[at:], 1<<64-1)
	}
	if got := xfsQuotas(xfs); got != nil {
		t.Errorf("xfs without: %q", got)
	}
	be.PutUint64(xfs[168:], 132)
	be.PutUint64(xfs[232:], 133)
	if got := xfsQuotas(xfs); !slices.Equal(got, []string{"group", "project"}) {
		t.Errorf("xfs: %q", got)
	}
	be.PutUint16(xfs[100:], 0xb4a4)
	if got := xfsQuotas(xfs); !slices.Equal(got, []string{"group or project"}) {
		t.Errorf("xfs of version 4: %q", got)
	}
	for _, b := range [][]byte{nil, ext[:1100], xfs[:100], make([]byte, 2048)} {
		if extQuotas(b) != nil || xfsQuotas(b) != nil {
			t.Errorf("%d bytes are no superblock", len(b))
		}
	}
	for flags, want := range map[uint16]string{0: "", 1: "user", 3: "user", 4: "group", 1<<4 | 1<<5: "project", 63: "user group project"} {
		if got := strings.Join(quotaKinds(flags), " "); got != want {
			t.Errorf("flags %#x: %q, want %q", flags, got, want)
		}
	}
}

// TestPrecheckOfQuotas checks that limits in hidden inodes are reported as lost. Those in files of the root are copied.
func TestPrecheckOfQuotas(t *testing.T) {
	src := newDisk(t, "ext4", 64<<20)
	apply(t, src.dir, mkdir("plain", 0o700), file("plain/f", 0o600, nil), mkdir("plain/d", 0o700), file("plain/d/aquota.user", 0o600, nil),
		mkdir("files", 0o700), file("files/aquota.user", 0o600, []byte("q")), file("files/aquota.group", 0o600, []byte("q")))
	ask := func(dir string, q quotas) map[string]Finding {
		s := scannerOf(t, src.dir+"/"+dir, capable())
		s.quotas = func(*root) quotas { return q }
		return walked(t, s)
	}
	if f, ok := ask("plain", quotas{})["tree.quota"]; ok {
		t.Errorf("no quotas: %+v", f)
	}
	hidden := quotas{kinds: []string{"user", "project"}}
	const words = "ext4 keeps user, project quotas where a copy by files cannot read them"
	expect(t, ask("plain", hidden), "tree.quota", Loss, 1, "", words, "limits and grace times")
	expect(t, ask("files", hidden), "tree.quota", Loss, 3, "", words)
	inFiles := quotas{kinds: []string{"user", "project"}, files: true}
	expect(t, ask("plain", inFiles), "tree.quota", Loss, 1, "", words)
	got := ask("files", inFiles)
	f := got["tree.quota"]
	slices.Sort(f.Paths)
	got["tree.quota"] = f
	expect(t, got, "tree.quota", Info, 2, "aquota.group", "copied as a file")
	if !strings.Contains(f.Fix, "quotacheck") {
		t.Errorf("fix %q", f.Fix)
	}
	for magic, tool := range map[int64]string{unix.XFS_SUPER_MAGIC: "xfs_quota", unix.BTRFS_SUPER_MAGIC: "btrfs qgroup limit", unix.EXT4_SUPER_MAGIC: "setquota"} {
		s := &scanner{src: &root{magic: magic}, quotas: func(*root) quotas { return hidden }, found: map[string]*finding{}}
		s.addQuotaFinding()
		if f := s.found["tree.quota"]; !strings.Contains(f.Fix, tool) {
			t.Errorf("%#x: fix %q does not name %s", magic, f.Fix, tool)
		}
	}
}

// TestQuotasOfAReadOnlySource: on a read-only mount, as a source should be, ext4 disables quotas. The superblock still has them.
func TestQuotasOfAReadOnlySource(t *testing.T) {
	src := newDisk(t, "ext4", 64<<20)
	if got := quotasIn(t, src.dir); len(got.kinds) > 0 {
		t.Errorf("without quotas: %+v", got)
	}
	if err := unix.Unmount(src.dir, 0); err != nil {
		t.Fatal(err)
	}
	run(t, "mkfs.ext4", "-q", "-F", "-O", "quota", "-E", "quotatype=usrquota:prjquota", src.dev)
	if err := unix.Mount(src.dev, src.dir, "ext4", unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	expect(t, walked(t, scannerOf(t, src.dir, capable())), "tree.quota", Loss, 1, "", "ext4 keeps user, project quotas")
}

func quotasIn(t *testing.T, dir string) quotas {
	t.Helper()
	s := scannerOf(t, dir, Caps{})
	defer func() { _ = s.src.close() }()
	return quotasOf(s.src)
}

// TestQuotasThatAreOn checks what the kernel reports.
func TestQuotasThatAreOn(t *testing.T) {
	t.Run("xfs", func(t *testing.T) {
		src := newDisk(t, "xfs", 320<<20)
		if got := quotasIn(t, src.dir); len(got.kinds) > 0 {
			t.Errorf("without quotas: %+v", got)
		}
		if err := unix.Unmount(src.dir, 0); err != nil {
			t.Fatal(err)
		}
		err := unix.Mount(src.dev, src.dir, "xfs", 0, "uquota,pqnoenforce")
		if errors.Is(err, unix.EINVAL) {
			if err := unix.Mount(src.dev, src.dir, "xfs", 0, ""); err != nil {
				t.Fatal(err)
			}
			t.Skip("SKIPPED, NOTHING TESTED: this kernel's xfs has no quotas")
		} else if err != nil {
			t.Fatal(err)
		}
		for _, flags := range []uintptr{0, unix.MS_RDONLY} { // the second mount has quotas disabled: only the superblock has them
			if got := quotasIn(t, src.dir); !slices.Equal(got.kinds, []string{"user", "project"}) {
				t.Errorf("%+v", got)
			}
			src.remount(t, flags)
		}
		if got := quotasIn(t, src.dir); !slices.Equal(got.kinds, []string{"user", "project"}) {
			t.Errorf("mounted without quotas: %+v", got)
		}
	})
	t.Run("ext4", func(t *testing.T) {
		src := newDisk(t, "ext4", 64<<20)
		if err := unix.Unmount(src.dir, 0); err != nil {
			t.Fatal(err)
		}
		run(t, "mkfs.ext4", "-q", "-F", "-O", "quota", src.dev)
		err := unix.Mount(src.dev, src.dir, "ext4", 0, "")
		if errors.Is(err, unix.EINVAL) {
			if err := unix.Mount(src.dev, src.dir, "ext4", unix.MS_RDONLY, ""); err != nil {
				t.Fatal(err)
			}
			t.Skip("SKIPPED, NOTHING TESTED: this kernel's ext4 has no quotas")
		} else if err != nil {
			t.Fatal(err)
		}
		if got := quotasIn(t, src.dir).kinds; !slices.Equal(got, []string{"user", "group"}) {
			t.Errorf("%q", got)
		}
	})
	t.Run("btrfs", func(t *testing.T) {
		src := newDisk(t, "btrfs", 128<<20)
		if got := quotasIn(t, src.dir); len(got.kinds) > 0 {
			t.Errorf("without quotas: %+v", got)
		}
		if err := tool(src.dir, "btrfs", "quota", "enable", "."); err != nil {
			t.Skipf("SKIPPED, NOTHING TESTED: %v", err)
		}
		apply(t, src.dir, file("f", 0o600, nil))
		expect(t, findings(t, src.dir, capable()), "tree.quota", Loss, 1, "", "btrfs keeps group (qgroup) quotas")
	})
}
