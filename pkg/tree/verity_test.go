package tree

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os/exec"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestVerityNumbers(t *testing.T) {
	for _, c := range []struct {
		name      string
		got, want uint
	}{
		{"FS_IOC_ENABLE_VERITY", verityEnableReq(), unix.FS_IOC_ENABLE_VERITY},
		{"FS_IOC_MEASURE_VERITY", verityMeasureReq(), unix.FS_IOC_MEASURE_VERITY},
		{"FS_IOC_READ_VERITY_METADATA", verityMetadataReq(), unix.FS_IOC_READ_VERITY_METADATA},
	} {
		if c.got != c.want {
			t.Errorf("%s is %#x, want %#x", c.name, c.got, c.want)
		}
	}
}

// TestVerityArg checks that the offsets of the fields are those of struct fsverity_enable_arg in C.
func TestVerityArg(t *testing.T) {
	v := verity{alg: 2, block: 1024, salt: []byte("salt!"), sig: []byte("signature")}
	b := verityArg(v)
	u32, u64 := binary.NativeEndian.Uint32, binary.NativeEndian.Uint64
	at := func(p []byte) uint64 { return uint64(uintptr(unsafe.Pointer(&p[0]))) }
	if len(b) != 128 || u32(b) != 1 || u32(b[4:]) != 2 || u32(b[8:]) != 1024 || u32(b[12:]) != 5 || u64(b[16:]) != at(v.salt) ||
		u32(b[24:]) != 9 || u32(b[28:]) != 0 || u64(b[32:]) != at(v.sig) || !bytes.Equal(b[40:], make([]byte, 88)) {
		t.Errorf("%x", b)
	}
	if b := verityArg(verity{alg: 1, block: 4096}); u64(b[16:]) != 0 || u64(b[32:]) != 0 {
		t.Errorf("addresses of nothing: %x", b)
	}
}

func TestVerityDescriptor(t *testing.T) {
	good := make([]byte, 256)
	copy(good, []byte{1, 1, 12, 3})
	copy(good[80:], "abcdef")
	v := verity{alg: 1}
	if err := v.parse(good); err != nil || v.block != 4096 || string(v.salt) != "abc" {
		t.Errorf("%+v, %v", v, err)
	}
	for _, bad := range []func(b []byte) []byte{
		func(b []byte) []byte { return b[:255] },
		func(b []byte) []byte { return nil },
		func(b []byte) []byte { b[0] = 2; return b },
		func(b []byte) []byte { b[1] = 2; return b }, // not the algorithm that the kernel reports
		func(b []byte) []byte { b[2] = 9; return b },
		func(b []byte) []byte { b[2] = 200; return b },
		func(b []byte) []byte { b[3] = 33; return b },
		func(b []byte) []byte { b[3] = 255; return b },
	} {
		v := verity{alg: 1}
		if err := v.parse(bad(bytes.Clone(good))); !errors.Is(err, errVerity) {
			t.Errorf("accepted as %+v, %v", v, err)
		}
	}
}

// protectFile enables fs-verity with the given parameters.
func protectFile(p string, v verity) act {
	return func(r string) error {
		fd, err := unix.Open(r+"/"+p, unix.O_RDONLY, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return enableVerity(fd, v)
	}
}

func TestCopyVerity(t *testing.T) {
	for _, c := range [][]string{{"ext4", "-O", "verity", "-b", "4096"}, {"btrfs"}} {
		t.Run(c[0], func(t *testing.T) {
			src, dst := newDisk(t, c[0], 256<<20, c[1:]...), newDisk(t, c[0], 256<<20, c[1:]...)
			if !probe(t, src).Verity {
				t.Skipf("SKIPPED, NOTHING TESTED: this kernel has no fs-verity for %s", c[0])
			}
			apply(t, src.dir, file("plain", 0o600, nil), file("empty", 0o640, nil), file("small", 0o444, noise(1, 70_000)), file("big", 0o600, noise(2, 20<<20)),
				link("small", "small2"), pieces("hole", 3<<20, map[int64][]byte{1 << 20: noise(3, 5000)}), file("im", 0o600, noise(4, 9000)),
				protectFile("empty", verity{alg: 1, block: 4096}), protectFile("small", verity{alg: 2, block: 4096, salt: []byte("salt of 18 bytes..")}),
				protectFile("big", verity{alg: 1, block: 4096, salt: []byte{0}}), protectFile("hole", verity{alg: 1, block: 4096}),
				protectFile("im", verity{alg: 1, block: 4096}), chattr("+i", "im"))
			src.remount(t, unix.MS_RDONLY)
			var man bytes.Buffer
			if _, err := Copy(t.Context(), src.dir, dst.dir, Options{Manifest: &man}); err != nil {
				t.Fatal(err)
			}
			dst.remount(t, unix.MS_RDONLY)
			sameTree(t, src.dir, dst.dir)
			rep, err := Verify(t.Context(), src.dir, dst.dir, Options{Hashes: openManifest(t, man.Bytes())})
			if err != nil || !rep.Equal() {
				t.Errorf("verify: %v %v", err, rep.Differences)
			}
			dst.remount(t, 0)
			apply(t, dst.dir, protectFile("plain", verity{alg: 1, block: 4096}))
			rep, err = Verify(t.Context(), src.dir, dst.dir, Options{})
			if err != nil || !slices.ContainsFunc(rep.Differences, func(d Difference) bool { return d.Path == "plain" && d.What == "verity" }) {
				t.Errorf("a file protected on the target only: %v %v", err, rep.Differences)
			}
		})
	}
}

// TestVerityWithoutTheKernel: a kernel without fs-verity does not open a protected file. Precheck reports that, and a copy stops at
// the file.
func TestVerityWithoutTheKernel(t *testing.T) {
	src, dst := newDisk(t, "ext4", 64<<20, "-O", "verity"), newDisk(t, "ext4", 64<<20)
	if probe(t, src).Verity {
		t.Skip("SKIPPED, NOTHING TESTED: this kernel has fs-verity")
	}
	apply(t, src.dir, file("a", 0o600, noise(2, 50)), mkdir("d", 0o755), file("d/protected", 0o600, noise(1, 5000)))
	if err := unix.Unmount(src.dir, 0); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("debugfs", "-w", "-R", "set_inode_field /d/protected flags 0x180000", src.dev).CombinedOutput()
	if e := unix.Mount(src.dev, src.dir, "ext4", unix.MS_RDONLY, ""); e != nil {
		t.Fatal(e)
	}
	if err != nil {
		t.Skipf("SKIPPED, NOTHING TESTED: debugfs: %v: %s", err, out)
	}
	f := findings(t, src.dir, probe(t, dst))["tree.verity"]
	if f.Severity != Fail || !slices.Equal(f.Paths, []string{"d/protected"}) || f.Detail == "" || f.Fix == "" {
		t.Errorf("finding %+v", f)
	}
	_, err = Copy(t.Context(), src.dir, dst.dir, Options{})
	var e *Error
	if !errors.As(err, &e) || e.Path != "d/protected" || e.Side != Source {
		t.Errorf("copy: %v", err)
	}
}
