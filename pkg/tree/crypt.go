package tree

import (
	"encoding/hex"
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	unlockFix  = "unlock it (fscrypt unlock), or copy by blocks (engine extent), which needs no key"
	noCryptFix = "boot a kernel with CONFIG_FS_ENCRYPTION and unlock it, or copy by blocks (engine extent), which needs no key"
)

// notEncrypted reports a file that can be read, and whose copy will not be encrypted.
func (s *scanner) notEncrypted(path string) {
	s.find("tree.encrypted", Loss, path, "encrypt the target below the filesystem (LUKS), or copy by blocks (engine extent)", "encrypted by fscrypt: the copy will not be encrypted")
}

// lookEncryptedDir checks the key of an encrypted directory. Without the key the directory can still be listed, but its names
// are ciphertext.
func (s *scanner) lookEncryptedDir(path string, fd int) {
	key, there, err := encryptionKey(fd, s.src.magic)
	switch {
	case errors.Is(err, unix.ENOTTY): // encrypted by something other than fscrypt
		s.notEncrypted(path)
	case errors.Is(err, unix.EOPNOTSUPP):
		s.find("tree.encrypted", Fail, path, noCryptFix, "encrypted by fscrypt, which this kernel does not support: names would be copied as ciphertext")
	case err != nil:
		s.find("tree.encrypted", Fail, path, unlockFix, "encrypted by fscrypt: cannot find out whether the kernel has the key: %v", err)
	case !there:
		s.find("tree.encrypted", Fail, path, unlockFix, "encrypted by fscrypt: the key %s is not in the kernel's keyring: names and symlinks would be copied as ciphertext", key)
	default:
		s.notEncrypted(path)
	}
}

// encryptionKey returns the name of the key of a directory that fscrypt encrypts, and reports whether the kernel has it. A key
// that is being removed counts as missing: only files that are already open can still be read.
func encryptionKey(fd int, magic int64) (key string, there bool, err error) {
	policy := unix.FscryptGetPolicyExArg{}
	policy.Size = uint64(len(policy.Policy))
	if err := ioctl(fd, unix.FS_IOC_GET_ENCRYPTION_POLICY_EX, unsafe.Pointer(&policy)); err != nil {
		return "", false, err
	}
	// include/uapi/linux/fscrypt.h: version 1 has a descriptor at offset 4, version 2 an identifier at offset 8.
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

// inSessionKeyring reports whether the session keyring has a key of version 1. Before Linux 5.4 these keys were kept in the
// keyrings of processes, and the kernel still searches there.
func inSessionKeyring(descriptor string, magic int64) bool {
	for _, prefix := range []string{unix.FSCRYPT_KEY_DESC_PREFIX, fsName(magic) + ":"} {
		if _, err := unix.KeyctlSearch(unix.KEY_SPEC_SESSION_KEYRING, "logon", prefix+descriptor, 0); err == nil {
			return true
		}
	}
	return false
}
