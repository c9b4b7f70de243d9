package machine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// switchRoot deletes the old root last. Until then every failure leaves the old root in place, so that the caller can still
// act, although its root directory may already be the new one.
func switchRoot(e SwitchRoot, marker string) error {
	newRoot := filepath.Clean(e.NewRoot)
	if err := mayLeave(os.Getpid(), marker); err != nil {
		return fmt.Errorf("switch root: %w", err)
	}
	if err := mayEnter(newRoot, e.Init); err != nil {
		return fmt.Errorf("switch root to %s: %w", newRoot, err)
	}
	old, err := os.Open("/")
	if err != nil {
		return fmt.Errorf("switch root: %w", err)
	}
	defer old.Close()
	for i, dir := range movedMounts() {
		if err := moveMount(dir, newRoot); err != nil {
			moveBack(movedMounts()[:i], newRoot)
			return fmt.Errorf("switch root to %s: %w", newRoot, err)
		}
	}
	if isMountPoint("/tmp") {
		_ = unix.Unmount("/tmp", unix.MNT_DETACH) // memory
	}
	if err := enter(newRoot); err != nil {
		return fmt.Errorf("switch root to %s: %w", newRoot, err)
	}
	openConsole()
	if err := executableIn("/", e.Init); err != nil {
		return fmt.Errorf("switch root to %s: %w", newRoot, err)
	}
	if err := deleteAll(old); err != nil {
		return fmt.Errorf("switch root: delete the initramfs: %w", err)
	}
	env := e.Env
	if len(env) == 0 {
		env = []string{"HOME=/", "TERM=linux"} // the environment in which the kernel starts init
	}
	if err := unix.Exec(e.Init, append([]string{e.Init}, e.Args...), env); err != nil {
		return fmt.Errorf("switch root: %w", pathError("execute", e.Init, err))
	}
	return nil
}

// movedMounts returns the mounts that are moved to the new root.
func movedMounts() []string { return []string{"/dev", "/proc", "/sys", "/run"} }

// mayLeave returns an error unless this process is PID 1, and its root is in memory and has our marker.
func mayLeave(pid int, marker string) error {
	if pid != 1 {
		return fmt.Errorf("process is %d, not 1", pid)
	}
	var st unix.Statfs_t
	if err := unix.Statfs("/", &st); err != nil {
		return pathError("statfs", "/", err)
	}
	if magic := uint32(st.Type); magic != unix.RAMFS_MAGIC && magic != unix.TMPFS_MAGIC {
		return fmt.Errorf("/ is neither ramfs nor tmpfs (magic %#x)", magic)
	}
	info, err := os.Lstat(marker)
	if err != nil {
		return fmt.Errorf("/ is not our image: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("/ is not our image: %s is not a regular file", marker)
	}
	return nil
}

// mayEnter returns an error unless newRoot is the mount point of another filesystem in which init can be executed.
func mayEnter(newRoot, init string) error {
	if !filepath.IsAbs(newRoot) || newRoot == "/" {
		return errors.New("is not an absolute path below /")
	}
	for _, dir := range append(movedMounts(), "/tmp") {
		if newRoot == dir || strings.HasPrefix(newRoot, dir+"/") {
			return fmt.Errorf("is below %s, which is moved", dir)
		}
	}
	var root, there unix.Stat_t
	if err := unix.Stat("/", &root); err != nil {
		return pathError("stat", "/", err)
	}
	if err := unix.Lstat(newRoot, &there); err != nil {
		return pathError("stat", newRoot, err)
	}
	if there.Mode&unix.S_IFMT != unix.S_IFDIR {
		return unix.ENOTDIR
	}
	if there.Dev == root.Dev || !isMountPoint(newRoot) {
		return errors.New("nothing is mounted there")
	}
	if !filepath.IsAbs(init) {
		return fmt.Errorf("init %q is not an absolute path", init)
	}
	if err := executableIn(newRoot, init); err != nil {
		return fmt.Errorf("init %s: %w", init, err)
	}
	return nil
}

// moveMount moves the mount at dir into newRoot. If newRoot has no directory for it and is read-only, moveMount detaches the mount.
func moveMount(dir, newRoot string) error {
	if !isMountPoint(dir) {
		return nil
	}
	to := filepath.Join(newRoot, dir)
	var st unix.Stat_t
	err := unix.Lstat(to, &st)
	if errors.Is(err, unix.ENOENT) {
		err = unix.Mkdir(to, 0o755)
		if err == nil {
			err = unix.Lstat(to, &st)
		}
	}
	if errors.Is(err, unix.EROFS) || err == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			return pathError("detach", dir, err)
		}
		return nil
	}
	if err != nil {
		return pathError("make directory", to, err)
	}
	if err := unix.Mount(dir, to, "", unix.MS_MOVE, ""); err != nil {
		return pathError("move mount", dir, err)
	}
	return nil
}

// moveBack undoes moveMount, so that the caller has its devices again and can record why it failed.
func moveBack(dirs []string, newRoot string) {
	for _, dir := range dirs {
		if to := filepath.Join(newRoot, dir); isMountPoint(to) && !isMountPoint(dir) {
			_ = unix.Mount(to, dir, "", unix.MS_MOVE, "")
		}
	}
}

func enter(newRoot string) error {
	if err := unix.Chdir(newRoot); err != nil {
		return pathError("chdir", newRoot, err)
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move mount to /: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("chroot: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return fmt.Errorf("chdir to /: %w", err)
	}
	return nil
}

// openConsole opens the console in the new /dev for init. A machine without a console must boot too.
func openConsole() {
	fd, err := unix.Open("/dev/console", unix.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return
	}
	for std := range 3 {
		if fd != std {
			_ = unix.Dup3(fd, std, 0)
		}
	}
	if fd > 2 {
		_ = unix.Close(fd)
	}
}

// deleteAll empties a directory without leaving its filesystem: it works on descriptors, compares device numbers, and never
// follows a symbolic link. What cannot be deleted, such as a mount point, stays and only costs memory. It returns an error only
// if the directory cannot be read; then nothing in it has been deleted.
func deleteAll(dir *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &st); err != nil {
		return err
	}
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		deleteEntry(int(dir.Fd()), name, st.Dev)
	}
	return nil
}

func deleteEntry(dirfd int, name string, dev uint64) {
	var st unix.Stat_t
	if unix.Fstatat(dirfd, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil || st.Dev != dev {
		return
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		_ = unix.Unlinkat(dirfd, name, 0)
		return
	}
	fd, err := unix.Openat(dirfd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	child := os.NewFile(uintptr(fd), name)
	defer child.Close()
	// something may have been mounted there since Fstatat
	if unix.Fstat(fd, &st) != nil || st.Dev != dev {
		return
	}
	_ = deleteAll(child)
	_ = unix.Unlinkat(dirfd, name, unix.AT_REMOVEDIR)
}
