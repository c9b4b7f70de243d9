package machine

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestKernelMessage(t *testing.T) {
	for record, want := range map[string]string{
		"3,339,5140900,-;EXT4-fs error (device vda2): bad\n SUBSYSTEM=block\n DEVICE=b254:2\n": "EXT4-fs error (device vda2): bad",
		"6,1,0,c;a; b\n":      "a; b",
		"11,340,1,-;forged\n": "", // facility 1: a process
		"nonsense\n":          "",
		";\n":                 "",
		"":                    "",
	} {
		got, ok := kernelMessage(record)
		if got != want || ok != (want != "") {
			t.Errorf("%q: %q %v", record, got, ok)
		}
	}
}

// TestKernelLog checks that new messages of the kernel are returned once, and those of processes are not.
func TestKernelLog(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOTHING TESTED: needs root, for the kernel log and a mount")
	}
	l, err := OpenKernelLog()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(l.fd) //nolint:errcheck // only read
	mine := fmt.Sprintf("migrate-init test %d", os.Getpid())
	k, err := OpenKmsg(mine)
	must(t, err)
	must(t, k.Log(6, "not the kernel"))
	dev, _ := loopDevice(t, 1<<20)
	if err := unix.Mount(dev, t.TempDir(), "ext4", unix.MS_RDONLY, ""); err == nil {
		t.Fatal("an empty device is mounted")
	}
	name := "(" + strings.TrimPrefix(dev, "/dev/") + ")"
	count := func() (kernels, processes int) {
		lines, _, err := l.Lines(func(s string) bool { return strings.Contains(s, name) || strings.Contains(s, mine) })
		must(t, err)
		for _, s := range lines {
			if strings.Contains(s, mine) {
				processes++
			} else {
				kernels++
			}
		}
		return kernels, processes
	}
	if kernels, processes := count(); kernels == 0 || processes != 0 {
		t.Errorf("%d lines of the kernel about %s, %d of this process", kernels, name, processes)
	}
	if kernels, _ := count(); kernels != 0 {
		t.Errorf("%d lines a second time", kernels)
	}
}
