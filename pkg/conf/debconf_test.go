package conf

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const database = `Name: grub-pc/chainload_from_menu.lst
Template: grub-pc/chainload_from_menu.lst
Value: true
Owners: grub-pc

Name: grub-pc/install_devices
Template: grub-pc/install_devices
Value: /dev/disk/by-id/ata-A, /dev/disk/by-id/x\,y
Owners: grub-pc
Flags: seen
Variables:
 CHOICES = Name: not a field
 RAW_CHOICES = 

Name: grub-pc/install_devices_empty
Template: grub-pc/install_devices_empty
Owners: grub-pc
`

func TestDebconf(t *testing.T) {
	d, err := ParseDebconf([]byte(database))
	if err != nil {
		t.Fatal(err)
	}
	if string(d.Bytes()) != database || len(d.questions) != 3 {
		t.Errorf("questions %v, or not identical", d.questions)
	}
	const devices = "grub-pc/install_devices"
	if v, ok := d.Value(devices); !ok || v != JoinChoices([]string{"/dev/disk/by-id/ata-A", "/dev/disk/by-id/x,y"}) {
		t.Errorf("choices %q", v)
	}
	if _, ok := d.Value("grub-pc/install_devices_empty"); ok {
		t.Error("a value that is not there")
	}
	for _, err := range []error{
		d.SetValue(devices, "/dev/disk/by-id/new"), d.SetValue("grub-pc/install_devices_empty", "a\nb"), d.SetValue("grub-pc/chainload_from_menu.lst", "true"),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	want := strings.ReplaceAll(database, `/dev/disk/by-id/ata-A, /dev/disk/by-id/x\,y`, "/dev/disk/by-id/new")
	want = strings.ReplaceAll(want, "_devices_empty\nOwners", "_devices_empty\nValue: a\\nb\nOwners")
	if diff := cmp.Diff(want, string(d.Bytes())); diff != "" {
		t.Error(diff)
	}
	if v, _ := d.Value("grub-pc/install_devices_empty"); v != "a\nb" {
		t.Errorf("%q", v)
	}
	if err := d.SetValue("none/such", "x"); err == nil || !strings.Contains(err.Error(), "not in the database") {
		t.Errorf("unknown question: %v", err)
	}
	for _, v := range []string{`a\nb`, "a\rb"} {
		if d.SetValue(devices, v) == nil {
			t.Errorf("%q accepted", v)
		}
	}
}

func TestDebconfAmbiguity(t *testing.T) {
	for want, in := range map[string]string{
		"again at line 4": "Name: a\nValue: 1\n\nName: a\nValue: 2\n", "second name": "Name: a\nName: b\n",
	} {
		if _, err := ParseDebconf([]byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// debconf itself reads what this package wrote.
func TestDebconfOracle(t *testing.T) {
	perl, err := exec.LookPath("perl")
	if err != nil {
		t.Skip("SKIPPED: perl is missing (package perl-base)")
	}
	if err := exec.Command(perl, "-MDebconf::Format::822", "-e", "1").Run(); err != nil {
		t.Skip("SKIPPED: Debconf::Format::822 is missing (package debconf)")
	}
	d, err := ParseDebconf([]byte(database))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.SetValue("grub-pc/install_devices_empty", "x\ny: z"); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "config.dat")
	if err := os.WriteFile(file, d.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	script := `my $f = bless {}, 'Debconf::Format::822'; open my $h, '<', $ARGV[0]; ` +
		`while (my ($n, $d) = $f->read($h)) { last unless defined $n; print "$n=$d->{fields}{value}|" if defined $d->{fields}{value} }`
	out, err := exec.Command(perl, "-MDebconf::Format::822", "-e", script, file).CombinedOutput()
	const want = "grub-pc/chainload_from_menu.lst=true|grub-pc/install_devices=/dev/disk/by-id/ata-A, /dev/disk/by-id/x\\,y|" +
		"grub-pc/install_devices_empty=x\ny: z|"
	if err != nil || string(out) != want {
		t.Errorf("debconf reads %q, %v", out, err)
	}
}

func FuzzDebconf(f *testing.F) {
	f.Add([]byte(database), "x")
	f.Add([]byte("\n\nName: a"), "y\nz")
	f.Fuzz(func(t *testing.T, data []byte, value string) {
		d, err := ParseDebconf(data)
		if err != nil {
			return
		}
		if string(d.Bytes()) != string(data) {
			t.Fatal("render is not the identity")
		}
		for _, q := range d.questions {
			if d.SetValue(q.name, value) != nil {
				return
			}
		}
		again, err := ParseDebconf(d.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range d.questions {
			if v, ok := again.Value(q.name); !ok || v != value {
				t.Fatalf("%q: %q, want %q", q.name, v, value)
			}
		}
	})
}
