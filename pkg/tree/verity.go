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

// verity is how fs-verity protects a file.
type verity struct {
	alg, block uint32
	salt, sig  []byte
	digest     string // the algorithm and the file's digest
}

var errVerity = errors.New("malformed descriptor of fs-verity")

// measureVerity returns the digest that the kernel holds the file to.
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

// readVerity tells all that is needed to protect a copy alike. Kernels before
// 5.12 do not tell salt, block size and signature: the usual ones are taken
// then, and the digest of the copy shows whether they were right.
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

// parse reads a struct fsverity_descriptor, which is on the disk as it is here:
// u8 version, algorithm, log2 of the block size, size of the salt; at 80 the salt.
func (v *verity) parse(b []byte) error {
	if len(b) != verityDescriptorSize || b[0] != 1 || b[2] < 10 || b[2] > 16 || b[3] > verityMostSalt || uint32(b[1]) != v.alg {
		return errVerity
	}
	v.block = 1 << b[2]
	v.salt = bytes.Clone(b[80 : 80+b[3]])
	return nil
}

// verityMetadata fills buf, which has to lie on the heap: the kernel gets its address as a number.
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

// enableVerity protects a file that no one has open for writing. fd is read-only.
func enableVerity(fd int, v verity) error {
	arg := verityArg(v)
	err := ioctl(fd, verityEnableReq(), unsafe.Pointer(&arg[0]))
	runtime.KeepAlive(v)
	return err
}

// verityArg spells struct fsverity_enable_arg: u32 version, algorithm, block size,
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

// protect puts the copy under fs-verity like its source. From then on no one
// writes to it, so the descriptors for writing are closed first; its metadata can still be set.
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
		err = fmt.Errorf("digest %s, that of the source is %s: %w", got, v.digest, unix.EINVAL)
	}
	return j.c.loss(j.path(), "fs-verity", err)
}

// verity compares how two files are protected, if one of them is.
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

// probeVerity tries fs-verity on a file of its own in dir.
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

// lookVerity says what of a protected file's protection the target cannot have.
func (s *scanner) lookVerity(w *worker, path string, fd int) {
	v, err := readVerity(fd, w.xattr)
	s.judgeVerity(path, v, err)
}

func (s *scanner) judgeVerity(path string, v verity, err error) {
	c := &s.caps
	switch {
	case err != nil:
		s.find("tree.verity", Loss, path, "boot a kernel with CONFIG_FS_VERITY", "fs-verity protects the source file, and how cannot be read: %v", err)
	case !c.Verity:
		s.find("tree.verity", Loss, path, "mkfs.ext4 -O verity and a kernel with CONFIG_FS_VERITY (or enable it on the copy afterwards: fsverity enable)", "fs-verity protects the source file (%s), the target's %s cannot", v.digest, c.FS)
	case int64(v.block) > c.BlockSize:
		s.find("tree.verity", Loss, path, "mkfs with larger blocks", "fs-verity hashes blocks of %d bytes, the target's %s has such of %d", v.block, c.FS, c.BlockSize)
	case len(v.sig) > 0:
		s.find("tree.veritysig", Info, path, "if the copy stops there: load the certificate into the keyring .fs-verity", "a signature of %d bytes comes along, which the running kernel may want to prove", len(v.sig))
	}
}
