package gpt

import (
	"fmt"
	"strconv"
	"strings"
)

// Kind is one row of the table of partition types.
type Kind struct {
	Name string // short and stable: "esp", "bios_grub", "raid"
	GUID string // lower case; "" when GPT has no such type
	DOS  byte   // the nearest DOS type; 0 when there is none
}

// kinds lists the partition types that this program knows. A DOS byte translates to the first row that has it.
func kinds() []Kind {
	return []Kind{
		{"linux", "0fc63daf-8483-4772-8e79-3d69d8477de4", 0x83},
		{"raid", "a19d880f-05fc-4d3b-a006-743f0f84911e", 0xfd},
		{"swap", "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f", 0x82},
		{"lvm", "e6d6d379-f507-44c2-a23c-238f2a3df928", 0x8e},
		{"esp", "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", 0xef},
		{"bios_grub", "21686148-6449-6e6f-744e-656564454649", 0},
		{"xbootldr", "bc13c2ff-59e6-4262-a352-b275fd6f7172", 0xea},
		{"root-x86-64", "4f68bce3-e8cd-4db1-96e7-fbcaf984b709", 0},
		{"root-x86", "44479540-f297-41b2-9af7-d131d5f0458a", 0},
		{"root-arm64", "b921b045-1df0-41c3-af44-4c6f280d3fae", 0},
		{"home", "933ac7e1-2eb4-4f13-b844-0e14e2aef915", 0},
		{"srv", "3b8f8425-20e0-4f3b-907f-1a25a76f98e8", 0},
		{"var", "4d21b016-b534-45c2-a9fb-5c16e091fd2d", 0},
		{"luks", "ca7d7ccb-63ed-4c53-861c-1742536059cc", 0},
		{"reserved", "8da63339-0007-60c0-c436-083ac8230908", 0},
		{"zfs", "6a898cc3-1dd2-11b2-99a6-080020736631", 0xbf},
		{"zfs-reserved", "6a945a3b-1dd2-11b2-99a6-080020736631", 0},
		{"msdata", "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7", 0x07},
		{"msdata", "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7", 0x0c},
		{"msr", "e3c9e316-0b5c-4db8-817d-f92df00215ae", 0},
		{"extended", "", 0x05},
		{"extended-lba", "", 0x0f},
		{"extended-linux", "", 0x85},
		{"protective", "", 0xee},
	}
}

// TypeOf returns the [Partition.Type] for a [Kind.Name] in a scheme: a GUID for [SchemeGPT], "0x83" for [SchemeDOS].
func TypeOf(scheme, name string) (string, error) {
	for _, k := range kinds() {
		switch {
		case k.Name != name:
		case scheme == SchemeGPT && k.GUID != "":
			return k.GUID, nil
		case scheme == SchemeDOS && k.DOS != 0:
			return dosType(k.DOS), nil
		}
	}
	return "", fmt.Errorf("partition type %q: unknown in a %s table", name, scheme)
}

// KindOf returns the row for a [Partition.Type] of either scheme; ok is false if the table has none.
func KindOf(typ string) (k Kind, ok bool) {
	typ = strings.ToLower(typ)
	for _, k := range kinds() {
		if k.GUID != "" && k.GUID == typ || k.DOS != 0 && dosType(k.DOS) == typ {
			return k, true
		}
	}
	return Kind{}, false
}

func dosType(b byte) string { return fmt.Sprintf("0x%02x", b) }

func parseDOSType(s string) (byte, bool) {
	if len(s) != 4 || s[:2] != "0x" {
		return 0, false
	}
	n, err := strconv.ParseUint(s[2:], 16, 8)
	return byte(n), err == nil
}

func isExtended(typ string) bool {
	b, ok := parseDOSType(typ)
	return ok && (b == 0x05 || b == 0x0f || b == 0x85)
}
