package probe

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"migrate-init/pkg/fixtures"
)

// detailed reports whether this program reads more than the type of a format. Of the others it must only know that they
// claim the device.
func detailed(typ string) bool {
	switch typ {
	case "btrfs", "crypto_LUKS", "ext2", "ext3", "ext4", "jbd", "LVM2_member", "linux_raid_member", "swap", "swsuspend", "vfat", "xfs", "zfs_member":
		return true
	}
	return false
}

// blkidDifferences lists the fields of util-linux's images in which this program differs on purpose: field -> our value
// and the reason.
func blkidDifferences() map[string][2]string {
	const bridge = "a bridge disc has ISO 9660's descriptors before UDF's; both are foreign and neither is ever written"
	return map[string][2]string{
		"drbd-v08 TYPE":                {"", "the image's size is not a multiple of 512, as that of every block device is"},
		"drbd-v09 TYPE":                {"", "the image's size is not a multiple of 512, as that of every block device is"},
		"scoutfs_data TYPE":            {"scoutfs", "one name for both devices of a foreign filesystem"},
		"scoutfs_meta TYPE":            {"scoutfs", "one name for both devices of a foreign filesystem"},
		"squashfs3 TYPE":               {"squashfs", "told apart by a version that is not read; both are foreign"},
		"udf TYPE":                     {"iso9660", bridge},
		"udf-cd-nero-6 TYPE":           {"iso9660", bridge},
		"udf-multi-genisoimage-0 TYPE": {"iso9660", bridge},
		"tuxonice VERSION":             {"1", "that of the swap header, whatever the image in it is"},
		"mdraid VERSION":               {"0.90", "as mdadm says it"},
		"fat32_cp850_O_tilde LABEL":    {"\ufffd", "bytes that are not UTF-8 are never shown as they are"},
	}
}

// expected reads what util-linux's own test expects of an image: udev's properties.
func expected(t *testing.T, images, name string) map[string]string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(images)), "blkid-expected", "low-probe-"+name))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for line := range strings.Lines(string(b)) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), "=")
		want[strings.TrimPrefix(k, "ID_FS_")] = v
	}
	// The other form of a label replaces blanks and unusual characters.
	want["LABEL"] = regexp.MustCompile(`\\x[0-9a-f]{2}`).ReplaceAllStringFunc(want["LABEL_ENC"], func(s string) string {
		n, err := strconv.ParseUint(s[2:], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		return string([]byte{byte(n)})
	})
	want["VERSION"] = strings.ReplaceAll(want["VERSION"], `\x20`, " ")
	return want
}

// TestJudgeBlkid compares what Probe finds on util-linux's images with what util-linux's own tests expect.
func TestJudgeBlkid(t *testing.T) {
	const least = 129
	differences, judged := blkidDifferences(), 0
	for _, path := range fixtures.Glob(t, "blkid", "images-fs_*.xz", least) {
		name := strings.TrimPrefix(fixtures.Name(path), "images-fs_")
		// Discs of several sessions: the type expected of the first session.
		if kind, tool, ok := multiSession(name); ok {
			name = kind + "-multi-" + tool + "-0"
		}
		want := expected(t, path, name)
		im := fixtures.Open(t, path, 0)
		res, err := Probe(im, im.Size)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		judged++
		got := ours(t, name, res)
		fields := []string{"TYPE"}
		if want["TYPE"] == "iso9660" && want["VERSION"] == "" {
			fields = append(fields, "LABEL") // libblkid prefers the label from Joliet's descriptor
		}
		if detailed(want["TYPE"]) {
			fields = []string{"TYPE", "UUID", "LABEL", "VERSION"}
		}
		for _, f := range fields {
			d, known := differences[name+" "+f]
			delete(differences, name+" "+f)
			switch {
			case known && got[f] != d[0]:
				t.Errorf("%s: %s is %q, the list of differences has %q (%s), and util-linux %q", name, f, got[f], d[0], d[1], want[f])
			case known && got[f] == want[f]:
				t.Errorf("%s: %s is %q, as util-linux has it: no difference to list", name, f, got[f])
			case !known && got[f] != want[f]:
				t.Errorf("%s: %s is %q, util-linux expects %q", name, f, got[f], want[f])
			}
		}
	}
	for d := range differences {
		t.Errorf("listed difference %q: no such image or field", d)
	}
	t.Logf("judged %d images by util-linux's expectations, %d of their fields differ on purpose", judged, len(blkidDifferences()))
}

func multiSession(name string) (kind, tool string, ok bool) {
	m := regexp.MustCompile(`^(iso|udf)-multi-[0-9-]+-([a-z]+)$`).FindStringSubmatch(name)
	if m == nil {
		return "", "", false
	}
	return m[1], m[2], true
}

// ours returns what was found, by util-linux's names.
func ours(t *testing.T, name string, res Result) map[string]string {
	t.Helper()
	if len(res.Signatures) == 0 {
		return nil
	}
	if len(res.Signatures) > 1 {
		t.Errorf("%s: more than one signature: %v", name, res.Signatures)
	}
	s := res.Signatures[0]
	if s.Ghost || s.Checksum == Invalid {
		t.Errorf("%s: a remnant (%v) or damaged (%s)", name, s.Ghost, s.Checksum)
	}
	typ := s.Type
	switch typ {
	case "LUKS1", "LUKS2":
		typ = "crypto_LUKS"
	case "hibernation":
		typ = "swsuspend"
	}
	return map[string]string{"TYPE": typ, "UUID": s.UUID, "LABEL": s.Label, "VERSION": s.Version}
}

// TestJudgeTables: a disk with a partition table of any kind of machine is never empty.
func TestJudgeTables(t *testing.T) {
	want := map[string]string{"gpt": "gpt", "dos+bsd": "dos", "bsd": "bsd", "sgi": "sgi", "sun": "sun",
		// Of Atari's and IBM's tables only that there is something: no machine that runs this program has them.
		"atari-primary": UnknownData, "atari-xgm": UnknownData, "dasd-cdl": UnknownData, "dasd-ldl": UnknownData}
	for _, path := range fixtures.Glob(t, "blkid", "images-pt_*.xz", len(want)) {
		name := strings.TrimPrefix(fixtures.Name(path), "images-pt_")
		im := fixtures.Open(t, path, 0)
		res, err := Probe(im, im.Size)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if res.Empty() {
			s, found, err := Unnamed(im, im.Size)
			if err != nil || !found {
				t.Errorf("%s: called empty (%v)", name, err)
				continue
			}
			res.Signatures = []Signature{s}
		}
		if got := res.Signatures[0].Type; got != want[name] {
			t.Errorf("%s: %q, want %q", name, got, want[name])
		}
	}
}
