package lvm

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"strings"
)

// SetDevice returns the devices file with the line of the PV old replaced by e and every other line unchanged. It
// updates the hash only if the hash was right: a file that was edited by hand must still look so to LVM, which then
// keeps a backup. It is an error if old does not have exactly one line, or if another line has the PV or the identity
// of e.
func SetDevice(file []byte, old ID, e DeviceEntry) ([]byte, error) {
	line, err := e.Line()
	if err != nil {
		return nil, err
	}
	f := ParseDevices(file)
	at := -1
	for i, l := range f.lines {
		if l.entry < 0 {
			continue
		}
		x := f.Entries[l.entry]
		switch {
		case x.PVID == old.Compact() && at >= 0:
			return nil, fmt.Errorf("devices file: PV %s has more than one line", old)
		case x.PVID == old.Compact():
			at = i
		case x.PVID != "" && x.PVID == e.PVID:
			return nil, fmt.Errorf("devices file: PV %s already has a line", e.PVID)
		case x.IDType == e.IDType && x.IDName == e.IDName && x.Part == e.Part && e.IDName != "":
			return nil, fmt.Errorf("devices file: %s %s already has a line, for PV %q", e.IDType, e.IDName, x.PVID)
		}
	}
	if at < 0 {
		return nil, fmt.Errorf("devices file: no line for PV %s", old)
	}
	if !bytes.HasSuffix(f.lines[at].b, []byte("\n")) {
		line = strings.TrimSuffix(line, "\n")
	}
	f.lines[at].b = []byte(line)
	if f.Hash == HashMatches {
		f.rehash()
	}
	var out []byte
	for _, l := range f.lines {
		out = append(out, l.b...)
	}
	return out, nil
}

// rehash replaces the number in the last hash comment, the one that counts.
func (f *DevicesFile) rehash() {
	sum, last := checksum(), -1
	for i, l := range f.lines {
		switch s := string(l.b); {
		case strings.HasPrefix(s, "# HASH"):
			last = i
		case s[0] != '#' && !strings.HasPrefix(s, "SYSTEMID"):
			sum = more(sum, l.b)
		}
	}
	s := string(f.lines[last].b)
	said := word(s)
	head, _, _ := strings.Cut(s, said)
	f.lines[last].b = fmt.Appendf(nil, "%s%d%s", head, sum, strings.TrimLeft(s[len(head):], "0123456789"))
}

// more continues the checksum of a file with a line; LVM reads a line only up to a NUL.
func more(sum uint32, line []byte) uint32 {
	line, _, _ = bytes.Cut(line, []byte{0})
	return ^crc32.Update(^sum, crc32.IEEETable, line)
}
