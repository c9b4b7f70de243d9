package boot

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func deferralSpec() DeferralSpec {
	return DeferralSpec{PlanID: spec().PlanID, OldFS: spec().BootFSUUID, OldPrefix: "/boot/grub", Modules: []string{"part_gpt", "ext2"}, Loaded: []string{"linux"}}
}

const wantDeferral = `### BEGIN migrate-init-deferral 20261121-abcd
# Written by migrate-init: while the old disk is there, its boot loader decides which system is started.
# migrate-init finish removes exactly these lines.
if [ "${migrate_init_handed}" != "20261121-abcd" -a "${migrate_init_deferred}" != "20261121-abcd" ]; then
	insmod part_gpt
	insmod ext2
	if search --no-floppy --fs-uuid --set=migrate_init_old 0a3407de-014b-458b-b5c1-848e92a327a3; then
		if [ -s "(${migrate_init_old})/boot/grub/grub.cfg" ]; then
			insmod linux
			set migrate_init_root="${root}"
			set migrate_init_prefix="${prefix}"
			set migrate_init_deferred=20261121-abcd
			export migrate_init_deferred
			set root="${migrate_init_old}"
			set prefix="(${migrate_init_old})/boot/grub"
			configfile "(${migrate_init_old})/boot/grub/grub.cfg"
			set root="${migrate_init_root}"
			set prefix="${migrate_init_prefix}"
			set timeout_style=menu
			set timeout=60
		fi
	fi
fi
### END migrate-init-deferral 20261121-abcd
`

func TestGRUBDeferral(t *testing.T) {
	got, err := GRUBDeferral(deferralSpec())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(wantDeferral, string(got)); d != "" {
		t.Error(d)
	}
	scriptCheck(t, got)
	own := deferralSpec()
	own.OldPrefix, own.Modules, own.Loaded = "/grub", nil, nil
	if got, err = GRUBDeferral(own); err != nil || !bytes.Contains(got, []byte(`configfile "(${migrate_init_old})/grub/grub.cfg"`)) {
		t.Errorf("a /boot of its own: %v\n%s", err, got)
	}
	scriptCheck(t, got)
}

func TestGRUBDeferralRefusals(t *testing.T) {
	for want, edit := range map[string]func(*DeferralSpec){
		"plan id":         func(s *DeferralSpec) { s.PlanID = "a b" },
		"filesystem UUID": func(s *DeferralSpec) { s.OldFS = "" },
		"old prefix":      func(s *DeferralSpec) { s.OldPrefix = "boot/grub" },
		"old prefix \"/":  func(s *DeferralSpec) { s.OldPrefix = `/boot"; reboot` },
		"module name":     func(s *DeferralSpec) { s.Loaded = []string{"linux; reboot"} },
		"not allowed":     func(s *DeferralSpec) { s.OldFS = "a\nb" },
	} {
		s := deferralSpec()
		edit(&s)
		if _, err := GRUBDeferral(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// TestDeferralRoundTrip: each kind of block is found and removed independently, and the rest of the file is unchanged.
func TestDeferralRoundTrip(t *testing.T) {
	lines, err := GRUBDeferral(deferralSpec())
	if err != nil {
		t.Fatal(err)
	}
	old, err := GRUBSnippet(spec())
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		before := []byte(rapid.StringMatching(`(set a=b|### BEGIN /etc|\n|\r\n| |#){0,9}`).Draw(t, "before"))
		if rapid.Bool().Draw(t, "snippet") {
			if before, err = InsertSnippet(before, old); err != nil {
				t.Fatal(err)
			}
		}
		with, err := InsertDeferral(before, lines)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := FindDeferral(with); err != nil || !bytes.Equal(got, lines) {
			t.Fatalf("found %q, %v", got, err)
		}
		if id, err := SnippetPlan(with); err != nil || (id != "") != bytes.Contains(before, old) && !bytes.Contains(before, []byte("(line end added)")) {
			t.Fatalf("snippet of %q, %v", id, err)
		}
		if rest, found, err := RemoveDeferral(with); err != nil || !found || !bytes.Equal(rest, before) {
			t.Fatalf("%q became %q, %v, %v", before, rest, found, err)
		}
	})
	if got, err := FindDeferral([]byte("x\n")); got != nil || err != nil {
		t.Errorf("none: %q, %v", got, err)
	}
	if _, err := FindDeferral(lines[:40]); err == nil {
		t.Error("one that was cut short was found")
	}
}
