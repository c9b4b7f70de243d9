package probe

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"migrate-init/pkg/fixtures"
)

// judgeIdentity compares type, UUID, label and device UUID of the first signature on an image with what blkid says
// about the same bytes. It reports whether blkid says anything.
func judgeIdentity(t *testing.T, s Signature, sub, path string) bool {
	t.Helper()
	out, _ := exec.Command("blkid", "-p", "-o", "export", path).Output() // it fails where it finds nothing
	want := map[string]string{}
	for line := range strings.Lines(string(out)) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), "=")
		want[k] = v
	}
	if want["TYPE"] == "" {
		return false
	}
	for k, got := range map[string]string{"TYPE": s.Type, "UUID": s.UUID, "LABEL": s.Label, "UUID_SUB": sub} {
		if got != want[k] {
			t.Errorf("%s %q, blkid has %q", k, got, want[k])
		}
	}
	return true
}

// whole reports which images of pools are read to the end, with the two labels there: bzip2 is slow.
func whole(name string) bool {
	return strings.Contains(name, "import_") || strings.Contains(name, "hotspare") || strings.Contains(name, "broken")
}

// TestJudgePools reads members of pools that other systems created, of version 1 to 5000.
func TestJudgePools(t *testing.T) {
	if _, err := exec.LookPath("blkid"); err != nil {
		t.Skipf("ORACLE MISSING: %v", err)
	}
	judged, pools, members := 0, map[string]string{}, map[string]string{}
	for _, path := range fixtures.Glob(t, "zfs", "*.bz2", 55) {
		name := strings.TrimPrefix(fixtures.Name(path), "zpool_")
		t.Run(name, func(t *testing.T) {
			limit := int64(8 * mib)
			if whole(name) {
				limit = 0
			}
			im := fixtures.Open(t, path, limit)
			im.Size = max(im.Size, 64*mib) // blkid does not recognize smaller ones
			res, err := Probe(im, im.Size)
			if err != nil || len(res.Signatures) != 1 || res.Signatures[0].ZFS == nil {
				t.Fatalf("%v, %v; want one member", res.Signatures, err)
			}
			s, m := res.Signatures[0], res.Signatures[0].ZFS
			if s.Ghost || s.Checksum != Valid || len(m.Labels) < 2 {
				t.Errorf("remnant %v, checksum %s, labels %v", s.Ghost, s.Checksum, m.Labels)
			}
			if judgeIdentity(t, s, m.VdevGUID, im.File(t)) {
				judged++
			}
			judgePoolName(t, name, m)
			if other := members[m.VdevGUID]; other != "" {
				t.Errorf("device GUID %s is that of %s too", m.VdevGUID, other)
			}
			members[m.VdevGUID] = name
			if guid := pools[m.Pool]; guid != "" && guid != m.PoolGUID {
				t.Errorf("pool %s has GUID %s here and %s elsewhere", m.Pool, m.PoolGUID, guid)
			}
			pools[m.Pool] = m.PoolGUID
		})
	}
	t.Logf("%d members of %d pools, %d of them judged by blkid", len(members), len(pools), judged)
	if judged < 50 || len(pools) < 25 {
		t.Errorf("%d members judged, %d pools: too few to judge by", judged, len(pools))
	}
}

