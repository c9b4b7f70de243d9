package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// becomeInit makes of an empty initramfs a place where commands run: the kernel's filesystems, busybox's applets for what
// the image does not carry itself, and the modules in the order of /lab/modules.
func becomeInit() error {
	for _, m := range []struct{ kind, at, data string }{
		{"proc", "/proc", ""}, {"sysfs", "/sys", ""}, {"devtmpfs", "/dev", ""},
		{"tmpfs", "/run", "mode=0755"}, {"tmpfs", "/tmp", ""},
	} {
		if err := os.MkdirAll(m.at, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.kind, m.at, m.kind, 0, m.data); err != nil && err != unix.EBUSY {
			return fmt.Errorf("mount %s: %w", m.at, err)
		}
	}
	for _, l := range [][2]string{{"/proc/self/fd", "/dev/fd"}, {"/proc/mounts", "/etc/mtab"}} {
		_ = os.MkdirAll(filepath.Dir(l[1]), 0o755)
		_ = os.Symlink(l[0], l[1])
	}
	// Their own directory, last in PATH: the image's real tools come first.
	if out, err := exec.Command("/bin/busybox", "--install", "-s", "/applets").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "lab agent: busybox applets: %v: %s\n", err, out)
	}
	return loadModules("/lab/modules")
}

func loadModules(list string) error {
	f, err := os.Open(list)
	if err != nil {
		return err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		path, params, _ := strings.Cut(s.Text(), " ")
		m, err := os.Open(path)
		if err != nil {
			return err
		}
		err = unix.FinitModule(int(m.Fd()), params, 0)
		_ = m.Close()
		if err != nil && err != unix.EEXIST {
			return fmt.Errorf("module %s: %w", path, err)
		}
	}
	return nil
}

// halt ends the small guest. Its PID 1 reaps no one: os/exec waits for the agent's own children, and orphans may stay
// zombies for the minute the guest lives.
func halt() {
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}
