package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSwitchRootRefusesOutsidePID1(t *testing.T) {
	dir := t.TempDir()
	err := do(t, SwitchRoot{NewRoot: dir, Init: "/sbin/init"})
	wantError(t, err, "switch root", fmt.Sprintf("process is %d, not 1", os.Getpid()))
}

func TestMayLeaveNeedsMemoryAndOurMarker(t *testing.T) {
	var st unix.Statfs_t
	must(t, unix.Statfs("/", &st))
	if m := uint32(st.Type); m == unix.TMPFS_MAGIC || m == unix.RAMFS_MAGIC {
		t.Skip("SKIPPED: / is memory here")
	}
	wantError(t, mayLeave(1, "/etc/passwd"), "neither ramfs nor tmpfs")
}

func TestMayEnterRefuses(t *testing.T) {
	for root, words := range map[string]string{
		"/": "below /", "relative": "absolute", "/run/new": "is below /run", "/tmp": "is below /tmp",
		"/nonexistent": "no such file", "/etc": "nothing is mounted", "/etc/passwd": "not a directory",
	} {
		wantError(t, mayEnter(root, "/sbin/init"), words)
	}
}

// layRoot makes the old root, a tmpfs, and the new root in it.
func layRoot(t *testing.T, flags MountFlag) (root, out string) {
	t.Helper()
	needRoot(t)
	self, err := os.Executable()
	must(t, err)
	binary, err := os.ReadFile(self)
	must(t, err)
	root, out = t.TempDir(), t.TempDir()
	must(t, do(t, Mount{"tmpfs", root, "tmpfs", 0, "", false}))
	t.Cleanup(func() { must(t, unix.Unmount(root, unix.MNT_DETACH)) })
	for _, d := range []string{"dev", "proc", "sys", "run", "tmp", "out", "new", "other", "deep/er", "place"} {
		must(t, do(t, Mkdir{filepath.Join(root, d), 0o755}))
	}
	must(t, os.WriteFile(filepath.Join(root, "migrate-init.image"), nil, 0o644))
	must(t, os.WriteFile(filepath.Join(root, "deep/er/file"), []byte("x"), 0o644))
	must(t, os.WriteFile(filepath.Join(out, "precious"), []byte("x"), 0o644))
	must(t, os.Symlink(out, filepath.Join(root, "link-out")))
	must(t, os.Symlink("/place", filepath.Join(root, "link-in")))
	newRoot := filepath.Join(root, "new")
	must(t, do(t, Mount{"tmpfs", newRoot, "tmpfs", 0, "", false}))
	must(t, do(t, Mount{"tmpfs", filepath.Join(root, "other"), "tmpfs", 0, "", false}))
	must(t, os.WriteFile(filepath.Join(root, "other/kept"), []byte("x"), 0o644))
	for _, d := range []string{"dev", "proc", "usr/lib", "out", "etc"} {
		must(t, do(t, Mkdir{filepath.Join(newRoot, d), 0o755}))
	}
	must(t, os.WriteFile(filepath.Join(newRoot, "usr/lib/init"), binary, 0o755))
	must(t, os.WriteFile(filepath.Join(newRoot, "etc/data"), nil, 0o644))
	must(t, os.Symlink("/usr/lib/init", filepath.Join(newRoot, "init")))
	must(t, do(t, Mount{out, filepath.Join(newRoot, "out"), "", Bind, "", false}))
	if flags != 0 {
		must(t, unix.Mount("", newRoot, "", unix.MS_REMOUNT|mountFlags(flags), ""))
	}
	return root, out
}

func pid1(t *testing.T, role string, env ...string) (*exec.Cmd, *bytes.Buffer) {
	cmd := child(t, role, env...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS}
	return cmd, &said
}

// childSwitchRoot is PID 1 of a PID namespace: it makes the tmpfs its root, mounts like an initramfs, and switches root.
func childSwitchRoot() error {
	root, init, marker := os.Getenv("OLD"), os.Getenv("INIT"), os.Getenv("MARKER")
	steps := []func() error{
		func() error { return unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, "") },
		func() error { return unix.Chdir(root) },
		func() error { return unix.Mount(root, root, "", unix.MS_BIND|unix.MS_REC, "") },
		func() error { return unix.Chdir(root) },
		func() error { return unix.PivotRoot(".", "place") },
		func() error { return unix.Chdir("/") },
		func() error { return unix.Unmount("/place", unix.MNT_DETACH) },
	}
	for i, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	r := &Real{Image: marker}
	ctx := context.Background()
	for _, e := range EarlyMounts() {
		if _, err := r.Do(ctx, e); err != nil {
			return fmt.Errorf("%s: %w", e, err)
		}
	}
	for _, e := range EarlyMounts() {
		if m, again := e.(Mount); again {
			return fmt.Errorf("%s would be mounted twice", m.Target)
		}
		if _, err := r.Do(ctx, e); err != nil {
			return fmt.Errorf("again, %s: %w", e, err)
		}
	}
	_, err := r.Do(ctx, SwitchRoot{NewRoot: "/new", Init: init, Args: []string{"one", "two words"}, Env: []string{childRole + "=init", "X=y"}})
	for _, dir := range movedMounts() {
		if !isMountPoint(dir) {
			err = errors.Join(err, fmt.Errorf("%s is gone", dir))
		}
	}
	return err
}

