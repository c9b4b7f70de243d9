package lvm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const mib = 1 << 20

// lab is a set of loop devices to which LVM's own programs write, without device-mapper: nothing is activated.
type lab struct {
	t     *testing.T
	dir   string
	files []string
	loops []string
}

// newLab creates n devices of size bytes. It skips the test if there is no LVM or no loop device.
func newLab(t *testing.T, n int, size int64) *lab {
	t.Helper()
	if _, err := exec.LookPath("lvm"); err != nil {
		t.Skipf("SKIPPED: lvm2 is not installed: LVM's own programs judge nothing here: %v", err)
	}
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: not root: LVM works on block devices only, and loop devices need root")
	}
	l := &lab{t: t, dir: t.TempDir()}
	for i := range n {
		f := filepath.Join(l.dir, fmt.Sprintf("pv%d", i))
		if err := os.WriteFile(f, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(f, size); err != nil {
			t.Fatal(err)
		}
		l.files = append(l.files, f)
		l.loops = append(l.loops, l.attach(f))
	}
	return l
}

func (l *lab) attach(file string) string {
	l.t.Helper()
	out, err := exec.Command("losetup", "--find", "--show", file).CombinedOutput()
	if err != nil {
		l.t.Skipf("SKIPPED: losetup: %v: %s", err, out)
	}
	dev := strings.TrimSpace(string(out))
	l.t.Cleanup(func() { _ = exec.Command("losetup", "--detach", dev).Run() })
	return dev
}

// run runs a command of LVM that sees only the devices of the lab, without those in hide.
func (l *lab) run(hide []string, args ...string) (stdout, stderr string, err error) {
	var accept []string
	for _, d := range l.loops {
		if !strings.Contains(" "+strings.Join(hide, " ")+" ", " "+d+" ") {
			accept = append(accept, fmt.Sprintf("%q", "a|^"+d+"$|"))
		}
	}
	conf := fmt.Sprintf("devices { use_devicesfile=0 hints=\"none\" scan_lvs=0 obtain_device_list_from_udev=0 global_filter=[%s, \"r|.*|\"] }\n"+
		"global { locking_dir=%q }\nbackup { backup=0 archive=0 }\nactivation { udev_sync=0 udev_rules=0 monitoring=0 }\n"+
		"allocation { maximise_cling=1 }\n", strings.Join(accept, ", "), filepath.Join(l.dir, "lock"))
	if err := os.WriteFile(filepath.Join(l.dir, "lvm.conf"), []byte(conf), 0o600); err != nil {
		l.t.Fatal(err)
	}
	c := exec.Command("lvm", append(args, "--driverloaded", "n")...)
	c.Env = append(os.Environ(), "LVM_SYSTEM_DIR="+l.dir, "LVM_SUPPRESS_FD_WARNINGS=1", "LC_ALL=C", "TZ=UTC")
	var out, bad bytes.Buffer
	c.Stdout, c.Stderr = &out, &bad
	err = c.Run()
	return out.String(), bad.String(), err
}

// lvm runs a command that must succeed; @0, @1 ... are the devices.
func (l *lab) lvm(args ...string) string {
	l.t.Helper()
	return l.without(nil, args...)
}

// without runs a command that does not see some devices.
func (l *lab) without(hide []string, args ...string) string {
	l.t.Helper()
	args = append([]string(nil), args...)
	for i, a := range args {
		for n, dev := range l.loops {
			if a == fmt.Sprintf("@%d", n) {
				args[i] = dev
			}
		}
	}
	out, bad, err := l.run(hide, args...)
	if err != nil {
		l.t.Fatalf("lvm %q: %v\n%s%s", args, err, out, bad)
	}
	return out
}

// report asks lvs, pvs or vgs for fields, and returns for each row the values by field name.
func (l *lab) report(hide []string, what, fields string, args ...string) []map[string]string {
	l.t.Helper()
	out := l.without(hide, append([]string{what, "--reportformat", "json", "--units", "b", "--nosuffix", "-o", fields}, args...)...)
	var r struct {
		Report []map[string][]map[string]string
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil || len(r.Report) != 1 {
		l.t.Fatalf("%s: %v\n%s", what, err, out)
	}
	for _, rows := range r.Report[0] {
		return rows
	}
	return nil
}

// scan reads the devices as they are now, without those in hide; each has the name of its loop device.
func (l *lab) scan(hide ...string) []Device {
	l.t.Helper()
	var out []Device
	for i, dev := range l.loops {
		if strings.Contains(" "+strings.Join(hide, " ")+" ", " "+dev+" ") {
			continue
		}
		d, err := scanFile(dev, l.files[i])
		if err != nil {
			l.t.Fatalf("%s: %v", dev, err)
		}
		out = append(out, d)
	}
	return out
}

// image returns the first mib MiB of a device's file.
func (l *lab) image(i int) []byte {
	l.t.Helper()
	b, err := os.ReadFile(l.files[i])
	if err != nil {
		l.t.Fatal(err)
	}
	return b[:min(len(b), 2*mib)]
}

func scanFile(name, file string) (Device, error) {
	f, err := os.Open(file)
	if err != nil {
		return Device{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return Device{}, err
	}
	return Scan(name, f, st.Size())
}
