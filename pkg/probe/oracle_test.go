package probe

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const mib = 1 << 20

// made is a file of size bytes that a tool wrote to.
func made(t *testing.T, size int64, argv ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dev")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if len(argv) > 0 {
		tool(t, path, argv...)
	}
	return path
}

// tool runs argv with @ replaced by path.
func tool(t *testing.T, path string, argv ...string) string {
	t.Helper()
	if _, err := exec.LookPath(argv[0]); err != nil {
		t.Skipf("ORACLE MISSING: %v", err)
	}
	args := slices.Clone(argv[1:])
	for i := range args {
		if args[i] == "@" {
			args[i] = path
		}
	}
	c := exec.Command(argv[0], args...)
	c.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", argv, err, out)
	}
	return string(out)
}

func probeFile(t *testing.T, path string) Result {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	r, err := Probe(f, st.Size())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func blkid(t *testing.T, path string) map[string]string {
	t.Helper()
	m := map[string]string{}
	for line := range strings.Lines(tool(t, path, "blkid", "-p", "-o", "export", "@")) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			m[k] = strings.ReplaceAll(v, "\\ ", " ")
		}
	}
	return m
}

// What each tool creates gets the name that blkid gives it. After Wipes, neither blkid nor wipefs nor Probe finds
// anything.
func TestOracleBlkid(t *testing.T) {
	for _, c := range []struct {
		name string
		size int64
		argv []string
		kind Kind
	}{
		{"ext2", 16 * mib, []string{"mke2fs", "-q", "-t", "ext2", "-L", "two words", "@"}, Filesystem},
		{"ext3", 16 * mib, []string{"mke2fs", "-q", "-t", "ext3", "@"}, Filesystem},
		{"ext4", 64 * mib, []string{"mke2fs", "-q", "-t", "ext4", "-L", "Wurzel-ä", "@"}, Filesystem},
		{"ext4 no journal", 16 * mib, []string{"mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-b", "1024", "@"}, Filesystem},
		{"jbd", 16 * mib, []string{"mke2fs", "-q", "-O", "journal_dev", "@"}, Other},
		{"xfs", 320 * mib, []string{"mkfs.xfs", "-q", "-L", "xroot", "@"}, Filesystem},
		{"xfs v4 1k", 320 * mib, []string{"mkfs.xfs", "-q", "-m", "crc=0", "-b", "size=1024", "@"}, Filesystem},
		{"btrfs", 256 * mib, []string{"mkfs.btrfs", "-q", "-L", "broot", "@"}, Filesystem},
		{"btrfs sha256", 128 * mib, []string{"mkfs.btrfs", "-q", "--csum", "sha256", "@"}, Filesystem},
		{"fat12", 2 * mib, []string{"mkfs.vfat", "-F", "12", "-n", "EFI SYS", "@"}, Filesystem},
		{"fat16", 32 * mib, []string{"mkfs.vfat", "-F", "16", "@"}, Filesystem},
		{"fat32", 128 * mib, []string{"mkfs.vfat", "-F", "32", "-n", "ESP", "-i", "1234abcd", "@"}, Filesystem},
		{"fat32 4k", 512 * mib, []string{"mkfs.vfat", "-F", "32", "-S", "4096", "@"}, Filesystem},
		{"swap", 16 * mib, []string{"mkswap", "-q", "-L", "sw", "@"}, Swap},
		{"swap 64k", 16 * mib, []string{"mkswap", "-q", "-p", "65536", "@"}, Swap},
		{"luks1", 16 * mib, luks("luks1"), LUKS},
		{"luks2", 32 * mib, luks("luks2"), LUKS},
		{"gpt", 16 * mib, []string{"sgdisk", "-n", "1:0:0", "@"}, Table},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := made(t, c.size, c.argv...)
			want := blkid(t, path)
			res := probeFile(t, path)
			if len(res.Signatures) != 1 {
				t.Fatalf("signatures = %v, wants one", res.Signatures)
			}
			s := res.Signatures[0]
			typ, id := want["TYPE"], want["UUID"]
			if c.kind == Table {
				typ, id = want["PTTYPE"], want["PTUUID"]
			}
			if typ == "crypto_LUKS" {
				typ = "LUKS" + want["VERSION"]
			}
			if s.Kind != c.kind || s.Type != typ || s.UUID != id || s.Ghost || s.Checksum == Invalid {
				t.Errorf("ours %+v\nblkid %v", s, want)
			}
			if want["LABEL"] != "" || s.Label != "" {
				if label := strings.TrimSpace(tool(t, path, "blkid", "-p", "-o", "value", "-s", "LABEL", "@")); s.Label != label {
					t.Errorf("label %q, blkid %q", s.Label, label)
				}
			}
			if s.Dirty != "" {
				t.Errorf("dirty: %s", s.Dirty)
			}
			for key, have := range map[string]int64{"FSSIZE": s.Size, "FSBLOCKSIZE": s.BlockSize} {
				// XFS's FSSIZE leaves the log out, and vfat has neither.
				if w, ok := want[key]; ok && s.Type != "xfs" && strconv.FormatInt(have, 10) != w {
					t.Errorf("%s: ours %d, blkid %s", key, have, w)
				}
			}
			if fs, err := res.Filesystem(); (err == nil) != (c.kind == Filesystem) || err == nil && fs.UUID != s.UUID {
				t.Errorf("Filesystem() = %v, %v", fs, err)
			}
			wipe(t, path, res)
			if left := probeFile(t, path); !left.Empty() {
				t.Errorf("after the wipe: %v", left.Signatures)
			}
			if out := tool(t, path, "wipefs", "@"); strings.TrimSpace(out) != "" {
				t.Errorf("wipefs after the wipe: %s", out)
			}
		})
	}
}

