package boot

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
)

// Names of EFI variables, and the GUIDs of their vendors.
const (
	EFIGlobalVendor     = "8be4df61-93ca-11d2-aa0d-00e098032b8c" // BootNext, BootOrder, BootCurrent, Boot####
	EFILoaderVendor     = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f" // systemd-boot's
	LoaderEntryOneShot  = "LoaderEntryOneShot"
	LoaderEntryDefault  = "LoaderEntryDefault"
	LoaderEntrySelected = "LoaderEntrySelected"

	// LoadOptionActive is the attribute of a boot entry that the firmware may start.
	LoadOptionActive = 1

	efiMax = 64 << 10 // bytes; larger than any variable that firmware stores
)

// BootEntryName returns the name of the variable of a boot entry: Boot0001, BootABCD.
func BootEntryName(n uint16) string { return fmt.Sprintf("Boot%04X", n) }

// ParseBootEntryName is the inverse of [BootEntryName]; ok is false for other names, such as BootOrder.
func ParseBootEntryName(name string) (n uint16, ok bool) {
	digits, ok := strings.CutPrefix(name, "Boot")
	if !ok || len(digits) != 4 || digits != strings.ToUpper(digits) {
		return 0, false
	}
	b, err := hex.DecodeString(digits)
	if err != nil {
		return 0, false
	}
	return binary.BigEndian.Uint16(b), true
}

// ParseBootNumbers reads the value of BootOrder, BootNext or BootCurrent, without the four bytes of attributes that
// efivarfs puts before it.
func ParseBootNumbers(data []byte) ([]uint16, error) {
	if len(data)%2 != 0 || len(data) > efiMax {
		return nil, fmt.Errorf("efi boot numbers: %d bytes, an even number of at most %d expected", len(data), efiMax)
	}
	out := make([]uint16, len(data)/2)
	for i := range out {
		out[i] = binary.LittleEndian.Uint16(data[2*i:])
	}
	return out, nil
}

// BootNumbers returns the value of BootOrder (several numbers) or BootNext (one), without attributes.
func BootNumbers(n ...uint16) []byte {
	var out []byte
	for _, v := range n {
		out = binary.LittleEndian.AppendUint16(out, v)
	}
	return out
}

// FirstInOrder returns a boot order with n first, and nowhere else.
func FirstInOrder(order []uint16, n uint16) []uint16 {
	return append([]uint16{n}, WithoutInOrder(order, n)...)
}

// LastInOrder returns a boot order with n last, and nowhere else.
func LastInOrder(order []uint16, n uint16) []uint16 { return append(WithoutInOrder(order, n), n) }

// WithoutInOrder returns a boot order without n.
func WithoutInOrder(order []uint16, n uint16) []uint16 {
	return slices.DeleteFunc(slices.Clone(order), func(v uint16) bool { return v == n })
}

// EFIString returns text as in systemd-boot's variables: little-endian UTF-16 with a NUL.
func EFIString(s string) []byte {
	var out []byte
	for _, u := range append(utf16.Encode([]rune(s)), 0) {
		out = binary.LittleEndian.AppendUint16(out, u)
	}
	return out
}

// ParseEFIString reads such a value up to its NUL, or to its end if there is none.
func ParseEFIString(data []byte) (string, error) {
	if len(data)%2 != 0 || len(data) > efiMax {
		return "", fmt.Errorf("efi string: %d bytes, an even number of at most %d expected", len(data), efiMax)
	}
	s, _ := takeUTF16(data)
	return s, nil
}

// takeUTF16 returns the text up to the NUL, and the number of bytes that it read, including the NUL.
func takeUTF16(data []byte) (string, int) {
	var u []uint16
	for i := 0; i+1 < len(data); i += 2 {
		v := binary.LittleEndian.Uint16(data[i:])
		if v == 0 {
			return string(utf16.Decode(u)), i + 2
		}
		u = append(u, v)
	}
	return string(utf16.Decode(u)), len(data) &^ 1
}

// LoadOption is the value of a Boot#### variable: EFI_LOAD_OPTION of the UEFI specification 2.10, section 3.1.3.
type LoadOption struct {
	Attributes  uint32
	Description string
	Path        []PathNode
	Data        []byte // for the program that is started
}

// PathNode is one node of a device path (UEFI specification 2.10, chapter 10).
type PathNode struct {
	Type, SubType byte
	Body          []byte // without the header of four bytes
}

// ParseLoadOption reads a boot entry with one device path. A list with more than one is an error, because rendering
// would lose the others.
func ParseLoadOption(data []byte) (LoadOption, error) {
	if len(data) < 8 || len(data) > efiMax {
		return LoadOption{}, fmt.Errorf("efi load option: %d bytes", len(data))
	}
	o := LoadOption{Attributes: binary.LittleEndian.Uint32(data)}
	length := int(binary.LittleEndian.Uint16(data[4:]))
	text, n := takeUTF16(data[6:])
	o.Description = text
	rest := data[6+n:]
	if n < 2 || binary.LittleEndian.Uint16(data[6+n-2:]) != 0 {
		return LoadOption{}, errors.New("efi load option: description without end")
	}
	if length > len(rest) {
		return LoadOption{}, fmt.Errorf("efi load option %q: device path of %d bytes in %d", clip(text), length, len(rest))
	}
	nodes, err := parsePath(rest[:length])
	if err != nil {
		return LoadOption{}, fmt.Errorf("efi load option %q: %w", clip(text), err)
	}
	o.Path, o.Data = nodes, slices.Clone(rest[length:])
	return o, nil
}

func parsePath(list []byte) ([]PathNode, error) {
	var out []PathNode
	for at := 0; ; {
		if len(list)-at < 4 {
			return nil, errors.New("device path without end")
		}
		size := int(binary.LittleEndian.Uint16(list[at+2:]))
		if size < 4 || size > len(list)-at {
			return nil, fmt.Errorf("device path: node at %d of %d bytes in %d", at, size, len(list)-at)
		}
		if list[at] == pathEnd {
			if list[at+1] != 0xff || size != 4 || at+4 != len(list) {
				return nil, fmt.Errorf("device path: more than one path, or %d bytes behind its end", len(list)-at-size)
			}
			return out, nil
		}
		out = append(out, PathNode{list[at], list[at+1], slices.Clone(list[at+4 : at+size])})
		at += size
	}
}

// Bytes returns the value of the boot entry's variable, without attributes of efivarfs.
func (o LoadOption) Bytes() []byte {
	var path []byte
	for _, n := range append(slices.Clone(o.Path), PathNode{Type: pathEnd, SubType: 0xff}) {
		path = append(path, n.Type, n.SubType)
		path = binary.LittleEndian.AppendUint16(path, uint16(4+len(n.Body)))
		path = append(path, n.Body...)
	}
	out := binary.LittleEndian.AppendUint32(nil, o.Attributes)
	out = binary.LittleEndian.AppendUint16(out, uint16(len(path)))
	out = append(out, EFIString(o.Description)...)
	return append(append(out, path...), o.Data...)
}
