package luks_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"migrate-init/pkg/luks"
)

const mib = 1 << 20

// format makes a container by cryptsetup, which needs no device-mapper for a file, and returns its first bytes.
func format(t *testing.T, more [][]string, args ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath("cryptsetup"); err != nil {
		t.Skip("cryptsetup is not installed")
	}
	p := filepath.Join(t.TempDir(), "luks")
	if err := os.WriteFile(p, make([]byte, 20*mib), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("cryptsetup", append(append([]string{"-q", "--key-file=-"}, args...), p)...)
	cmd.Stdin = strings.NewReader("secret")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cryptsetup: %v\n%s", err, out)
	}
	for _, a := range more {
		cmd := exec.Command("cryptsetup", append(slices.Clone(a), p)...)
		cmd.Stdin = strings.NewReader(`{"type":"clevis","keyslots":["0"]}`)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("cryptsetup: %v\n%s", err, out)
		}
	}
	b, err := os.ReadFile(p)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const id = "12345678-1234-4234-8234-123456789abc"

func TestReadCryptsetups(t *testing.T) {
	b := format(t, nil, "luksFormat", "--type", "luks1", "--uuid", id, "--iter-time", "10")
	h, err := luks.Read(bytes.NewReader(b), int64(len(b)))
	if err != nil || h.Version != 1 || h.UUID != id || h.Cipher != "aes-xts-plain64" || len(h.Passphrase()) != 1 || h.Slots[0].Hash != "sha256" || h.Offset != 2*mib {
		t.Errorf("LUKS1: %+v, %v", h, err)
	}
	quick := []string{"luksFormat", "--type", "luks2", "--uuid", id, "--label", "a label", "--pbkdf", "argon2id", "--pbkdf-force-iterations", "4", "--pbkdf-memory", "2048"}
	b = format(t, nil, quick...)
	h, err = luks.Read(bytes.NewReader(b), int64(len(b)))
	if err != nil || h.Version != 2 || h.UUID != id || h.Label != "a label" || h.Cipher != "aes-xts-plain64" || len(h.Passphrase()) != 1 || h.Memory() != 2*mib || h.Unusual != "" || h.Offset != 16*mib {
		t.Errorf("LUKS2: %+v, %v", h, err)
	}
	// The second copy is enough, and a torn one is not believed.
	clear(b[:4096])
	if again, err := luks.Read(bytes.NewReader(b), int64(len(b))); err != nil || again.UUID != id {
		t.Errorf("without the first copy: %+v, %v", again, err)
	}
	b[0x4000+4096+10] ^= 1
	if _, err := luks.Read(bytes.NewReader(b), int64(len(b))); err == nil || !strings.Contains(err.Error(), "checksum does not match") {
		t.Errorf("a torn copy: %v", err)
	}
	b = format(t, [][]string{{"token", "import"}}, quick...)
	if h, err = luks.Read(bytes.NewReader(b), int64(len(b))); err != nil || len(h.Passphrase()) != 0 || len(h.Slots) != 1 || h.Tokens[0].Type != "clevis" {
		t.Errorf("a slot of clevis: %+v, %v", h, err)
	}
}

func TestReadNothing(t *testing.T) {
	for _, n := range []int{0, 100, 1 << 14, 1 << 20} {
		if _, err := luks.Read(bytes.NewReader(make([]byte, n)), int64(n)); !errors.Is(err, luks.ErrNone) {
			t.Errorf("%d zero bytes: %v", n, err)
		}
	}
	b := make([]byte, 1<<16)
	copy(b, "LUKS\xba\xbe\x00\x03")
	if _, err := luks.Read(bytes.NewReader(b), 1<<16); err == nil || errors.Is(err, luks.ErrNone) {
		t.Errorf("version 3: %v", err)
	}
	copy(b, "LUKS\xba\xbe\x00\x02\xff\xff\xff\xff")
	if _, err := luks.Read(bytes.NewReader(b), 1<<16); err == nil || !strings.Contains(err.Error(), "claims") {
		t.Errorf("a header without end: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("LUKS\xba\xbe\x00\x01"))
	f.Add([]byte("LUKS\xba\xbe\x00\x02"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := luks.Read(bytes.NewReader(b), int64(len(b)))
		if err == nil && (h.UUID == "" || len(h.Slots) > 32) {
			t.Errorf("%+v", h)
		}
	})
}
