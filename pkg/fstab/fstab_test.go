package fstab

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const debian = `# /etc/fstab: static file system information.
#
# <file system> <mount point>   <type>  <options>       <dump>  <pass>
UUID=0a3407de-014b-458b-b5c1-848e92a327a3 /               ext4    errors=remount-ro 0       1
UUID="f9fe0b69-a280-415d-a03a-a32752370dee"   none            swap    sw              0       0
/dev/disk/by-id/ata-X-part1	/boot/efi	vfat	umask=0077,nofail	0	2
LABEL=my\040data /srv/my\040data xfs defaults,context="a:b,c" 0 2 # trailing words
/srv/a  /srv/b none bind 0 0
PARTUUID=1234-01 /m ext4
   # indented comment
tmpfs /tmp tmpfs size=1G
`

func TestEntries(t *testing.T) {
	f, err := Parse([]byte(debian))
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		Line              int
		Kind              Kind
		Value, File, Type string
		Bind              bool
		Passno            int
	}
	var got []row
	for _, e := range f.Entries() {
		got = append(got, row{e.Line, e.Spec.Kind, e.Spec.Value, e.File, e.VFSType, e.IsBind(), e.Passno})
	}
	want := []row{
		{4, UUID, "0a3407de-014b-458b-b5c1-848e92a327a3", "/", "ext4", false, 1},
		{5, UUID, "f9fe0b69-a280-415d-a03a-a32752370dee", "none", "swap", false, 0},
		{6, Device, "/dev/disk/by-id/ata-X-part1", "/boot/efi", "vfat", false, 2},
		{7, Label, "my data", "/srv/my data", "xfs", false, 2},
		{8, Device, "/srv/a", "/srv/b", "none", true, 0},
		{9, PartUUID, "1234-01", "/m", "ext4", false, 0},
		{11, Other, "tmpfs", "/tmp", "tmpfs", false, 0},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if m := f.Malformed(); m != nil {
		t.Errorf("malformed: %v", m)
	}
	if l := f.Entries()[3].Options.List(); !cmp.Equal(l, []string{"defaults", `context="a:b,c"`}) {
		t.Errorf("options: %q", l)
	}
}

