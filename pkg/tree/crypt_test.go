package tree

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

const cryptDescriptor = "precheck" // of a key of version 1: any eight bytes

func onDir(t *testing.T, dir string, req uint, arg unsafe.Pointer) error {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	return ioctl(fd, req, arg)
}

// addCryptKey adds the key for policies of the given version to a filesystem.
func addCryptKey(t *testing.T, dir string, version uint8) unix.FscryptKeySpecifier {
	t.Helper()
	var a struct {
		unix.FscryptAddKeyArg
		raw [unix.FSCRYPT_MAX_KEY_SIZE]byte
	}
	a.Raw_size = uint32(copy(a.raw[:], noise(5, len(a.raw))))
	a.Key_spec.Type = unix.FSCRYPT_KEY_SPEC_TYPE_IDENTIFIER
	if version == unix.FSCRYPT_POLICY_V1 {
		a.Key_spec.Type = unix.FSCRYPT_KEY_SPEC_TYPE_DESCRIPTOR
		copy(a.Key_spec.U[:], cryptDescriptor)
	}
	err := onDir(t, dir, unix.FS_IOC_ADD_ENCRYPTION_KEY, unsafe.Pointer(&a))
	if errors.Is(err, unix.EOPNOTSUPP) {
		t.Skip("SKIPPED, NOTHING TESTED: this kernel has no fscrypt")
	}
	if err != nil {
		t.Fatalf("add key: %v", err)
	}
	return a.Key_spec
}

func removeCryptKey(t *testing.T, dir string, spec unix.FscryptKeySpecifier) {
	t.Helper()
	syncDir(t, dir)
	a := unix.FscryptRemoveKeyArg{Key_spec: spec}
	if err := onDir(t, dir, unix.FS_IOC_REMOVE_ENCRYPTION_KEY, unsafe.Pointer(&a)); err != nil || a.Removal_status_flags != 0 {
		t.Fatalf("remove key: %v, status %#x", err, a.Removal_status_flags)
	}
}

// encrypt sets the encryption policy of an empty directory.
func encrypt(t *testing.T, dir string, version uint8, key []byte) {
	t.Helper()
	const contents, names, flags = unix.FSCRYPT_MODE_AES_256_XTS, unix.FSCRYPT_MODE_AES_256_CTS, unix.FSCRYPT_POLICY_FLAGS_PAD_32
	two := unix.FscryptPolicyV2{Version: version, Contents_encryption_mode: contents, Filenames_encryption_mode: names, Flags: flags}
	copy(two.Master_key_identifier[:], key)
	arg := unsafe.Pointer(&two)
	if version == unix.FSCRYPT_POLICY_V1 {
		one := unix.FscryptPolicyV1{Version: version, Contents_encryption_mode: contents, Filenames_encryption_mode: names, Flags: flags}
		copy(one.Master_key_descriptor[:], key)
		arg = unsafe.Pointer(&one)
	}
	err := onDir(t, dir, unix.FS_IOC_SET_ENCRYPTION_POLICY, arg)
	if errors.Is(err, unix.EOPNOTSUPP) {
		t.Skip("SKIPPED, NOTHING TESTED: this kernel has no fscrypt")
	}
	if err != nil {
		t.Fatalf("set policy: %v", err)
	}
}

