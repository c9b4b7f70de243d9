package zfs

import (
	"encoding/binary"
	"fmt"
	"strconv"
)

// HostIDPath is the file that module spl, libzfs and hostid(1) read.
const HostIDPath = "/etc/hostid"

// HostID reads the contents of that file: four bytes in the order of the machine, of which anything more is ignored. All machines
// that this program runs on are little-endian. Zero means that the machine has none.
func HostID(b []byte) (uint32, error) {
	if len(b) < 4 {
		return 0, fmt.Errorf("host id: %d bytes, want 4", len(b))
	}
	return binary.LittleEndian.Uint32(b), nil
}

// HostIDFile is the contents of the file for a host id as hostid(1) prints it: "10b66bc4" is the bytes c4 6b b6 10.
func HostIDFile(id string) ([]byte, error) {
	n, err := strconv.ParseUint(id, 16, 32)
	if err != nil || len(id) != 8 || n == 0 {
		return nil, fmt.Errorf("host id %q: not eight hexadecimal digits, or zero", id)
	}
	return binary.LittleEndian.AppendUint32(nil, uint32(n)), nil
}

// FormatHostID spells a host id as hostid(1) does.
func FormatHostID(n uint32) string { return fmt.Sprintf("%08x", n) }
