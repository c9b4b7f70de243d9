package tree

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// include/uapi/linux/fsverity.h; x/sys has the numbers, not the structs.
const (
	verityDigestSize     = 4  // struct fsverity_digest, without the digest
	verityMostDigest     = 64 // SHA-512
	verityMetadataSize   = 40
	verityEnableSize     = 128
	verityDescriptorSize = 256
	verityMostSalt       = 32
	verityMostSignature  = 16128 // FS_VERITY_MAX_SIGNATURE_SIZE
)

func verityEnableReq() uint   { return ioc(iocWrite, 'f', 133, verityEnableSize) }
func verityMeasureReq() uint  { return ioc(iocRead|iocWrite, 'f', 134, verityDigestSize) }
func verityMetadataReq() uint { return ioc(iocRead|iocWrite, 'f', 135, verityMetadataSize) }

// verity has the fs-verity parameters of a file.
type verity struct {
	alg, block uint32
	salt, sig  []byte
	digest     string // the algorithm and the file's digest
}

var errVerity = errors.New("malformed fs-verity descriptor")

// measureVerity returns the digest that the kernel enforces for the file.
func measureVerity(fd int) (alg uint32, digest string, err error) {
	b := make([]byte, verityDigestSize+verityMostDigest)
	ne := binary.NativeEndian
	ne.PutUint16(b[2:], verityMostDigest)
	if err := ioctl(fd, verityMeasureReq(), unsafe.Pointer(&b[0])); err != nil {
		return 0, "", err
	}
	n := min(int(ne.Uint16(b[2:])), verityMostDigest)
	alg = uint32(ne.Uint16(b))
	return alg, fmt.Sprintf("%d:%x", alg, b[verityDigestSize:verityDigestSize+n]), nil
}

// readVerity returns what is needed to enable fs-verity on a copy in the same way. Kernels before 5.12 do not report salt, block
// size and signature. It then assumes the defaults; the digest of the copy shows whether they are right.
func readVerity(fd int, buf []byte) (v verity, err error) {
	if v.alg, v.digest, err = measureVerity(fd); err != nil {
		return v, err
	}
	n, err := verityMetadata(fd, unix.FS_VERITY_METADATA_TYPE_DESCRIPTOR, buf[:verityDescriptorSize])
	if errors.Is(err, unix.ENOTTY) {
		v.block = 4096
		return v, nil
	}
	if err != nil {
		return v, err
	}
	if err := v.parse(buf[:n]); err != nil {
		return v, err
	}
	n, err = verityMetadata(fd, unix.FS_VERITY_METADATA_TYPE_SIGNATURE, buf[:verityMostSignature])
	if errors.Is(err, unix.ENODATA) {
		return v, nil
	}
	v.sig = bytes.Clone(buf[:n])
	return v, err
}

// parse decodes a struct fsverity_descriptor, which is also the format on disk: u8 version, algorithm, log2 of the block size,
// size of the salt; the salt is at offset 80.
func (v *verity) parse(b []byte) error {
	if len(b) != verityDescriptorSize || b[0] != 1 || b[2] < 10 || b[2] > 16 || b[3] > verityMostSalt || uint32(b[1]) != v.alg {
		return errVerity
	}
	v.block = 1 << b[2]
	v.salt = bytes.Clone(b[80 : 80+b[3]])
	return nil
}

// verityMetadata reads metadata into buf, which must be on the heap, because its address is passed as a number.
func verityMetadata(fd int, what uint64, buf []byte) (int, error) {
	arg := [verityMetadataSize / 8]uint64{what, 0, uint64(len(buf)), uint64(uintptr(unsafe.Pointer(unsafe.SliceData(buf))))}
	for {
		n, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(verityMetadataReq()), uintptr(unsafe.Pointer(&arg)))
		runtime.KeepAlive(buf)
		if e == 0 {
			return min(int(n), len(buf)), nil
		}
		if e != unix.EINTR {
			return 0, e
		}
	}
}

// enableVerity enables fs-verity on a file that is not open for writing. fd must be read-only.
func enableVerity(fd int, v verity) error {
	arg := verityArg(v)
	err := ioctl(fd, verityEnableReq(), unsafe.Pointer(&arg[0]))
	runtime.KeepAlive(v)
	return err
}

