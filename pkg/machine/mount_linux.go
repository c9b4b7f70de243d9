package machine

import (
	"fmt"

	"github.com/u-root/u-root/pkg/mount"
	"golang.org/x/sys/unix"
)

func doMount(e Mount) error {
	flags := mountFlags(e.Flags)
	restrict := flags &^ unix.MS_BIND
	if e.Flags&Bind == 0 || restrict == 0 {
		_, err := mount.Mount(e.Source, e.Target, e.Type, e.Data, flags)
		return err
	}
	// The kernel ignores the other flags of a bind mount; they need a second call.
	if _, err := mount.Mount(e.Source, e.Target, e.Type, e.Data, unix.MS_BIND); err != nil {
		return err
	}
	if err := unix.Mount("", e.Target, "", unix.MS_REMOUNT|unix.MS_BIND|restrict, ""); err != nil {
		_ = mount.Unmount(e.Target, false, true)
		return fmt.Errorf("mount options of %s: %w", e.Target, err)
	}
	return nil
}

func mountFlags(f MountFlag) uintptr {
	table := []struct {
		ours MountFlag
		flag uintptr
	}{
		{ReadOnly, unix.MS_RDONLY}, {NoSuid, unix.MS_NOSUID}, {NoDev, unix.MS_NODEV}, {NoExec, unix.MS_NOEXEC},
		{Bind, unix.MS_BIND},
	}
	var flags uintptr
	for _, row := range table {
		if f&row.ours != 0 {
			flags |= row.flag
		}
	}
	return flags
}

func doUnmount(e Unmount) error { return mount.Unmount(e.Target, false, false) }