// Every change is a line before and after; the rest of the file must not change.
func TestChanges(t *testing.T) {
	newUUID := Spec{Kind: UUID, Value: "11111111-2222-3333-4444-555555555555"}
	for _, c := range []struct {
		name, before, after string
		do                  func(*File) error
	}{
		{"same length keeps columns", "UUID=0a3407de-014b-458b-b5c1-848e92a327a3 /   ext4 x 0 1\n",
			"UUID=11111111-2222-3333-4444-555555555555 /   ext4 x 0 1\n", func(f *File) error { return f.SetSpec(2, newUUID) }},
		{"quotes are kept", "UUID=\"a\" / ext4 x 0 1\n", "UUID=\"11111111-2222-3333-4444-555555555555\" / ext4 x 0 1\n",
			func(f *File) error { return f.SetSpec(2, newUUID) }},
		{"column of spaces absorbs growth", "/dev/vda1       /   ext4\n", "/dev/md/root    /   ext4\n",
			func(f *File) error { return f.SetSpec(2, Spec{Kind: Device, Value: "/dev/md/root"}) }},
		{"one space stays one", "/dev/mapper/long / ext4\n", "/dev/md0 / ext4\n",
			func(f *File) error { return f.SetSpec(2, Spec{Kind: Device, Value: "/dev/md0"}) }},
		{"tabs stay", "/dev/a\t/\text4\tdefaults\t0\t1\n", "/dev/bbbbbbbbbbb\t/\text4\tdefaults\t0\t1\n",
			func(f *File) error { return f.SetSpec(2, Spec{Kind: Device, Value: "/dev/bbbbbbbbbbb"}) }},
		{"crlf and no newline", "/dev/a / ext4 ro 0 1 \r\n", "/dev/a / ext4 ro,nofail 0 1 \r\n",
			func(f *File) error { return f.SetOptions(2, f.Entries()[0].Options+",nofail") }},
		{"options added", "/dev/a / ext4\n", "/dev/a / ext4 nofail\n",
			func(f *File) error { return f.SetOptions(2, "nofail") }},
		{"removed", "/dev/a /x ext4\n", "", func(f *File) error { return f.Remove(2) }},
		{"commented out", "/dev/a /x ext4", "# migrate-init: gone\n#/dev/a /x ext4", func(f *File) error { return f.CommentOut(2, "migrate-init:\ngone") }},
		{"appended after a line without end", "/dev/a /x ext4", "/dev/a /x ext4\nUUID=11111111-2222-3333-4444-555555555555 /a\\040b ext4 defaults 0 2\n",
			func(f *File) error {
				line, err := f.Append(Entry{Spec: newUUID, File: "/a b", VFSType: "ext4", Passno: 2})
				if err == nil && line != 3 {
					t.Errorf("line %d", line)
				}
				return err
			}},
	} {
		f, err := Parse([]byte("# one\n" + c.before))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.do(&f); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if d := cmp.Diff("# one\n"+c.after, string(f.Bytes())); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		want string
		do   func(*File) error
	}{
		{"line 9: the file has 3 lines", func(f *File) error { return f.Remove(9) }},
		{"line 1: not an entry", func(f *File) error { return f.SetOptions(1, "ro") }},
		{"3 fields, field 6", func(f *File) error { return f.set(2, fieldPassno, "1") }},
		{"empty", func(f *File) error { return f.set(2, fieldFile, "") }},
		{"line 2: not an entry", func(f *File) error {
			if err := f.Remove(2); err != nil {
				return err
			}
			return f.SetOptions(2, "ro")
		}},
		{"empty", func(f *File) error { _, err := f.Append(Entry{}); return err }},
	} {
		f, _ := Parse([]byte("# c\n/dev/a / ext4\n/dev/b\n"))
		if err := c.do(&f); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
	if _, err := Parse([]byte("a\x00b")); err == nil {
		t.Error("NUL byte accepted")
	}
	f, _ := Parse([]byte("/dev/b\n/dev/a / ext4 ro x 0\n/dev/a / ext4 ro # why\n/dev/a / ext4 #why\n/dev/a / ext4 ro 0 # why\n/dev/a / ext4 ro 0 2 # why\n"))
	var lines []int
	for _, m := range f.Malformed() {
		lines = append(lines, m.Line)
	}
	if d := cmp.Diff([]int{1, 2, 3, 4, 5}, lines); d != "" {
		t.Errorf("malformed: %s", d)
	}
}

// findmnt must read the same lines, and the same fields, as Entries without the malformed lines.
func TestFindmntOracle(t *testing.T) {
	tool, err := exec.LookPath("findmnt")
	if err != nil {
		t.Skip("SKIPPED: findmnt is missing (package util-linux)")
	}
	const in = debian + "/dev/a / ext4 ro x 0\n/dev/c /c ext4 ro # why\n/dev/d /d ext4 # why\n/dev/e /e ext4 ro 0 # why\n/dev/g\t/g\\011\\134 ext4 a\\040b -1 2 why\r\n"
	name := filepath.Join(t.TempDir(), "fstab")
	if err := os.WriteFile(name, []byte(in), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(tool, "--tab-file", name, "--json", "--list", "-o", "SOURCE,TARGET,FSTYPE,OPTIONS,FREQ,PASSNO").Output()
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		Source, Target, FSType, Options string
		Freq, Passno                    int
	}
	var theirs struct{ Filesystems []row }
	if err := json.Unmarshal(out, &theirs); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	f, err := Parse([]byte(in))
	if err != nil {
		t.Fatal(err)
	}
	var ours []row
	for _, e := range f.Entries() {
		if !slices.ContainsFunc(f.Malformed(), func(m Malformed) bool { return m.Line == e.Line }) {
			ours = append(ours, row{Unescape(e.Spec.String()), e.File, e.VFSType, string(e.Options), e.Freq, e.Passno})
		}
	}
	if d := cmp.Diff(theirs.Filesystems, ours); d != "" {
		t.Errorf("-findmnt +ours:\n%s", d)
	}
}

func TestOptions(t *testing.T) {
	if v, ok := Options("subvol=@,subvol=@b").get("subvol"); v != "@b" || !ok {
		t.Errorf("last value: %q %v", v, ok)
	}
}

func TestCrypttab(t *testing.T) {
	const in = "# <name>\t<device>\nroot_crypt UUID=aaaa none luks,discard\nswap   /dev/vda2   /dev/urandom   swap\nbare /dev/x\nbad\n"
	c, err := ParseCrypttab([]byte(in))
	if err != nil {
		t.Fatal(err)
	}
	e := c.Entries()
	if len(e) != 3 || e[0].Source.Kind != UUID || !e[0].Options.Has("discard") || e[1].Key != "/dev/urandom" || e[2].Key != "" {
		t.Errorf("entries %+v", e)
	}
	if m := c.Malformed(); len(m) != 1 || m[0].Line != 5 {
		t.Errorf("malformed %+v", m)
	}
	if string(c.Bytes()) != in {
		t.Error("not identical")
	}
	steps := []error{
		c.SetSource(2, Spec{Kind: UUID, Value: "bbbb-cc"}), c.SetOptions(2, e[0].Options+",initramfs"),
		c.SetSource(3, Spec{Kind: Device, Value: "/dev/md1"}), c.CommentOut(4, "why"), c.Remove(5),
	}
	if _, err := c.Append(CryptEntry{Name: "n", Source: Spec{Kind: UUID, Value: "d"}}); err != nil {
		t.Error(err)
	}
	for _, err := range steps {
		if err != nil {
			t.Error(err)
		}
	}
	const want = "# <name>\t<device>\nroot_crypt UUID=bbbb-cc none luks,discard,initramfs\nswap   /dev/md1    /dev/urandom   swap\n" +
		"# why\n#bare /dev/x\nn UUID=d none luks\n"
	if d := cmp.Diff(want, string(c.Bytes())); d != "" {
		t.Error(d)
	}
	if err := c.SetOptions(6, ""); err == nil {
		t.Error("options of a line without them were set")
	}
}

func TestMtab(t *testing.T) {
	for _, c := range []struct {
		exists bool
		mode   fs.FileMode
		link   string
		want   MtabState
	}{
		{false, 0, "", MtabAbsent},
		{true, 0o644, "", MtabFile},
		{true, fs.ModeSymlink | 0o777, "../proc/self/mounts", MtabProc},
		{true, fs.ModeSymlink | 0o777, "/proc/mounts", MtabProc},
		{true, fs.ModeSymlink | 0o777, "../var/mtab", MtabOther},
		{true, fs.ModeDir | 0o755, "", MtabOther},
	} {
		if got := Mtab(c.exists, c.mode, c.link); got != c.want {
			t.Errorf("%v %q: %v, want %v", c.mode, c.link, got, c.want)
		}
	}
}

func TestEscapeRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		if got := Unescape(escape(s)); got != s {
			t.Fatalf("%q became %q", s, got)
		}
	})
}

