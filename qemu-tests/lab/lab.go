// Package lab makes real Debian disks and boots them in QEMU, by software emulation, for the tests of migrate-init.
//
//	l, _ := lab.Open(t.Logf)
//	disk, _ := l.Disk(ctx, lab.Debian())              // built once, then from the cache; never booted itself
//	lab.Copy(dir+"/old.img", disk)                    // each test boots its own sparse copy
//	vm, _ := l.Start(ctx, lab.Config{Dir: dir, Disks: []lab.Disk{{File: dir + "/old.img", Serial: "old"}}})
//	vm.Ready(ctx)                                     // systemd says running or degraded
//	r, _ := vm.Run(ctx, "findmnt --json /")           // as root in the guest
//	vm.PowerOff(ctx)
//
// One QEMU process is one boot: a guest that reboots ends the process and says so in [VM.Wait]; start it again for the next
// boot. Killing it is a power cut that loses nothing which the disk had acknowledged ([VM.Cut]).
//
// Guests are slow and the machine may be busy: every wait takes its deadline from a context, and the defaults are generous.
// At most two guests run at once on a machine, whatever the number of test processes; see slot.
//
// The package needs root (loop devices, mounts, chroot) and the programs of ../packages.txt.
package lab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Logf prints one line of what the lab is doing; testing.T.Logf fits.
type Logf func(format string, args ...any)

// Lab is a cache directory and a voice.
type Lab struct {
	Cache string // absolute
	logf  Logf
}

// Open finds the cache: $MIGRATE_INIT_CACHE, or .cache beside go.mod. It fails when a program the lab needs is missing.
func Open(logf Logf) (*Lab, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("lab: needs root for loop devices, mounts and chroot")
	}
	var missing []string
	for _, p := range []string{"qemu-system-x86_64", "mmdebstrap", "zstd", "tar", "sgdisk", "losetup", "partx", "unshare", "mke2fs", "mkswap", "cpio", "busybox", "go"} {
		if _, err := exec.LookPath(p); err != nil {
			missing = append(missing, p)
		}
	}
	if missing != nil {
		return nil, fmt.Errorf("lab: programs missing: %s; install the packages of qemu-tests/packages.txt", strings.Join(missing, ", "))
	}
	dir := os.Getenv("MIGRATE_INIT_CACHE")
	if dir == "" {
		root, err := moduleRoot()
		if err != nil {
			return nil, err
		}
		dir = filepath.Join(root, ".cache")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	return &Lab{Cache: dir, logf: logf}, nil
}

func moduleRoot() (string, error) {
	d, err := os.Getwd()
	for ; err == nil && d != "/"; d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "go.mod")); err == nil {
			return d, nil
		}
	}
	return "", errors.New("lab: no go.mod above the working directory; set MIGRATE_INIT_CACHE")
}

// timed says that a step starts, and how long it took.
func (l *Lab) timed(what string, f func() error) error {
	l.logf("lab: %s ...", what)
	start := time.Now()
	err := f()
	if err != nil {
		l.logf("lab: %s: failed after %.1f s", what, time.Since(start).Seconds())
		return err
	}
	l.logf("lab: %s: %.1f s", what, time.Since(start).Seconds())
	return nil
}

// cached returns the path of name in the cache. When it is not there, build makes it under a temporary name while other
// processes that want it wait.
func (l *Lab) cached(ctx context.Context, name string, build func(path string) error) (string, error) {
	path := filepath.Join(l.Cache, name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	release, err := lock(ctx, []string{path + ".lock"}, nil)
	if err != nil {
		return "", err
	}
	defer release()
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	part := path + ".part"
	if err := os.RemoveAll(part); err != nil {
		return "", err
	}
	defer os.RemoveAll(part)
	if err := build(part); err != nil {
		return "", err
	}
	if err := os.Rename(part, path); err != nil {
		return "", err
	}
	return path, l.prune(name)
}

// prune removes all but the newest few of what name's recipe made before: every change of the lab makes new files.
func (l *Lab) prune(name string) error {
	const keep = 3
	dash, dot := strings.LastIndex(name, "-"), strings.Index(name, ".")
	if dot < 0 {
		dot = len(name)
	}
	if dash < 0 || dash > dot {
		return nil
	}
	files, err := filepath.Glob(filepath.Join(l.Cache, name[:dash]+"-????????????"+name[dot:]))
	if err != nil || len(files) <= keep {
		return err
	}
	age := func(f string) time.Time {
		st, err := os.Stat(f)
		if err != nil {
			return time.Time{}
		}
		return st.ModTime()
	}
	slices.SortFunc(files, func(a, b string) int { return age(b).Compare(age(a)) })
	for _, f := range files[keep:] {
		if err := os.RemoveAll(f); err != nil {
			return err
		}
		_ = os.Remove(f + ".lock")
	}
	return nil
}

// lock takes the first free of files, waiting for one; waiting is called once if it must. The kernel drops the lock when
// the process dies, however it dies.
func lock(ctx context.Context, files []string, waiting func()) (release func(), err error) {
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	for {
		for _, name := range files {
			f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644)
			if err != nil {
				return nil, err
			}
			if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
				return func() { _ = f.Close() }, nil
			}
			_ = f.Close()
		}
		if waiting != nil {
			waiting()
			waiting = nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("lab: wait for lock %s: %w", files[0], ctx.Err())
		case <-tick.C:
		}
	}
}

