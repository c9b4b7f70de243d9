package luks

import (
	"errors"
	"fmt"
	"io"
	"slices"
)

// ErrNone means that a device does not hold a LUKS header.
var ErrNone = errors.New("no LUKS header")

// Header is what a LUKS header says.
type Header struct {
	Version int
	UUID    string
	Label   string // of LUKS2
	Cipher  string // of the data, as dm-crypt spells it: "aes-xts-plain64"
	KeySize int    // bytes
	Offset  int64  // where the data begins, in bytes
	Sector  int    // bytes that are encrypted at a time
	Slots   []Slot // those in use, by number
	Tokens  []Token
	// Unusual says why cryptsetup must not simply open it ("a re-encryption is under way"), "" for nothing.
	Unusual string
}

// Slot is a key slot in use.
type Slot struct {
	Number int
	Cipher string // of the slot's own area
	Hash   string // of the key derivation, or of the anti-forensic splitter
	KDF    string // "pbkdf2", "argon2i", "argon2id"
	Memory int64  // bytes that the key derivation takes
}

// Token is a way to get the key of slots from somewhere else than a person: "systemd-tpm2", "clevis", ...
type Token struct {
	Type  string
	Slots []int
}

// Passphrase lists the slots that a passphrase or key file may open: those that no token fills. A slot of
// systemd-recovery holds a key that a person types.
func (h Header) Passphrase() []Slot {
	return slices.DeleteFunc(slices.Clone(h.Slots), func(s Slot) bool {
		return slices.ContainsFunc(h.Tokens, func(t Token) bool {
			return t.Type != "systemd-recovery" && t.Type != "luks2-keyring" && slices.Contains(t.Slots, s.Number)
		})
	})
}

// Memory is what the costliest key derivation of the slots takes, in bytes.
func (h Header) Memory() int64 {
	var most int64
	for _, s := range h.Slots {
		most = max(most, s.Memory)
	}
	return most
}

// Read reads the header of a device of size bytes. The error is ErrNone if there is none, or says what is wrong with it.
func Read(r io.ReaderAt, size int64) (Header, error) {
	b, err := at(r, 0, 592, size)
	if err != nil {
		return Header{}, err
	}
	switch {
	case string(b[:6]) == magic && be16(b[6:]) == 1:
		return read1(b)
	case string(b[:6]) == magic && be16(b[6:]) != 2:
		return Header{}, fmt.Errorf("LUKS header: version %d is unknown", be16(b[6:]))
	}
	return read2(r, size)
}

// at reads a range of a device. A range beyond its end is no header.
func at(r io.ReaderAt, off, n, size int64) ([]byte, error) {
	if off < 0 || n > size || off > size-n {
		return nil, ErrNone
	}
	b := make([]byte, n)
	if got, err := r.ReadAt(b, off); int64(got) < n {
		return nil, fmt.Errorf("LUKS header: %w", err)
	}
	return b, nil
}
