package md

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// judged runs mdadm with a configuration and returns its output; without arrays mdadm always fails.
func judged(t *testing.T, conf string, args ...string) string {
	t.Helper()
	bin, err := exec.LookPath("mdadm")
	if err != nil {
		t.Skip("SKIPPED: mdadm, the oracle of this test, is not installed")
	}
	file := filepath.Join(t.TempDir(), "mdadm.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _ := exec.Command(bin, append(args, "--config="+file)...).CombinedOutput()
	return string(out)
}

const a1, a2 = "a1a1a1a1:00000000:00000000:00000001", "a1a1a1a1:00000000:00000000:00000002"

// TestTwins checks two arrays with one device name against mdadm.
func TestTwins(t *testing.T) {
	for _, c := range []struct {
		conf    string
		twins   bool
		spelled bool // only the meaning is the same, which mdadm does not notice here
	}{
		{"ARRAY /dev/md/root UUID=" + a1 + "\nARRAY /dev/md/root UUID=" + a2 + "\n", true, false},
		{"ARRAY /dev/md/root UUID=" + a1 + "\nMAILADDR x\n  # c\narr 'UUID=" + a2 + "' /dev/md/root\n", true, false},
		{"ARRAY /dev/md/root UUID=" + a1 + "\nARRAY UUID=" + a2 + "\n", false, false},
		{"ARRAY <ignore> UUID=" + a1 + "\nARRAY <ignore> UUID=" + a2 + "\n", false, false},
		{"ARRAY /dev/md/root UUID=" + a1 + "\nARRAY /dev/md/root\n", false, false},
		{"ARRAY /dev/md/root UUID=" + a1 + "\nARRAY /dev/md/root UUID=short\n", false, false},
		{"ARRAY /dev/md/root UUID=" + a1 + "\n#ARRAY /dev/md/root UUID=" + a2 + "\n", false, false},
		{"ARRAY /dev/md/root UUID=" + a1 + "\nARRAY /dev/md/root devices=/dev/sda1\n", true, false},
		{"ARRAY /dev/md/root UUID=" + a1 + "\nARRAY /dev/md/root super-minor=0\n", true, false},
		{"ARRAY /dev/md/root UUID=" + a1 + "\nARRAY /dev/md/root super-minor=x\n", false, false},
		{"ARRAY /dev/md0 UUID=" + a1 + "\nARRAY /dev/md/0 UUID=" + a2 + "\n", true, true},
		{"ARRAY /dev/md/root UUID=" + a1 + "\nARRAY root UUID=" + a2 + "\n", true, true},
		{"ARRAY /dev/md/root UUID=" + a1 + "\nARRAY /dev/md/root2 UUID=" + a2 + "\n", false, false},
	} {
		_, b, twins := WholeConf{{Name: "x", Conf: ParseConf([]byte(c.conf))}}.Twins()
		if twins != c.twins || twins && b.Line == 1 {
			t.Errorf("%q: %v, %v", c.conf, twins, b)
		}
		said := judged(t, "DEVICE /nothing\n"+c.conf, "--assemble", "--scan")
		if got := strings.Contains(said, "Duplicate MD device names"); got != (c.twins && !c.spelled) {
			t.Errorf("%q: mdadm says\n%s", c.conf, said)
		}
		// SetArrays never leaves two arrays with one name.
		u, _ := ParseUUID(a1)
		set := SetArrays([]byte(c.conf), []ConfArray{{Device: "/dev/md/root", UUID: u}}, "")
		if a, b, twins := (WholeConf{{Name: "x", Conf: ParseConf(set)}}).Twins(); twins && deviceName(a.Device) == "root" {
			t.Errorf("%q became\n%s%v and %v are twins", c.conf, set, a, b)
		}
		if said := judged(t, "DEVICE /nothing\n"+string(set), "--assemble", "--scan"); strings.Contains(said, "have the same name: /dev/md/root") || strings.Contains(said, "/dev/md/root given twice") {
			t.Errorf("%q became\n%sand mdadm says\n%s", c.conf, set, said)
		}
	}
	two := WholeConf{{Name: "a", Conf: ParseConf([]byte("ARRAY /dev/md/x UUID=" + a1 + "\n"))}, {Name: "b", Conf: ParseConf([]byte("\nARRAY /dev/md/x UUID=" + a2 + "\n"))}}
	if a, b, twins := two.Twins(); !twins || a.String() != "a line 1" || b.String() != "b line 2" {
		t.Errorf("in two files: %v, %v, %v", a, b, twins)
	}
}

// TestDevicePatterns checks against mdadm which devices DEVICE lines include.
func TestDevicePatterns(t *testing.T) {
	dir := t.TempDir()
	// mdadm compares the name that it is given, and the numbers of the devices that a pattern matches.
	for _, name := range []string{"sda1", "sdb", "a[b", "sub"} {
		at := filepath.Join(dir, name)
		if name == "sub" {
			at = filepath.Join(dir, name, "sda")
			if err := os.Mkdir(filepath.Dir(at), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		disk := filepath.Join(t.TempDir(), "disk")
		if err := os.WriteFile(disk, make([]byte, 1<<20), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(loop(t, disk), at); err != nil {
			t.Fatal(err)
		}
	}
	for _, words := range []string{"DIR/*", "DIR/sd*", "DIR/sd[!b]*", "DIR/sd[^b]*", "DIR/sd[a-c]?", "DIR/sd[[:alpha:]][[:digit:]]", "DIR/sd[[:alpha:]]", "DIR/a[b", "DIR/a\\[b", "DIR/[s]da1", "DIR/sd[]a]1", "DIR/sd[!]a]1",
		"DIR*", "DIR?sda1", "DIR/*/sda", "DIR/sub/sda", "DIR/sda", "DIR/sd\\a1", "DIR/sd[b-a]*", "DIR/**1", "DIR/sd[a", "nothing", "containers", "partitions /x", "PARTITIONS", "/x", "/x DIR/s*", "\"DIR/sd*\"", "DIR/sd[\\]a]1", "DIR/sd[a\\-z]1", "DIR/sd[[:nope:]a]1", "DIR/sub[/]sda"} {
		conf := "DEVICE " + strings.ReplaceAll(words, "DIR", dir) + "\n"
		for _, name := range []string{"sda1", "sdb", "a[b", "sub/sda"} {
			at := filepath.Join(dir, name)
			said := judged(t, conf, "--incremental", at)
			permitted := !strings.Contains(said, "not permitted by mdadm.conf")
			if permitted && !strings.Contains(said, "no recognisable superblock") {
				t.Fatalf("%s: mdadm says %q", at, said)
			}
			if got := ParseConf([]byte(conf)).Covers(at); got != permitted {
				t.Errorf("%s: %s is covered: %v; mdadm says %q", words, name, got, said)
			}
		}
	}
}

// TestClaims: a line claims an array if everything in it agrees; a name without a host means an array of this host.
func TestClaims(t *testing.T) {
	id, _ := ParseUUID(a1)
	for line, want := range map[string]bool{
		"UUID=" + a1: true, "UUID=" + a2: false, "UUID=" + a1 + " name=other": false, "name=host:root": true, "name=ROOT": true, "name=root": true, "name=roots": false, "name=other:root": false,
		"devices=/dev/sd[!b]3": true, "devices=/dev/sdb3,/dev/sdc3": false, "super-minor=0": false, "/dev/md/root": false, "container=x member=0": false, "devices=/dev/[a-z]*": true,
	} {
		l := ParseConf([]byte("ARRAY " + line + "\n")).Arrays()[0]
		if got := l.Claims(id, "host:root", "1.2", []string{"/dev/sda3"}); got != want {
			t.Errorf("%s: %v", line, got)
		}
	}
	if l := ParseConf([]byte("ARRAY super-minor=0\n")).Arrays()[0]; !l.Claims(id, "host:root", "0.90", nil) {
		t.Error("super-minor= does not claim an array that has one")
	}
}
