package machine

import (
	"context"
	"fmt"
)

// Do carries out one effect. The end of ctx does not interrupt an effect that has begun, with two exceptions: a program is
// killed together with its process group, and a WriteDevice stops between chunks.
func (r *Real) Do(ctx context.Context, e Effect) (Output, error) {
	if err := ctx.Err(); err != nil {
		return Output{}, err
	}
	if e, ok := e.(Exec); ok {
		return r.exec(ctx, e)
	}
	return Output{}, r.do(ctx, e)
}

func (r *Real) do(ctx context.Context, e Effect) error {
	switch e := e.(type) {
	case Mount:
		return doMount(e)
	case Unmount:
		return doUnmount(e)
	case Mkdir:
		return makeDir(e.Path, e.Mode)
	case WriteFile:
		return writeFile(e)
	case WriteInPlace:
		return writeInPlace(e)
	case CopyFile:
		return copyFile(ctx, e)
	case Remove:
		return remove(e.Path)
	case Rename:
		return rename(e)
	case Symlink:
		return symlink(e)
	case WriteDevice:
		return writeDevice(ctx, e)
	case SetReadOnly:
		return setReadOnly(e)
	case HoldDisk:
		return r.held.do(ctx, e)
	case Partitions:
		return setPartitions(ctx, e)
	case Ioctl:
		return doIoctl(e)
	case Mapping:
		return doMapping(e)
	case Unmap:
		return doUnmap(e)
	case Loop:
		return doLoop(ctx, e)
	case LoopOff:
		return doLoopOff(e)
	case WriteSys:
		return writeSys(e)
	case LoadModule:
		return loadModule(e)
	case Sync:
		return syncFS(e.Path)
	case SwitchRoot:
		return switchRoot(e, orElse(r.Image, ImageMarker))
	case Reboot:
		return reboot(e)
	}
	return fmt.Errorf("effect %T: unknown to the real machine: %s", e, e)
}
