package stage

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"migrate-init/pkg/fstab"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/rootfs"
)

// mtab as a file says what is mounted on the old machine forever; every tool reads the kernel's list today.
func (r *rewriter) mtab() error {
	name := path.Join(r.dir, "etc/mtab")
	st, err := fs.Lstat(r.root, "etc/mtab")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		// A run that was cut between the two effects below left none.
		r.out = append(r.out, machine.Symlink{Target: fstab.MtabTarget, Path: name})
	case err != nil:
		return fmt.Errorf("file /etc/mtab: %w", err)
	case fstab.Mtab(true, st.Mode(), "") == fstab.MtabFile:
		r.out = append(r.out, machine.Remove{Path: name}, machine.Symlink{Target: fstab.MtabTarget, Path: name})
	}
	return nil
}

// ConfirmUnit is the systemd unit that marks a boot of the migrated system as good.
const ConfirmUnit = "/etc/systemd/system/migrate-init-confirm.service"

const confirmText = `[Unit]
Description=Confirm the migrated system to the old boot loader
After=multi-user.target
ConditionPathExists=` + StateDir + `/migrate-init

[Service]
Type=oneshot
ExecStart=` + StateDir + `/migrate-init confirm

[Install]
WantedBy=multi-user.target
`

func (r *rewriter) confirm() error {
	if there, err := exists(r.root, path.Dir(ConfirmUnit)); err != nil || !there {
		return err
	}
	old, err := r.read(ConfirmUnit)
	if err != nil {
		return err
	}
	r.write(ConfirmUnit, old, []byte(confirmText), 0o644)
	wants := path.Join(path.Dir(ConfirmUnit), "multi-user.target.wants")
	link := path.Join(wants, path.Base(ConfirmUnit))
	at, err := inRoot(r.root, link)
	if err != nil {
		return err
	}
	if t, err := fs.ReadLink(r.root, nonRoot(at)); err != nil || t != ConfirmUnit {
		r.out = append(r.out, machine.Mkdir{Path: path.Join(r.dir, wants), Mode: 0o755}, machine.Symlink{Target: ConfirmUnit, Path: path.Join(r.dir, link)})
	}
	return nil
}

// mountPoints makes sure of what a running system hides: the directories under its mounts. The device
// nodes below /dev came with the copy, which saw the old root without anything mounted on it; an initrd brings its own.
func (r *rewriter) mountPoints() error {
	for _, d := range []string{"/dev", "/proc", "/sys", "/run", "/tmp", "/mnt"} {
		mode := fs.FileMode(0o755)
		if d == "/tmp" {
			mode = 0o777 | fs.ModeSticky
		}
		r.mountPoint(d, mode)
	}
	at, err := r.place("/etc/fstab")
	if err != nil || at == "" {
		return err
	}
	b, err := r.read(at)
	if err != nil {
		return err
	}
	t, err := fstab.Parse(b)
	if err != nil {
		return fmt.Errorf("file /etc/fstab: %w", err)
	}
	for _, x := range t.Entries() {
		if !path.IsAbs(x.File) || strings.ContainsAny(x.File, "\x00") {
			continue
		}
		r.mountPoint(x.File, 0o755)
	}
	return nil
}

// mountPoint makes a directory where a mount point leads to nothing. One that cannot be resolved, such as a loop of links,
// could not be used on the old system either.
func (r *rewriter) mountPoint(name string, mode fs.FileMode) {
	f, err := rootfs.Resolve(rootfs.Of(r.root), name, rootfs.Options{Missing: true})
	if err == nil && f.Info == nil {
		r.out = append(r.out, machine.Mkdir{Path: path.Join(r.dir, f.Path), Mode: mode})
	}
}