func luks(kind string) []string {
	return []string{"sh", "-c", "printf pw | cryptsetup luksFormat -q --type " + kind +
		" --pbkdf pbkdf2 --pbkdf-force-iterations 1000 \"$0\" -", "@"}
}

func wipe(t *testing.T, path string, r Result) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range r.Wipes() {
		if _, err := f.WriteAt(make([]byte, w.Length), w.Offset); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// The fields of an ext4 superblock, one by one, against dumpe2fs.
func TestOracleDumpe2fs(t *testing.T) {
	path := made(t, 64*mib, "mke2fs", "-q", "-t", "ext4", "-O", "metadata_csum_seed,bigalloc,quota,project", "-M", "/var/lib/x", "@")
	s := probeFile(t, path).Signatures[0]
	e := s.Ext
	dump := map[string]string{}
	for line := range strings.Lines(tool(t, path, "dumpe2fs", "-h", "@")) {
		if k, v, ok := strings.Cut(line, ":"); ok {
			dump[k] = strings.TrimSpace(v)
		}
	}
	for key, have := range map[string]string{
		"Filesystem features":  strings.Join(e.Features, " "),
		"Block count":          fmt.Sprint(e.Blocks),
		"Free blocks":          fmt.Sprint(e.FreeBlocks),
		"Reserved block count": fmt.Sprint(e.ReservedBlocks),
		"Inode count":          fmt.Sprint(e.Inodes),
		"Free inodes":          fmt.Sprint(e.FreeInodes),
		"Inode size":           fmt.Sprint(e.InodeSize),
		"Block size":           fmt.Sprint(e.BlockSize),
		"Mount count":          fmt.Sprint(e.MountCount),
		"Maximum mount count":  fmt.Sprint(e.MaxMountCount),
		"Last mounted on":      e.LastMounted,
		"Journal inode":        fmt.Sprint(e.JournalInode),
		"Checksum seed":        fmt.Sprintf("0x%08x", e.ChecksumSeed),
		"Filesystem UUID":      s.UUID,
	} {
		if dump[key] != have {
			t.Errorf("%s: ours %q, dumpe2fs %q", key, have, dump[key])
		}
	}
	if s.Checksum != Valid || e.NeedsRecovery || !e.Clean || e.Errors {
		t.Errorf("checksum %s, %+v", s.Checksum, e)
	}
}

// A journal on another device, as mke2fs creates it.
func TestOracleExternalJournal(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("ROOT MISSING: mke2fs takes a journal only on a block device")
	}
	const id = "6a6f7572-6e61-4c2d-b575-69642d313662"
	journal := made(t, 16*mib, "mke2fs", "-q", "-b", "4096", "-O", "journal_dev", "-U", id, "@")
	out, err := exec.Command("losetup", "--find", "--show", journal).CombinedOutput()
	if err != nil {
		t.Skipf("LOOP DEVICE MISSING: %v: %s", err, out)
	}
	dev := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "--detach", dev).CombinedOutput(); err != nil {
			t.Errorf("losetup: %v: %s", err, out)
		}
	})
	if s := probeFile(t, journal).Signatures; len(s) != 1 || s[0].Type != "jbd" || s[0].Ext.ExternalJournal() {
		t.Errorf("the journal itself: %v", s)
	}
	s := probeFile(t, made(t, 16*mib, "mke2fs", "-q", "-t", "ext4", "-b", "4096", "-J", "device="+dev, "@")).Signatures[0]
	if !s.Ext.ExternalJournal() || s.Ext.JournalDevice != id {
		t.Errorf("journal on %s: external %v, uuid %q", id, s.Ext.ExternalJournal(), s.Ext.JournalDevice)
	}
	own := probeFile(t, made(t, 16*mib, "mke2fs", "-q", "-t", "ext4", "@")).Signatures[0]
	none := probeFile(t, made(t, 16*mib, "mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "@")).Signatures[0]
	if own.Ext.ExternalJournal() || own.Ext.JournalDevice != "" || none.Ext.ExternalJournal() {
		t.Errorf("of its own: %+v; none: %+v", own.Ext, none.Ext)
	}
}
