package boot

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

const (
	pathMedia     = 4
	pathHardDrive = 1
	pathFile      = 4
	pathEnd       = 0x7f
	hardDriveSize = 38
)

// HardDrive is the media device path of a partition, HD(); start and size are in the disk's logical blocks.
type HardDrive struct {
	Number      uint32
	Start, Size uint64
	GUID        string // of a GPT partition, lower case; "" for an MBR one
	MBRID       uint32 // disk signature of an MBR partition
}

// HardDriveNode returns the node of a partition, or an error if its GUID is malformed.
func HardDriveNode(h HardDrive) (PathNode, error) {
	b := binary.LittleEndian.AppendUint32(nil, h.Number)
	b = binary.LittleEndian.AppendUint64(b, h.Start)
	b = binary.LittleEndian.AppendUint64(b, h.Size)
	if h.GUID == "" {
		b = binary.LittleEndian.AppendUint32(b, h.MBRID)
		b = append(append(b, make([]byte, 12)...), 1, 1)
		return PathNode{pathMedia, pathHardDrive, b}, nil
	}
	if !IsUUID(h.GUID) {
		return PathNode{}, fmt.Errorf("partition guid %q: 8-4-4-4-12 hex digits expected", clip(h.GUID))
	}
	// IsUUID has checked that the digits decode.
	raw, _ := hex.DecodeString(strings.ReplaceAll(h.GUID, "-", ""))
	b = append(append(b, swapGUID(raw)...), 2, 2)
	return PathNode{pathMedia, pathHardDrive, b}, nil
}

// swapGUID converts the first three fields between big endian, as printed, and little endian, as stored.
func swapGUID(b []byte) []byte {
	out := slices.Clone(b)
	slices.Reverse(out[0:4])
	slices.Reverse(out[4:6])
	slices.Reverse(out[6:8])
	return out
}

// FileNode returns the node for the path of a file on an ESP; slashes become backslashes.
func FileNode(file string) PathNode {
	return PathNode{pathMedia, pathFile, EFIString(strings.ReplaceAll(file, "/", `\`))}
}

// HardDrive returns the partition from which a boot entry starts; ok is false if it names none.
func (o LoadOption) HardDrive() (h HardDrive, ok bool) {
	for _, n := range o.Path {
		if n.Type != pathMedia || n.SubType != pathHardDrive || len(n.Body) != hardDriveSize {
			continue
		}
		h := HardDrive{
			Number: binary.LittleEndian.Uint32(n.Body), Start: binary.LittleEndian.Uint64(n.Body[4:]), Size: binary.LittleEndian.Uint64(n.Body[12:]),
		}
		switch n.Body[37] {
		case 1:
			h.MBRID = binary.LittleEndian.Uint32(n.Body[20:])
		case 2:
			g := hex.EncodeToString(swapGUID(n.Body[20:36]))
			h.GUID = g[:8] + "-" + g[8:12] + "-" + g[12:16] + "-" + g[16:20] + "-" + g[20:]
		}
		return h, true
	}
	return HardDrive{}, false
}

// File returns the path of the program on its ESP, with slashes, or "" if the entry names none. Several nodes form one
// path.
func (o LoadOption) File() string {
	var parts []string
	for _, n := range o.Path {
		if n.Type == pathMedia && n.SubType == pathFile {
			s, _ := takeUTF16(n.Body)
			parts = append(parts, strings.ReplaceAll(s, `\`, "/"))
		}
	}
	return strings.ReplaceAll(strings.Join(parts, "/"), "//", "/")
}
