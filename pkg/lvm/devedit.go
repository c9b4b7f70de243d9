package lvm

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"strings"
)

// SetDevice gives the devices file in which the line of the PV old is e, and every other line is as it was. The hash is
// put right where it was right before: a file that someone edited by hand stays one, and LVM backs it up as it does.
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
			return nil, fmt.Errorf("devices file: PV %s has two lines", old)
		case x.PVID == old.Compact():
			at = i
		case x.PVID != "" && x.PVID == e.PVID:
			return nil, fmt.Errorf("devices file: PV %s has a line already", e.PVID)
		case x.IDType == e.IDType && x.IDName == e.IDName && x.Part == e.Part && e.IDName != "":
			return nil, fmt.Errorf("devices file: %s %s has a line already, of PV %q", e.IDType, e.IDName, x.PVID)
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

// rehash replaces the number in the last comment with a hash, which is the one that counts.
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

// more goes on with the checksum of a file; LVM reads a line up to a NUL.
func more(sum uint32, line []byte) uint32 {
	line, _, _ = bytes.Cut(line, []byte{0})
	return ^crc32.Update(^sum, crc32.IEEETable, line)
}
