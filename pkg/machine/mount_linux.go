package machine

import (
	"fmt"

	"github.com/u-root/u-root/pkg/mount"
	"golang.org/x/sys/unix"
)

func doMount(e Mount) error {
	flags := mountFlags(e.Flags)
	const propagation = unix.MS_PRIVATE
	first := flags &^ propagation
	restrict := flags & (unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME)
	bind := e.Flags&Bind != 0 && e.Flags&Remount == 0
	if bind || e.Flags&Move != 0 {
		first &^= restrict // the kernel ignores them here; they take a second call
	}
	// only Private: no mount, just the change of one that is there
	if alone := e.Source == "" && e.Type == "" && e.Flags&Private != 0 && e.Flags&^(Private|Recursive) == 0; !alone {
		if _, err := mount.Mount(e.Source, e.Target, e.Type, e.Data, first); err != nil {
			return err
		}
	}
	undo := func(err error) error {
		if e.Source != "" && e.Flags&(Remount|Move) == 0 {
			_ = mount.Unmount(e.Target, false, true)
		}
		return fmt.Errorf("mount options of %s: %w", e.Target, err)
	}
	if bind && restrict != 0 {
		if err := unix.Mount("", e.Target, "", unix.MS_REMOUNT|unix.MS_BIND|restrict, ""); err != nil {
			return undo(err)
		}
	}
	if flags&propagation != 0 {
		if err := unix.Mount("", e.Target, "", flags&(propagation|unix.MS_REC), ""); err != nil {
			return undo(err)
		}
	}
	return nil
}

func mountFlags(f MountFlag) uintptr {
	table := []struct {
		ours MountFlag
		flag uintptr
	}{
		{ReadOnly, unix.MS_RDONLY}, {NoSuid, unix.MS_NOSUID}, {NoDev, unix.MS_NODEV}, {NoExec, unix.MS_NOEXEC},
		{NoAtime, unix.MS_NOATIME}, {Bind, unix.MS_BIND}, {Recursive, unix.MS_REC}, {Private, unix.MS_PRIVATE},
		{Remount, unix.MS_REMOUNT}, {Move, unix.MS_MOVE},
	}
	var flags uintptr
	for _, row := range table {
		if f&row.ours != 0 {
			flags |= row.flag
		}
	}
	return flags
}

func doUnmount(e Unmount) error { return mount.Unmount(e.Target, false, e.Lazy) }