// A changed spec changes that spec and the blanks behind it, and nothing else.
func TestSetSpecLocal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[a-zA-Z0-9/=,.-]{1,12}`)
		gap := rapid.StringMatching(`[ \t]{1,9}`)
		line := rapid.StringMatching(`[ \t]{0,3}`).Draw(t, "lead")
		n := rapid.IntRange(3, 7).Draw(t, "n")
		for range n {
			line += word.Draw(t, "w") + gap.Draw(t, "g")
		}
		f, err := Parse([]byte("#x\n" + line + "\n/dev/z\t/z  ext4"))
		if err != nil {
			t.Fatal(err)
		}
		before := f.Entries()
		spec := Spec{Kind: UUID, Value: word.Draw(t, "new")}
		if err := f.SetSpec(2, spec); err != nil {
			t.Fatal(err)
		}
		after := f.Entries()
		if after[0].Spec.Value != spec.Value && after[0].Spec.Quote == 0 {
			t.Fatalf("spec %+v, want %+v", after[0].Spec, spec)
		}
		if len(before) != len(after) || strings.Join(strings.Fields(before[0].Raw)[1:], " ") != strings.Join(strings.Fields(after[0].Raw)[1:], " ") {
			t.Fatalf("%q became %q", before[0].Raw, after[0].Raw)
		}
		if !strings.HasPrefix(string(f.Bytes()), "#x\n") || !strings.HasSuffix(string(f.Bytes()), "\n/dev/z\t/z  ext4") {
			t.Fatal("other lines moved")
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(debian))
	f.Add([]byte("a b c\r\n\r\n\\777 \\08 x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse(data)
		if err != nil {
			return
		}
		if string(file.Bytes()) != string(data) {
			t.Fatal("render is not the identity")
		}
		file.Malformed()
		for _, e := range file.Entries() {
			// Writing back what was read may normalize escapes, but must not change the meaning.
			if err := file.SetSpec(e.Line, e.Spec); err != nil {
				continue
			}
			if again := ParseSpec(e.Spec.String()); e.Spec.Kind != Device && again.Kind != e.Spec.Kind {
				t.Fatalf("%+v became %+v", e.Spec, again)
			}
		}
		changeOne(t, data)
		c, err := ParseCrypttab(data)
		if err != nil || string(c.Bytes()) != string(data) {
			t.Fatalf("crypttab: render is not the identity: %v", err)
		}
		c.Entries()
	})
}

// changeOne changes each of the first entries by itself: its line must have the change, and no other line may change.
func changeOne(t *testing.T, data []byte) {
	t.Helper()
	const options = "ro,nofail"
	before, _ := Parse(data)
	old := strings.SplitAfter(string(data), "\n")
	for i, e := range before.Entries()[:min(8, len(before.Entries()))] {
		f, _ := Parse(data)
		if err := errors.Join(f.SetOptions(e.Line, options), f.set(e.Line, fieldFile, escape("/new place"))); err != nil {
			t.Fatalf("line %d: %v", e.Line, err)
		}
		lines := strings.SplitAfter(string(f.Bytes()), "\n")
		if len(lines) != len(old) {
			t.Fatalf("%d lines became %d", len(old), len(lines))
		}
		for n := range lines {
			if n+1 != e.Line && lines[n] != old[n] {
				t.Fatalf("line %d changed, too: %q", n+1, lines[n])
			}
		}
		again, err := Parse(f.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		got := again.Entries()[i]
		if got.File != "/new place" || got.Options != options || got.Spec != e.Spec || got.Passno != e.Passno || got.VFSType != e.VFSType {
			t.Fatalf("%q became %q", e.Raw, got.Raw)
		}
	}
}
