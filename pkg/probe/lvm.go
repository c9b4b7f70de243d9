package probe

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"strconv"
	"strings"
)

// LVMMember is what a physical volume says about its volume group, from the start of its metadata text. It does not
// verify the checksum of the text: pkg/lvm reads the whole text.
type LVMMember struct {
	VG    string
	VGID  string
	Seqno uint64 // of the text; the newest text of a group has the highest
}

// probeLVM looks for a physical volume's label in the first four sectors (LVM2 lib/format_text/layout.h, label.h).
func probeLVM(d *device) []Signature {
	le := binary.LittleEndian
	var out []Signature
	for sector := range int64(4) {
		at := sector * 512
		b := d.read(at, 512)
		if b == nil || string(b[:8]) != "LABELONE" || le.Uint64(b[8:]) != uint64(sector) || string(b[24:32]) != "LVM2 001" {
			continue
		}
		s := Signature{Kind: LVM, Type: "LVM2_member", Version: "LVM2 001", Offset: at, Length: 8,
			Checksum: check(lvmSum(b[20:]) == le.Uint32(b[16:])), copies: []Range{{at, 512}}}
		if off := le.Uint32(b[20:]); off <= 512-40 {
			s.UUID = lvmID(text(b[off : off+32]))
			s.Size = max(int64(le.Uint64(b[off+32:])), 0)
			if s.LVM = lvmMember(d, b[off+40:]); s.LVM != nil {
				s.Label = s.LVM.VG
			}
		}
		out = append(out, s)
	}
	return out
}

// lvmSum is CRC-32 with LVM's initial value and without the final complement.
func lvmSum(b []byte) uint32 { return ^crc32.Update(^uint32(0xf597a6cf), crc32.IEEETable, b) }

// lvmMember returns the newest text of the metadata areas in a label's second list, or nil.
func lvmMember(d *device, lists []byte) *LVMMember {
	le := binary.LittleEndian
	var out *LVMMember
	for list := 0; list < 2 && len(lists) >= 16; lists = lists[16:] {
		at := int64(le.Uint64(lists))
		if at == 0 {
			list++
		} else if list == 1 {
			if m := lvmText(d, at); m != nil && (out == nil || m.Seqno > out.Seqno) {
				out = m
			}
		}
	}
	return out
}

// lvmText reads the beginning of the text in a metadata area, which is a ring buffer behind the area's header.
func lvmText(d *device, at int64) *LVMMember {
	le := binary.LittleEndian
	h := d.read(at, 512)
	if h == nil || string(h[4:20]) != " LVM2 x[5A%r0N*>" || lvmSum(h[4:]) != le.Uint32(h) || le.Uint64(h[24:]) != uint64(at) {
		return nil
	}
	size, off, length, ignored := int64(le.Uint64(h[32:])), int64(le.Uint64(h[40:])), int64(le.Uint64(h[48:])), le.Uint32(h[60:])&1 != 0
	if ignored || off < 512 || off >= size || size > d.size-at || length <= 0 {
		return nil
	}
	n := min(length, size-off, 512)
	b := d.read(at+off, int(n))
	if rest := min(length, 512) - n; rest > 0 && b != nil {
		b = append(b, d.read(at+512, int(rest))...)
	}
	name, body, ok := bytes.Cut(b, []byte(" {\n"))
	id, seqno := lvmValue(body, `id = "`, `"`), lvmValue(body, "seqno = ", "\n")
	n2, err := strconv.ParseUint(seqno, 10, 64)
	if !ok || err != nil || len(id) != 38 || len(name) > 127 || bytes.ContainsAny(name, " \t\n\"{}=#") || text(name) != string(name) {
		return nil
	}
	return &LVMMember{string(name), text([]byte(id)), n2}
}

// lvmValue returns the text between the string from at the beginning of a line and the next occurrence of to.
func lvmValue(b []byte, from, to string) string {
	_, rest, _ := bytes.Cut(append([]byte("\n"), b...), []byte("\n"+from))
	v, _, _ := bytes.Cut(rest, []byte(to))
	return string(v)
}

func lvmID(s string) string {
	if len(s) != 32 {
		return ""
	}
	return strings.Join([]string{s[:6], s[6:10], s[10:14], s[14:18], s[18:22], s[22:26], s[26:]}, "-")
}
