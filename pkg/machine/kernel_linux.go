package machine

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// writeSys writes with a single write(2), because sysfs takes each one as a whole command. It refuses other filesystems, where
// a setting that does not exist would be created as a file.
func writeSys(e WriteSys) error {
	f, err := os.OpenFile(e.Path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return pathError("statfs", e.Path, err)
	}
	if magic := int64(st.Type); magic != unix.SYSFS_MAGIC && magic != unix.PROC_SUPER_MAGIC {
		return pathError("set", e.Path, fmt.Errorf("is not on sysfs or procfs (magic %#x)", magic))
	}
	n, err := unix.Write(int(f.Fd()), []byte(e.Value))
	if err == nil && n != len(e.Value) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return pathError("set", e.Path, fmt.Errorf("to %q: %w", strings.TrimSuffix(e.Value, "\n"), err))
	}
	return nil
}

func loadModule(e LoadModule) error {
	err := insertModule(e)
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	if err != nil {
		return pathErrorOnce("load module", e.Path, err)
	}
	return nil
}

func insertModule(e LoadModule) error {
	if e.Image != nil {
		return unix.InitModule(e.Image, e.Options)
	}
	f, err := os.Open(e.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	flags := 0
	if !strings.HasSuffix(e.Path, ".ko") {
		flags = unix.MODULE_INIT_COMPRESSED_FILE // needs Linux 5.17
	}
	return unix.FinitModule(int(f.Fd()), e.Options, flags)
}

// syncGrace bounds the final flush: a disk that hangs must not keep the machine from booting the old system.
const syncGrace = 30 * time.Second

// resetGrace is how long drivers may take to shut their devices down, which reboot(2) waits for. A working disk takes seconds;
// most drivers give up on a dead one after a minute.
const resetGrace = 2 * time.Minute

// unlessDone calls instead if f has not returned after limit. It still waits for f.
func unlessDone(limit time.Duration, f func() error, instead func()) error {
	late := time.AfterFunc(limit, instead)
	defer late.Stop()
	return f()
}

// reset restarts the machine at once, without shutting down any driver.
func reset() {
	if f, err := os.OpenFile("/proc/sysrq-trigger", os.O_WRONLY, 0); err == nil {
		_, _ = f.WriteString("b") // there is no other way left if it fails
	}
}

// within waits for f, but no longer than limit, and reports whether f has returned.
func within(limit time.Duration, f func()) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	late := time.NewTimer(limit)
	defer late.Stop()
	select {
	case <-done:
		return true
	case <-late.C:
		return false
	}
}

func reboot(e Reboot) error {
	how := map[string]uint32{
		"reboot":   unix.LINUX_REBOOT_CMD_RESTART,
		"poweroff": unix.LINUX_REBOOT_CMD_POWER_OFF,
		"halt":     unix.LINUX_REBOOT_CMD_HALT,
	}
	cmd, ok := how[e.How]
	if !ok {
		return fmt.Errorf("reboot: %q is neither reboot, poweroff nor halt", e.How)
	}
	if pid := os.Getpid(); pid != 1 {
		return fmt.Errorf("%s: process is %d, not 1: use the tools of the running system", e.How, pid)
	}
	within(syncGrace, unix.Sync)
	instead := reset
	if e.How != "reboot" {
		instead = func() {} // a machine that should be off must not restart
	}
	if err := unlessDone(resetGrace, func() error { return unix.Reboot(int(cmd)) }, instead); err != nil {
		return fmt.Errorf("%s: %w", e.How, err)
	}
	return nil
}
