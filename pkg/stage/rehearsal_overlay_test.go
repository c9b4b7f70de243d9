package stage

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/sim"
	"migrate-init/pkg/survey"
)

// overlaid in the environment says that the test runs in the root of the made-up system.
const overlaid = "STAGE_TEST_OVERLAID"

// TestOverlay makes a rehearsal with the kernel's own overlay and real programs: the made-up Debian as files on this machine, with
// scripts for the generator and update-grub. Nothing of it may change.
func TestOverlay(t *testing.T) {
	if os.Getenv(overlaid) != "" {
		t.Skip("SKIPPED: this is the inner process")
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil || os.Geteuid() != 0 {
		t.Skip("SKIPPED: needs root and busybox")
	}
	root := t.TempDir()
	w := newWorld(t)
	for name, f := range w.Trees[sim.OldRoot] {
		at := filepath.Join(root, name)
		err := os.MkdirAll(filepath.Dir(at), 0o755)
		switch {
		case err != nil:
		case f.Mode.IsDir():
			err = os.MkdirAll(at, 0o755)
		case f.Mode&fs.ModeSymlink != 0:
			err = os.Symlink(string(f.Data), at)
		default:
			err = os.WriteFile(at, f.Data, f.Mode.Perm()|0o200)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	install := func(name string, data []byte) {
		t.Helper()
		at := filepath.Join(root, name)
		if err := os.RemoveAll(at); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, from := range map[string]string{"usr/bin/sh": busybox, "usr/bin/inner.test": self} {
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		install(name, b)
	}
	for _, name := range []string{"cat", "cp", "cpio", "find", "grep", "gzip", "mkdir", "realpath", "rm", "sed", "touch", "chmod"} {
		at := filepath.Join(root, "usr/bin", name)
		if err := os.RemoveAll(at); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("sh", at); err != nil {
			t.Fatal(err)
		}
	}
	install("usr/sbin/update-initramfs", []byte(generatorScript))
	install("usr/sbin/update-grub", []byte(menuScript))
	install("usr/lib/grub.tmpl", []byte(sim.GRUBConfig("UUID=@UUID@", "console=ttyS0")))
	do := func(e machine.Effect) {
		t.Helper()
		if _, err := new(machine.Real).Do(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	do(machine.Mount{Source: root, Target: root, Flags: machine.Bind})
	defer do(machine.Unmount{Target: root})
	for _, m := range []machine.Mount{{Source: "/dev", Target: root + "/dev", Flags: machine.Bind}, {Source: "proc", Target: root + "/proc", Type: "proc"},
		{Source: "tmpfs", Target: root + "/run", Type: "tmpfs"}, {Source: "tmpfs", Target: root + "/srv", Type: "tmpfs"}} {
		do(m)
		defer do(machine.Unmount{Target: m.Target})
	}
	for _, c := range []string{"TestOverlayInside", "TestOverlayFails"} {
		cmd := exec.CommandContext(t.Context(), "/usr/bin/inner.test", "-test.run=^"+c+"$", "-test.v")
		cmd.Env = []string{overlaid + "=1", "MIGRATE_INIT_TEST_INSIDE=1", "PATH=/usr/bin:/usr/sbin", "TMPDIR=/run"}
		cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Chroot: root}
		cmd.Err = nil
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: "+c) {
			t.Errorf("%v\n%s", err, out)
		}
	}
}

const generatorScript = `#!/bin/sh
set -e
[ ! -e /etc/initramfs-tools/fails ] || { echo "hook x: it fails"; exit 1; }
for d in /dev/vda* /dev/sd* /dev/loop0; do [ ! -e "$d" ] || { echo "a disk is in reach: $d"; exit 1; }; done
! grep -q /dev/ /proc/swaps || { echo "the swap areas of the old system are seen"; exit 1; }
for k in /boot/vmlinuz-*; do
	rel=${k#/boot/vmlinuz-}
	d=/var/tmp/made
	mkdir -p $d/sbin $d/lib/udev/rules.d $d/scripts/local-block $d/etc/mdadm $d/usr/lib/modules/$rel/kernel
	cp -p /etc/mdadm/mdadm.conf $d/etc/mdadm/
	cp -p /usr/sbin/mdadm $d/sbin/
	touch $d/lib/udev/rules.d/64-md-raid-assembly.rules
	echo 'mdadm -q --run /dev/md?*' >$d/scripts/local-block/mdadm
	echo kernel/fs/ext4/ext4.ko >$d/usr/lib/modules/$rel/modules.builtin
	for m in md-mod raid1 virtio_blk virtio_pci; do echo m >$d/usr/lib/modules/$rel/kernel/$m.ko; done
	echo '#!/bin/sh' >$d/init
	chmod 755 $d/init
	(cd $d && find . | cpio -o -H newc | gzip) >/boot/initrd.img-$rel.new
	cat /boot/initrd.img-$rel.new >/boot/initrd.img-$rel
	rm -r $d /boot/initrd.img-$rel.new
done
`

const menuScript = `#!/bin/sh
set -e
dev=$(grub-probe --target=device /)
uuid=$(grub-probe --device "$dev" --target=fs_uuid)
[ "$(grub-probe -t fs_uuid /boot/grub)" = "$uuid" ]
[ "$(grub-probe --target=fs_uuid /srv)" != "$uuid" ]
[ "$(grub-probe --target=partmap --device "$dev") $(grub-probe -d "$dev" -t abstraction | sed 's/$/,/') $(grub-probe -t fs /)" = "gpt diskfilter,
mdraid1x, ext2" ]
[ -e "/dev/disk/by-uuid/$uuid" ]
! grub-probe --target=bios_hint / 2>/dev/null
! grub-probe --target=fs /nowhere 2>/dev/null
sed "s/@UUID@/$uuid/" /usr/lib/grub.tmpl >/boot/grub/grub.cfg
`

// opened is a directory as a root, opened at every look.
type opened string

func (d opened) Open(name string) (fs.File, error) {
	r, err := os.OpenRoot(string(d))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return r.FS().Open(name)
}

func (d opened) Lstat(name string) (fs.FileInfo, error) {
	r, err := os.OpenRoot(string(d))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return r.Lstat(name)
}

func (d opened) ReadLink(name string) (string, error) {
	r, err := os.OpenRoot(string(d))
	if err != nil {
		return "", err
	}
	defer r.Close()
	return r.Readlink(name)
}

// overlaidEnv is the made-up machine's for what decides, and this process's root for everything else.
func overlaidEnv(t *testing.T) *Env {
	t.Helper()
	if os.Getenv(overlaid) == "" {
		t.Skip("SKIPPED: TestOverlay runs it in a root of its own")
	}
	w := newWorld(t)
	p, text := planned(t, w, nil)
	e := w.env(p, text)
	var err error
	if e.Facts, err = w.Look(t.Context(), survey.Whole); err != nil {
		t.Fatal(err)
	}
	e.Machine, e.Root = new(machine.Real), os.DirFS("/")
	e.Inside = func(dir string) (fs.FS, error) { return opened(dir), nil }
	e.Tell = func(x Event) { t.Logf("%s: %s", x.Stage, x.Text) }
	return e
}

// everything says what each file of the root is, without what the kernel shows.
func everything(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir("/", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name == "/proc" || name == "/dev" || name == "/run" {
			return fs.SkipDir
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintln(&b, name, st.Mode(), st.Size(), st.ModTime().UnixNano(), st.Sys().(*syscall.Stat_t).Ino)
		if st.Mode().IsRegular() {
			data, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, "%x\n", sha256.Sum256(data))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestOverlayInside(t *testing.T) {
	for _, above := range []string{"", "/run/above"} {
		t.Run(above, func(t *testing.T) { overlayInside(t, above) })
	}
}

func overlayInside(t *testing.T, above string) {
	e := overlaidEnv(t)
	if above != "" {
		if err := os.Mkdir(above, 0o700); err != nil {
			t.Fatal(err)
		}
		// Memory does not count then.
		e.Root = fstest.MapFS{}
	}
	before := everything(t)
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	var made *Kept
	if err := machine.InMountNamespace(func() error {
		var err error
		if made, err = Rehearsal(t.Context(), e, above); err != nil {
			return err
		}
		for name, from := range made.from {
			sum, size, err := digest(os.DirFS("/"), from)
			if err != nil {
				return err
			}
			t.Logf("%s: %d bytes, %s", name, size, sum)
		}
		if _, err := os.Stat("/boot/initrd.img-" + sim.Release + ".new"); err == nil {
			t.Error("it ran outside of the overlay")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if now := everything(t); now != before {
		t.Errorf("the running system changed:\n%s\nbefore:\n%s", now, before)
	}
	if now, err := os.ReadFile("/proc/self/mountinfo"); err != nil || string(now) != string(mounts) {
		t.Errorf("mounts: %s, before: %s (%v)", now, mounts, err)
	}
	if above != "" {
		if _, err := os.Stat(above + "/upper0/boot/grub/grub.cfg"); err != nil {
			t.Errorf("it was not written there: %v", err)
		}
	}
	if len(made.record.Parts) != 2 || len(made.record.Parts[0].Files) != 1 || len(made.record.Parts[1].Files) != 1 {
		t.Errorf("made: %+v", made.record.Parts)
	}
	if v := made.record.Parts[0].Inside["/sbin/mdadm"]; !strings.Contains(v, " at ") {
		t.Errorf("/sbin/mdadm is in the initrd, and is %q in the system: %v", v, made.record.Parts[0].Inside)
	}
}

// TestOverlayFails: a generator that fails says so, and what it wrote before is gone with the overlay.
func TestOverlayFails(t *testing.T) {
	e := overlaidEnv(t)
	if err := os.WriteFile("/etc/initramfs-tools/fails", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	before := everything(t)
	err := machine.InMountNamespace(func() error {
		_, err := Rehearsal(t.Context(), e, "")
		return err
	})
	for _, s := range []string{"update-initramfs: exit code 1", "hook x: it fails", "`update-initramfs -u -k all` would fail in the migration too"} {
		if err == nil || !strings.Contains(err.Error(), s) {
			t.Errorf("%q is not in: %v", s, err)
		}
	}
	if now := everything(t); now != before {
		t.Errorf("the running system changed:\n%s\nbefore:\n%s", now, before)
	}
}