// judgePoolName checks that an image is named after its pool: "zfs-pool-v3raidz21" is device 1 of "pool-v3raidz2".
func judgePoolName(t *testing.T, name string, m *ZFSMember) {
	t.Helper()
	if m.State == "spare" {
		return
	}
	if m.State != "exported" && name != "import_blockfiles_unclean_export" {
		t.Errorf("state %s", m.State)
	}
	p := regexp.MustCompile(`zfs-pool-(v([0-9]+))([a-z]*)`).FindStringSubmatch(name)
	switch {
	case name == "import_blockfiles_unclean_export":
		// As far as the label says, another system uses it.
		if m.Pool != "unclean_export" || m.State != "active" || m.HostID != 13240505 || m.HostName != "dlpx" {
			t.Errorf("%+v", m)
		}
	case p == nil:
	case p[2] != "999" && strconv.FormatUint(m.Version, 10) != p[2]:
		t.Errorf("version %d", m.Version)
	case p[3] == "" && m.Pool != p[1]+"-pool", !strings.HasPrefix(m.Pool, "pool-"+p[1]+p[3]) && p[3] != "":
		t.Errorf("pool %q", m.Pool)
	case strings.HasPrefix(p[3], "raidz") && m.TopType != "raidz", p[3] == "mirror" && m.TopType != "mirror":
		t.Errorf("top-level type %q", m.TopType)
	}
}

// TestJudgeBtrfs reads btrfs-progs' images, most of them from a fuzzer. The identity must be what blkid shows, and the
// state of the superblock what `btrfs inspect-internal dump-super` shows.
func TestJudgeBtrfs(t *testing.T) {
	for _, prog := range []string{"blkid", "btrfs"} {
		if _, err := exec.LookPath(prog); err != nil {
			t.Skipf("ORACLE MISSING: %v", err)
		}
	}
	judged, supers := 0, 0
	for _, path := range fixtures.Glob(t, "btrfs", "*.xz", 75) {
		t.Run(fixtures.Name(path), func(t *testing.T) {
			limit := int64(4 * mib)
			if strings.Contains(path, "metadata-uuid") {
				limit = 66 * mib // with the second superblock, which has another UUID
			}
			im := fixtures.Open(t, path, limit)
			res, err := Probe(im, im.Size)
			if err != nil {
				t.Fatal(err)
			}
			var s Signature
			if len(res.Signatures) > 0 {
				s = res.Signatures[0]
			}
			file := im.File(t)
			if s.Btrfs == nil {
				if !judgeIdentity(t, s, "", file) && s.Type != "" {
					t.Errorf("%s, and blkid finds nothing", s.Type)
				}
				return
			}
			if judgeIdentity(t, s, s.Btrfs.DeviceUUID, file) {
				judged++
			} else if s.Checksum == Valid {
				t.Errorf("%s with a valid superblock, and blkid finds nothing", s.Type)
			}
			judgeSuper(t, s, file)
			supers++
		})
	}
	t.Logf("%d btrfs judged by blkid, %d by dump-super", judged, supers)
	if judged < 60 || supers < 65 {
		t.Errorf("%d and %d judged: too few to judge by", judged, supers)
	}
}

func judgeSuper(t *testing.T, s Signature, path string) {
	t.Helper()
	c := exec.Command("btrfs", "inspect-internal", "dump-super", path)
	c.Env = append(os.Environ(), "LC_ALL=C")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("dump-super: %v\n%s", err, out)
	}
	match := regexp.MustCompile(`(?m)^csum\s.*\[match\]`).Match(out)
	if s.Checksum != Unknown && (s.Checksum == Valid) != match {
		t.Errorf("checksum %s, dump-super says match %v", s.Checksum, match)
	}
	for field, got := range map[string]string{
		"generation": strconv.FormatUint(s.Btrfs.Generation, 10), "num_devices": strconv.FormatUint(s.Btrfs.Devices, 10),
		"dev_item.devid": strconv.FormatUint(s.Btrfs.DeviceID, 10), "sectorsize": strconv.FormatInt(s.BlockSize, 10),
	} {
		m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(field) + `\s+(\S+)$`).FindSubmatch(out)
		if m == nil || string(m[1]) != got {
			t.Errorf("%s is %s, dump-super has %q", field, got, m)
		}
	}
	if logged := !regexp.MustCompile(`(?m)^log_root\s+0$`).Match(out); logged != s.Btrfs.LogTree {
		t.Errorf("log tree %v, dump-super has %v", s.Btrfs.LogTree, logged)
	}
}
