package machine

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// freeLoop returns a loop device that the kernel does not have yet. It is taken away again when the test ends.
func freeLoop(t *testing.T) string {
	t.Helper()
	needRoot(t)
	control, err := os.OpenFile(loopControl, os.O_RDWR, 0)
	if err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	must(t, control.Close())
	number := 200 + os.Getpid()%1000
	dev := fmt.Sprintf("/dev/loop%d", number)
	t.Cleanup(func() {
		_, err := new(Real).Do(context.Background(), LoopOff{dev})
		must(t, err)
		control, err := os.OpenFile(loopControl, os.O_RDWR, 0)
		must(t, err)
		defer control.Close()
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, control.Fd(), unix.LOOP_CTL_REMOVE, uintptr(number)); errno != 0 && errno != unix.ENODEV {
			t.Errorf("remove %s: %v", dev, errno)
		}
	})
	return dev
}

func TestLoopOverANewFile(t *testing.T) {
	dev, file := freeLoop(t), filepath.Join(t.TempDir(), "store")
	must(t, do(t, Loop{Dev: dev, File: file, Size: 4 * mib}))
	must(t, do(t, WriteDevice{dev, "test", []Chunk{{Offset: mib, Data: []byte("through")}}}))
	if got := readAll(t, dev, 4*mib-1, 1); !bytes.Equal(got, []byte{0}) {
		t.Errorf("the last byte is %x", got)
	}
	wantError(t, do(t, Loop{Dev: dev, File: file}), dev, "busy")
	must(t, do(t, LoopOff{dev}))
	must(t, do(t, LoopOff{dev}))
	must(t, do(t, LoopOff{"/dev/loop4095"}))

	got, err := os.ReadFile(file)
	must(t, err)
	if len(got) != 4*mib || string(got[mib:mib+7]) != "through" {
		t.Errorf("the file has %d bytes, %q", len(got), got[mib:mib+7])
	}
	if st := stat(t, file); st.Blocks*512 > mib || st.Mode&0o777 != 0o600 {
		t.Errorf("the file takes %d bytes, mode %o", st.Blocks*512, st.Mode)
	}
	must(t, do(t, Loop{Dev: dev, File: file, ReadOnly: true}))
	if got := readAll(t, dev, mib, 7); string(got) != "through" {
		t.Errorf("read %q", got)
	}
	wantError(t, do(t, WriteDevice{dev, "test", []Chunk{{Data: []byte("x")}}}))
	must(t, do(t, LoopOff{dev}))
}

func TestLoopRefuses(t *testing.T) {
	dev, dir := freeLoop(t), t.TempDir()
	wantError(t, do(t, Loop{Dev: dev, File: filepath.Join(dir, "none")}), "none")
	wantError(t, do(t, Loop{Dev: "/dev/sda", File: filepath.Join(dir, "x"), Size: mib}), "/dev/sda", "/dev/loopN")
	wantError(t, do(t, Loop{Dev: "/dev/loopx", File: filepath.Join(dir, "x"), Size: mib}), "/dev/loopN")
	must(t, os.Symlink("/etc/passwd", filepath.Join(dir, "link")))
	wantError(t, do(t, Loop{Dev: dev, File: filepath.Join(dir, "link"), Size: mib}), "link")
}

func TestMappingWithoutDeviceMapper(t *testing.T) {
	if _, err := miscMinor("device-mapper"); err == nil {
		t.Skip("SKIPPED: this kernel has device-mapper, which the guests of qemu-tests try")
	}
	m := Mapping{Name: "machine-test", Table: []MappingTarget{{0, mib, "zero", ""}}}
	wantError(t, do(t, m), "device-mapper", "module")
	wantError(t, do(t, Unmap{m.Name}), "device-mapper")
	_, err := StatusOfMapping(m.Name)
	wantError(t, err, "device-mapper")
}
