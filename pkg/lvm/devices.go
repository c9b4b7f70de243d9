package lvm

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// DeviceEntry is a line of /etc/lvm/devices/system.devices (lvmdevices(8)): a device that LVM may use, by an identity
// that does not change. If the file exists, LVM looks at no other devices.
type DeviceEntry struct {
	IDType  string // "sys_wwid", "sys_serial", "md_uuid", "crypt_uuid", "lvmlv_uuid", "mpath_uuid", "loop_file", "devname", ...
	IDName  string // "" if LVM knows none
	DevName string // the device name when the line was written: a hint
	PVID    string // 32 characters without dashes; "" if the device holds no PV
	Part    int    // partition number on the disk that IDName names; 0 for the whole disk
}

// DevicesFile is a devices file as LVM reads it.
type DevicesFile struct {
	Entries []DeviceEntry
	Hash    HashState

	lines []devLine
}

// HashState is what the comment "# HASH=" says about the lines that are not comments. LVM never refuses a file because
// of it: if it does not match, the next command rewrites the file and keeps a backup.
type HashState int

// The states. NoHash is that of a file from an older LVM, which writes no hash.
const (
	NoHash HashState = iota
	HashOff
	HashMatches
	HashDiffers
)

// devLine is a line with its newline; entry is an index into Entries, or -1 for another line.
type devLine struct {
	b     []byte
	entry int
}

// longLine is how many bytes LVM reads at once; it treats the rest of a longer line as another line.
const longLine = 4095

// ParseDevices reads a devices file as LVM's device_ids_read does: it finds keys anywhere in a line, ignores a line
// without IDTYPE and IDNAME, and reads "." as an empty value.
func ParseDevices(b []byte) DevicesFile {
	var f DevicesFile
	sum := checksum()
	said := uint32(0)
	for _, line := range bytes.SplitAfter(b, []byte("\n")) {
		for len(line) > 0 {
			part := line[:min(len(line), longLine)]
			line = line[len(part):]
			f.lines = append(f.lines, devLine{part, -1})
			s := string(part)
			switch {
			case strings.HasPrefix(s, "# HASH=0"):
				f.Hash = HashOff
			case strings.HasPrefix(s, "# HASH"):
				if f.Hash == NoHash {
					f.Hash = HashDiffers
				}
				said = hashNumber(word(s))
			case s[0] == '#' || strings.HasPrefix(s, "SYSTEMID"):
			default:
				sum = more(sum, part)
				if e, ok := entry(s); ok {
					f.lines[len(f.lines)-1].entry = len(f.Entries)
					f.Entries = append(f.Entries, e)
				}
			}
		}
	}
	if f.Hash == HashDiffers && sum == said {
		f.Hash = HashMatches
	}
	return f
}

// hashNumber reads the digits that s begins with.
func hashNumber(s string) uint32 {
	n := 0
	for n < len(s) && digit(s[n]) {
		n++
	}
	v, err := strconv.ParseUint(s[:n], 10, 32)
	if err != nil {
		return 0
	}
	return uint32(v)
}

// word returns the text from the first '=' to the next blank.
func word(s string) string {
	_, s, _ = strings.Cut(s, "=")
	s = strings.TrimLeft(s, " ")
	if i := strings.IndexAny(s, " \n\x00"); i >= 0 {
		s = s[:i]
	}
	return s
}

// entry reads a line; ok is false if it names no device.
func entry(s string) (DeviceEntry, bool) {
	for _, other := range []string{"HOSTNAME", "PRODUCT_UUID", "REFRESH_UNTIL", "VERSION"} {
		if strings.HasPrefix(s, other) {
			return DeviceEntry{}, false
		}
	}
	if i := strings.IndexByte(s, 0); i >= 0 {
		s = s[:i]
	}
	field := func(key string) (string, bool) {
		i := strings.Index(s, key)
		if i < 0 {
			return "", false
		}
		if w := word(s[i:]); !strings.HasPrefix(w, ".") {
			return w, true
		}
		return "", true
	}
	typ, ok1 := field("IDTYPE")
	name, ok2 := field("IDNAME")
	if !ok1 || !ok2 {
		return DeviceEntry{}, false
	}
	e := DeviceEntry{IDType: typ, IDName: name}
	e.DevName, _ = field("DEVNAME")
	e.PVID, _ = field("PVID")
	e.PVID = e.PVID[:min(len(e.PVID), 32)]
	part, _ := field("PART")
	e.Part = int(hashNumber(part) & (1<<31 - 1))
	return e, true
}

// Line returns the entry as LVM writes it, with a newline. It returns an error if LVM would read the line differently.
func (e DeviceEntry) Line() (string, error) {
	line := fmt.Sprintf("IDTYPE=%s IDNAME=%s DEVNAME=%s PVID=%s", dot(e.IDType), dot(e.IDName), dot(e.DevName), dot(e.PVID))
	if e.Part != 0 {
		line += fmt.Sprintf(" PART=%d", e.Part)
	}
	line += "\n"
	if back, ok := entry(line); !ok || back != e || strings.Count(line, "\n") != 1 || len(line) > longLine {
		return "", fmt.Errorf("devices file: %.200q: LVM would misread this line", line)
	}
	return line, nil
}

func dot(s string) string {
	if s == "" {
		return "."
	}
	return s
}