// verityArg encodes struct fsverity_enable_arg: u32 version, algorithm, block size,
// size of the salt; u64 salt; u32 size of the signature, reserved; u64 signature.
func verityArg(v verity) []byte {
	b := make([]byte, verityEnableSize)
	ne := binary.NativeEndian
	ne.PutUint32(b, 1)
	ne.PutUint32(b[4:], v.alg)
	ne.PutUint32(b[8:], v.block)
	ne.PutUint32(b[12:], uint32(len(v.salt)))
	if len(v.salt) > 0 {
		ne.PutUint64(b[16:], uint64(uintptr(unsafe.Pointer(&v.salt[0]))))
	}
	ne.PutUint32(b[24:], uint32(len(v.sig)))
	if len(v.sig) > 0 {
		ne.PutUint64(b[32:], uint64(uintptr(unsafe.Pointer(&v.sig[0]))))
	}
	return b
}

// protect enables fs-verity on the copy with the parameters of the source. It closes the descriptors for writing first. After
// that the data cannot be written any more, but the metadata can still be set.
func (j *fileJob) protect(w *worker) error {
	var v verity
	err := j.c.o.reading("read fs-verity", j.path, func() (err error) {
		v, err = readVerity(j.src, w.xattr)
		return err
	})
	if err != nil {
		return j.incomplete("read fs-verity", "fs-verity", 0, 0, err)
	}
	closed := unix.Close(j.dst)
	if j.out >= 0 {
		closed = errors.Join(closed, unix.Close(j.out))
	}
	j.dst, j.out = -1, -1
	if closed != nil {
		return &Error{Side: Target, Op: "close", Path: j.path(), Err: closed}
	}
	if j.dst, err = openBelow(j.d.dst, j.name, unix.O_RDONLY, 0); err != nil {
		return &Error{Side: Target, Op: "open", Path: j.path(), Err: err}
	}
	if err := enableVerity(j.dst, v); err != nil {
		return j.c.loss(j.path(), "fs-verity", err)
	}
	_, got, err := measureVerity(j.dst)
	if err == nil && got != v.digest {
		err = fmt.Errorf("digest is %s, but that of the source is %s: %w", got, v.digest, unix.EINVAL)
	}
	return j.c.loss(j.path(), "fs-verity", err)
}

// verity compares the fs-verity digests of the two files, if one of them has one.
func (f *pair) verity() {
	const bit = unix.STATX_ATTR_VERITY
	if (f.s.attrs|f.t.attrs)&bit == 0 {
		return
	}
	say := func(fd int, attrs uint64) string {
		if attrs&bit == 0 {
			return "none"
		}
		_, d, err := measureVerity(fd)
		if err != nil {
			return err.Error()
		}
		return d
	}
	s, t := say(f.src, f.s.attrs), say(f.dst, f.t.attrs)
	if s != t || f.s.attrs&f.t.attrs&bit == 0 {
		f.v.differ(f.path(), "verity", s, t)
	}
}

// probeVerity tries to enable fs-verity on a new file in dir.
func probeVerity(dir int, bsize int64) bool {
	fd, err := openBelow(dir, "v", unix.O_RDWR|unix.O_CREAT|unix.O_EXCL, 0o600)
	if err != nil {
		return false
	}
	if err := errors.Join(writeFull(fd, []byte("v"), 0), unix.Close(fd)); err != nil {
		return false
	}
	if fd, err = openBelow(dir, "v", unix.O_RDONLY, 0); err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }()
	return enableVerity(fd, verity{alg: unix.FS_VERITY_HASH_ALG_SHA256, block: uint32(min(bsize, 4096))}) == nil
}

// lookVerity reports what the target cannot keep of the fs-verity protection of a file.
func (s *scanner) lookVerity(w *worker, path string, fd int) {
	v, err := readVerity(fd, w.xattr)
	s.verityFinding(path, v, err)
}

func (s *scanner) verityFinding(path string, v verity, err error) {
	c := &s.caps
	switch {
	case err != nil:
		s.find("tree.verity", Loss, path, "boot a kernel with CONFIG_FS_VERITY", "protected by fs-verity, whose parameters cannot be read: %v", err)
	case !c.Verity:
		s.find("tree.verity", Loss, path, "mkfs.ext4 -O verity and a kernel with CONFIG_FS_VERITY (or enable it on the copy afterwards: fsverity enable)", "protected by fs-verity (%s), which the target's %s does not support", v.digest, c.FS)
	case int64(v.block) > c.BlockSize:
		s.find("tree.verity", Loss, path, "mkfs with larger blocks", "fs-verity uses blocks of %d bytes, but the target's %s has blocks of %d", v.block, c.FS, c.BlockSize)
	case len(v.sig) > 0:
		s.find("tree.veritysig", Info, path, "if the copy stops there: load the certificate into the keyring .fs-verity", "the copy gets its fs-verity signature of %d bytes, which the running kernel may want to verify", len(v.sig))
	}
}
