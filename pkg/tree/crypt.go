package tree

import (
	"encoding/hex"
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	unlockMend  = "unlock it (fscrypt unlock), or copy by blocks (engine extent), which needs no key"
	noCryptMend = "boot a kernel with CONFIG_FS_ENCRYPTION and unlock it, or copy by blocks (engine extent), which needs no key"
)

// inClear is said of what can be read: the copy is not encrypted.
func (s *scanner) inClear(path string) {
	s.find("tree.encrypted", Loss, path, "encrypt the target below the filesystem (LUKS), or copy by blocks (engine extent)", "fscrypt: the copy will be in clear")
}

// lookEncryptedDir: without the key a directory can be listed all the same, and the names are a ciphertext.
func (s *scanner) lookEncryptedDir(path string, fd int) {
	key, there, err := encryptionKey(fd, s.src.magic)
	switch {
	case errors.Is(err, unix.ENOTTY): // encrypted by other means than fscrypt
		s.inClear(path)
	case errors.Is(err, unix.EOPNOTSUPP):
		s.find("tree.encrypted", Fail, path, noCryptMend, "fscrypt encrypts the directory, and this kernel has none: its names would be copied as ciphertext")
	case err != nil:
		s.find("tree.encrypted", Fail, path, unlockMend, "fscrypt: whether the key is there cannot be asked: %v", err)
	case !there:
		s.find("tree.encrypted", Fail, path, unlockMend, "fscrypt: the key %s is not in the kernel's keyring: names and links would be copied as ciphertext", key)
	default:
		s.inClear(path)
	}
}

// encryptionKey names the key of a directory that fscrypt encrypts, and tells whether the kernel has it. A key that is being
// removed counts as gone: it opens only what is open already.
func encryptionKey(fd int, magic int64) (key string, there bool, err error) {
	policy := unix.FscryptGetPolicyExArg{}
	policy.Size = uint64(len(policy.Policy))
	if err := ioctl(fd, unix.FS_IOC_GET_ENCRYPTION_POLICY_EX, unsafe.Pointer(&policy)); err != nil {
		return "", false, err
	}
	// include/uapi/linux/fscrypt.h: a descriptor follows four bytes in version 1, an identifier eight in version 2.
	ask := unix.FscryptGetKeyStatusArg{}
	var name []byte
	switch policy.Policy[0] {
	case unix.FSCRYPT_POLICY_V1:
		ask.Key_spec.Type, name = unix.FSCRYPT_KEY_SPEC_TYPE_DESCRIPTOR, policy.Policy[4:12]
	case unix.FSCRYPT_POLICY_V2:
		ask.Key_spec.Type, name = unix.FSCRYPT_KEY_SPEC_TYPE_IDENTIFIER, policy.Policy[8:24]
	default:
		return "", false, unix.EINVAL
	}
	copy(ask.Key_spec.U[:], name)
	key = hex.EncodeToString(name)
	if err := ioctl(fd, unix.FS_IOC_GET_ENCRYPTION_KEY_STATUS, unsafe.Pointer(&ask)); err != nil {
		return key, false, err
	}
	there = ask.Status == unix.FSCRYPT_KEY_STATUS_PRESENT
	if !there && ask.Key_spec.Type == unix.FSCRYPT_KEY_SPEC_TYPE_DESCRIPTOR {
		there = inSessionKeyring(key, magic)
	}
	return key, there, nil
}

// inSessionKeyring: before Linux 5.4 the keys of version 1 were in the keyrings of processes, and the kernel still looks there.
func inSessionKeyring(descriptor string, magic int64) bool {
	for _, prefix := range []string{unix.FSCRYPT_KEY_DESC_PREFIX, fsName(magic) + ":"} {
		if _, err := unix.KeyctlSearch(unix.KEY_SPEC_SESSION_KEYRING, "logon", prefix+descriptor, 0); err == nil {
			return true
		}
	}
	return false
}