// key is a short name for the content of parts.
func key(parts ...string) string {
	h := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(h[:6])
}

// command runs a program to its end and gives its combined output in the error when it fails. A cancelled context ends it
// with SIGTERM to its process group, so that shell traps can clean up, and with SIGKILL 30 s later.
func command(ctx context.Context, env []string, name string, args ...string) error {
	c := exec.CommandContext(ctx, name, args...)
	c.Env = append(os.Environ(), env...)
	c.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return unix.Kill(-c.Process.Pid, unix.SIGTERM) }
	c.WaitDelay = 30 * time.Second
	out, err := c.CombinedOutput()
	if err != nil {
		return fmt.Errorf("lab: %s: %w: %s", name, err, tail(out, 3000))
	}
	return nil
}

func tail(b []byte, n int) string {
	if len(b) > n {
		b = b[len(b)-n:]
	}
	return strings.TrimSpace(string(b))
}

// Agent builds the guest agent for this machine's architecture and returns its path in the cache. The name carries the
// hash of the binary.
func (l *Lab) Agent(ctx context.Context) (string, error) {
	dir, err := os.MkdirTemp(l.Cache, "agent-*.tmp")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	bin := filepath.Join(dir, "agent")
	err = command(ctx, []string{"CGO_ENABLED=0", "GOOS=linux", "GOARCH=" + runtime.GOARCH},
		"go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", bin, "migrate-init/qemu-tests/lab/agent")
	if err != nil {
		return "", err
	}
	b, err := os.ReadFile(bin)
	if err != nil {
		return "", err
	}
	return l.cached(ctx, "agent-"+key(string(b)), func(path string) error { return os.WriteFile(path, b, 0o755) })
}

// RunDir makes an empty directory of the cache for the disks and logs of one test, named after it; what an earlier run left
// there is removed. clean removes the disks, unless MIGRATE_INIT_KEEP=1, and leaves the logs.
func (l *Lab) RunDir(test string) (dir string, clean func() error, err error) {
	dir = filepath.Join(l.Cache, "run", strings.ReplaceAll(test, "/", "-"))
	if err := os.RemoveAll(dir); err != nil {
		return "", nil, err
	}
	clean = func() error {
		if os.Getenv("MIGRATE_INIT_KEEP") == "1" {
			return nil
		}
		var errs []error
		for _, pattern := range []string{"*.raw", "*.img", "*.test"} {
			files, _ := filepath.Glob(filepath.Join(dir, pattern))
			for _, f := range files {
				errs = append(errs, os.Remove(f))
			}
		}
		return errors.Join(errs...)
	}
	return dir, clean, os.MkdirAll(dir, 0o755)
}

// Blank makes an empty sparse disk image.
func Blank(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	return errors.Join(f.Truncate(size), f.Close())
}

// Copy copies a disk image, holes as holes; the result must not exist. Filesystems with reflinks share the blocks.
func Copy(dst, src string) error {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(dst, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	if unix.IoctlFileClone(int(out.Fd()), int(in.Fd())) == nil {
		return out.Close()
	}
	if err := out.Truncate(st.Size()); err != nil {
		return err
	}
	for at := int64(0); ; {
		from, err := unix.Seek(int(in.Fd()), at, unix.SEEK_DATA)
		if err == unix.ENXIO {
			return out.Close()
		}
		if err != nil {
			return fmt.Errorf("copy of %s: %w", src, err)
		}
		if at, err = unix.Seek(int(in.Fd()), from, unix.SEEK_HOLE); err != nil {
			return fmt.Errorf("copy of %s: %w", src, err)
		}
		if _, err := io.Copy(io.NewOffsetWriter(out, from), io.NewSectionReader(in, from, at-from)); err != nil {
			return err
		}
	}
}

// Hash is the sha256 of a whole disk image, holes included.
func Hash(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