// TestEncryptedDirectories checks that a directory whose key is present is copied unencrypted, and that this is reported. Without
// the key the copy is refused, even if nothing in the directory has to be opened, and whichever was found first.
func TestEncryptedDirectories(t *testing.T) {
	for name, version := range map[string]uint8{"v1": unix.FSCRYPT_POLICY_V1, "v2": unix.FSCRYPT_POLICY_V2} {
		t.Run(name, func(t *testing.T) {
			src := newDisk(t, "ext4", 64<<20, "-O", "encrypt")
			spec := addCryptKey(t, src.dir, version)
			key := spec.U[:16]
			if version == unix.FSCRYPT_POLICY_V1 {
				key = spec.U[:8]
			}
			apply(t, src.dir, file("plain", 0o600, nil), mkdir("files", 0o700), mkdir("links", 0o700))
			encrypt(t, src.dir+"/files", version, key)
			encrypt(t, src.dir+"/links", version, key)
			apply(t, src.dir, file("files/a", 0o600, []byte("a")), file("files/b", 0o600, []byte("b")), symlink("secret", "links/s"), mkdir("links/sub", 0o700))
			unlocked := func() {
				t.Helper()
				got := findings(t, src.dir, capable())
				f := got["tree.encrypted"]
				expect(t, got, "tree.encrypted", Loss, 6, f.Paths[0], "not be encrypted")
				if !strings.Contains(f.Fix, "LUKS") || !slices.Contains(f.Paths, "links/s") {
					t.Errorf("%+v", f)
				}
			}
			unlocked()
			removeCryptKey(t, src.dir, spec)
			locked := func(f Finding, count int64) {
				t.Helper()
				if f.Severity != Fail || f.Count != count || !strings.Contains(f.Detail, "keyring") || f.Fix != unlockFix {
					t.Errorf("without the key: %+v, want count %d", f, count)
				}
			}
			got := findings(t, src.dir, capable())["tree.encrypted"]
			locked(got, 6)
			if !slices.Contains(got.Paths[:5], "files") || !slices.Contains(got.Paths[:5], "links") { // three directories and two files are Fail, the link is not
				t.Errorf("paths %q", got.Paths)
			}
			// Without a regular file, no call returns ENOKEY.
			got = walked(t, scannerOf(t, src.dir+"/links", capable()))["tree.encrypted"]
			locked(got, 3)
			if !strings.Contains(got.Detail, "the key "+hex.EncodeToString(key)) || got.Paths[0] != "." {
				t.Errorf("%+v", got)
			}
			addCryptKey(t, src.dir, version)
			unlocked()
			// The state after a reboot.
			src.remount(t, unix.MS_RDONLY)
			locked(findings(t, src.dir, capable())["tree.encrypted"], 6)
		})
	}
}

// TestEncryptedWithAKeyOfTheSession: keys of version 1 may be in the session keyring, where the kernel also looks.
func TestEncryptedWithAKeyOfTheSession(t *testing.T) {
	src := newDisk(t, "ext4", 64<<20, "-O", "encrypt")
	payload := binary.NativeEndian.AppendUint32(append(make([]byte, 4), noise(5, unix.FSCRYPT_MAX_KEY_SIZE)...), unix.FSCRYPT_MAX_KEY_SIZE) // struct fscrypt_key
	// Use its number: without a session keyring, adding to KEY_SPEC_SESSION_KEYRING would create one for this thread only.
	ring, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, false)
	id := 0
	if err == nil {
		id, err = unix.AddKey("logon", unix.FSCRYPT_KEY_DESC_PREFIX+hex.EncodeToString([]byte(cryptDescriptor)), payload, ring)
	}
	if err != nil {
		t.Skipf("SKIPPED, NOTHING TESTED: no key in the session's keyring: %v", err)
	}
	there := true
	drop := func() {
		if there {
			there = false
			if _, err := unix.KeyctlInt(unix.KEYCTL_UNLINK, id, ring, 0, 0); err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(drop)
	apply(t, src.dir, file("plain", 0o600, nil), mkdir("d", 0o700))
	encrypt(t, src.dir+"/d", unix.FSCRYPT_POLICY_V1, []byte(cryptDescriptor))
	apply(t, src.dir, symlink("secret", "d/s"))
	f := findings(t, src.dir, capable())["tree.encrypted"]
	if f.Severity != Loss || f.Count != 2 || !strings.Contains(f.Detail, "not be encrypted") {
		t.Errorf("with the key: %+v", f)
	}
	drop()
	src.remount(t, unix.MS_RDONLY)
	if f := findings(t, src.dir, capable())["tree.encrypted"]; f.Severity != Fail || f.Count != 2 || f.Fix != unlockFix {
		t.Errorf("without the key: %+v", f)
	}
}
