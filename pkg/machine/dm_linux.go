package machine

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

const dmControl = "/dev/mapper/control"

// maxStatus bounds the answer to TABLE_STATUS. A target's status is a line.
const maxStatus = 1 << 20

// openControl opens device-mapper's control node. Where nothing made the node, it is made from the number in /proc/misc.
func openControl() (*os.File, error) {
	minor, err := miscMinor("device-mapper")
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(dmControl, os.O_RDWR, 0)
	if !errors.Is(err, os.ErrNotExist) {
		return f, err
	}
	if err := os.MkdirAll(filepath.Dir(dmControl), 0o755); err != nil {
		return nil, err
	}
	const misc = 10
	if err := unix.Mknod(dmControl, unix.S_IFCHR|0o600, int(unix.Mkdev(misc, minor))); err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, pathError("mknod", dmControl, err)
	}
	return os.OpenFile(dmControl, os.O_RDWR, 0)
}

// miscMinor returns the minor number of a miscellaneous character device.
func miscMinor(name string) (uint32, error) {
	f, err := os.Open("/proc/misc")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if f := strings.Fields(lines.Text()); len(f) == 2 && f[1] == name {
			n, err := strconv.ParseUint(f[0], 10, 20)
			return uint32(n), err
		}
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	return 0, fmt.Errorf("%s: the kernel does not offer it: is its module loaded?", name)
}

func dmCall(f *os.File, name, what string, command uintptr, buffer []byte) error {
	if err := ioctl(f, dmRequest(command), unsafe.Pointer(&buffer[0])); err != nil {
		return fmt.Errorf("mapping %s: %s: %w", name, what, err)
	}
	return nil
}

func doMapping(e Mapping) (err error) {
	load, err := dmLoad(e)
	if err != nil {
		return err
	}
	defer clear(load)
	create, err := dmBuffer(e.Name, e.UUID, 0, 0, 0)
	if err != nil {
		return err
	}
	resume, err := dmBuffer(e.Name, "", 0, dmPrimarySource, 0)
	if err != nil {
		return err
	}
	f, err := openControl()
	if err != nil {
		return err
	}
	defer f.Close()
	if err := dmCall(f, e.Name, "create", dmDevCreate, create); err != nil {
		return err
	}
	err = dmCall(f, e.Name, "load its table", dmTableLoad, load)
	if err == nil {
		err = dmCall(f, e.Name, "resume", dmDevSuspend, resume)
	}
	if err != nil {
		return errors.Join(err, dmRemove(f, e.Name))
	}
	return nil
}

func doUnmap(e Unmap) error {
	f, err := openControl()
	if err != nil {
		return err
	}
	defer f.Close()
	if err := dmRemove(f, e.Name); err != nil && !errors.Is(err, unix.ENXIO) {
		return err
	}
	return nil
}

func dmRemove(f *os.File, name string) error {
	b, err := dmBuffer(name, "", 0, dmPrimarySource, 0)
	if err != nil {
		return err
	}
	return dmCall(f, name, "remove", dmDevRemove, b)
}

// StatusOfMapping asks the kernel for the state of a device-mapper device. It flushes nothing.
func StatusOfMapping(name string) (MappingState, error) {
	f, err := openControl()
	if err != nil {
		return MappingState{}, err
	}
	defer f.Close()
	for size := 4 << 10; size <= maxStatus; size *= 4 {
		b, err := dmBuffer(name, "", dmNoFlush, 0, size)
		if err != nil {
			return MappingState{}, err
		}
		if err := dmCall(f, name, "status", dmTableStatus, b); err != nil {
			return MappingState{}, err
		}
		s, full, err := dmState(b)
		if err != nil {
			return s, fmt.Errorf("mapping %s: %w", name, err)
		}
		if !full {
			return s, nil
		}
	}
	return MappingState{}, fmt.Errorf("mapping %s: its status has more than %d bytes", name, maxStatus)
}