// childInit is the init of the new root: it records its environment.
func childInit() error {
	var b strings.Builder
	fmt.Fprintf(&b, "pid %d\nargv %q\nenv %q\n", os.Getpid(), os.Args, os.Environ())
	names, err := os.ReadDir("/")
	for _, n := range names {
		fmt.Fprintf(&b, "%s ", n.Name())
	}
	var st unix.Stat_t
	errs := []error{err, unix.Stat("/proc/self", &st), unix.Stat("/dev/null", &st), unix.Stat("/dev/fd/0", &st)}
	wd, err := os.Getwd()
	fmt.Fprintf(&b, "\nwd %s\nmounted run %t sys %t\n", wd, isMountPoint("/run"), isMountPoint("/sys"))
	return errors.Join(append(errs, err, os.WriteFile("/out/result", []byte(b.String()), 0o644))...)
}

func TestSwitchRootInANamespace(t *testing.T) {
	for _, tt := range []struct {
		flags MountFlag
		names string // of the new root
		moved bool   // /run and /sys, which are missing there
	}{
		{0, "dev etc init out proc run sys usr", true},
		{ReadOnly, "dev etc init out proc usr", false},
	} {
		t.Run(tt.flags.String(), func(t *testing.T) {
			root, out := layRoot(t, tt.flags)
			cmd, said := pid1(t, "switchroot", "OLD="+root, "INIT=/init")
			if err := cmd.Run(); err != nil {
				t.Fatalf("%v: %s", err, said)
			}
			want := fmt.Sprintf("pid 1\nargv %q\nenv %q\n%s \nwd /\nmounted run %t sys %t\n",
				[]string{"/init", "one", "two words"}, []string{childRole + "=init", "X=y"}, tt.names, tt.moved, tt.moved)
			if got := content(t, filepath.Join(out, "result")); got != want {
				t.Errorf("init saw\n%s\nwant\n%s", got, want)
			}
			if content(t, filepath.Join(out, "precious")) != "x" || content(t, filepath.Join(root, "other/kept")) != "x" {
				t.Error("something outside the initramfs was deleted")
			}
			for _, gone := range []string{"deep", "migrate-init.image", "link-out", "link-in"} {
				if _, err := os.Lstat(filepath.Join(root, gone)); !os.IsNotExist(err) {
					t.Errorf("%s is still there: %v", gone, err)
				}
			}
		})
	}
}

// TestSwitchRootBringsBackWhatItMoved uses a new root that has no room for a directory. The caller still needs /dev for its
// journal.
func TestSwitchRootBringsBackWhatItMoved(t *testing.T) {
	root, _ := layRoot(t, 0)
	newRoot := filepath.Join(root, "new")
	var st unix.Statfs_t
	must(t, unix.Statfs(newRoot, &st))
	must(t, unix.Mount("", newRoot, "", unix.MS_REMOUNT, fmt.Sprintf("nr_inodes=%d", st.Files-st.Ffree)))
	cmd, said := pid1(t, "switchroot", "OLD="+root, "INIT=/init")
	if err := cmd.Run(); err == nil || !strings.Contains(said.String(), "no space left") || strings.Contains(said.String(), "is gone") {
		t.Errorf("%v: %s", err, said)
	}
	if content(t, filepath.Join(root, "deep/er/file")) != "x" {
		t.Error("deleted")
	}
}

func TestSwitchRootDeletesNothingWhenItRefuses(t *testing.T) {
	for reason, env := range map[string][]string{
		"no such file":          {"INIT=/sbin/missing"},
		"permission denied":     {"INIT=/etc/data"},
		"not a regular file":    {"INIT=/etc"},
		"not an absolute path":  {"INIT=init"},
		"not our image":         {"INIT=/init", "MARKER=/missing"},
		"is not a regular file": {"INIT=/init", "MARKER=/deep"},
	} {
		t.Run(reason, func(t *testing.T) {
			root, out := layRoot(t, 0)
			cmd, said := pid1(t, "switchroot", append(env, "OLD="+root)...)
			if err := cmd.Run(); err == nil || !strings.Contains(said.String(), reason) {
				t.Errorf("%v: %s", err, said)
			}
			if content(t, filepath.Join(root, "deep/er/file")) != "x" {
				t.Error("deleted")
			}
			if _, err := os.Stat(filepath.Join(out, "result")); err == nil {
				t.Error("the init ran")
			}
		})
	}
}

func childReboot() error {
	_, err := new(Real).Do(context.Background(), Reboot{os.Getenv("HOW")})
	return errors.Join(errors.New("the kernel runs on"), err)
}

// TestReboot: in a PID namespace, reboot(2) kills its init with a signal that depends on the command.
func TestReboot(t *testing.T) {
	wantError(t, do(t, Reboot{"reboot"}), "not 1")
	wantError(t, do(t, Reboot{"explode"}), "explode")
	needRoot(t)
	for how, want := range map[string]syscall.Signal{"reboot": unix.SIGHUP, "poweroff": unix.SIGINT, "halt": unix.SIGINT} {
		cmd, said := pid1(t, "reboot", "HOW="+how)
		err := cmd.Run()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != want {
			t.Errorf("%s: %v, want %s: %s", how, err, want, said)
		}
	}
}
