package probe

import (
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// craftLVMArea is a metadata area at byte at, with the beginning of a text at off of its ring of 4096 bytes.
func craftLVMArea(at int64, off int, flags uint32, text string) []byte {
	const ring = 4096
	b := make([]byte, ring)
	copy(b[4:], " LVM2 x[5A%r0N*>")
	le.PutUint32(b[20:], 1)
	le.PutUint64(b[24:], uint64(at))
	le.PutUint64(b[32:], ring)
	le.PutUint64(b[40:], uint64(off))
	le.PutUint64(b[48:], uint64(len(text)))
	le.PutUint32(b[60:], flags)
	for i := range text {
		p := off + i
		if p >= ring {
			p += 512 - ring
		}
		b[p] = text[i]
	}
	le.PutUint32(b, ^crc32.Update(^uint32(0xf597a6cf), crc32.IEEETable, b[4:512]))
	return b
}

func craftLVMWith(areas ...int64) []byte {
	b := craftLVM()
	le.PutUint64(b[72:], 1<<20)
	for i, at := range areas {
		le.PutUint64(b[104+16*i:], uint64(at))
		le.PutUint64(b[112+16*i:], 4096)
	}
	le.PutUint32(b[16:], ^crc32.Update(^uint32(0xf597a6cf), crc32.IEEETable, b[20:]))
	return b
}

func lvmBegin(name string, seqno int) string {
	return fmt.Sprintf("%s {\nid = \"D9xBq4-9Xj1-nssY-lAAK-yomW-Ssai-TfFWWj\"\nseqno = %d\nformat = \"lvm2\"\nstatus = [\"READ\"]\n%s", name, seqno, strings.Repeat("x", 600))
}

// The newest text of a PV's metadata areas names its group, wherever in the ring the text begins.
func TestLVMGroup(t *testing.T) {
	const size, id = 16 * mib, "D9xBq4-9Xj1-nssY-lAAK-yomW-Ssai-TfFWWj"
	area := func(at int64, off int, flags uint32, text string) map[int64][]byte {
		return map[int64][]byte{at: craftLVMArea(at, off, flags, text)}
	}
	bad := area(4096, 512, 0, lvmBegin("vg0", 5))
	bad[4096][300] ^= 1
	for _, c := range []struct {
		name  string
		areas map[int64][]byte
		want  *LVMMember
	}{
		{"one area", area(4096, 512, 0, lvmBegin("vg-0.a", 5)), &LVMMember{"vg-0.a", id, 5}},
		{"over the end of the ring", area(4096, 4096-20, 0, lvmBegin("vg0", 5)), &LVMMember{"vg0", id, 5}},
		{"to the end of the ring", area(4096, 4096-100, 0, lvmBegin("vg0", 5)[:100]), &LVMMember{"vg0", id, 5}},
		{"the longest name", area(4096, 512, 0, lvmBegin(strings.Repeat("n", 127), 4294967295)), &LVMMember{strings.Repeat("n", 127), id, 4294967295}},
		{"the second is newer", merge(area(4096, 512, 0, lvmBegin("was", 5)), area(1<<20, 1024, 0, lvmBegin("vg0", 6))), &LVMMember{"vg0", id, 6}},
		{"the first is newer", merge(area(4096, 512, 0, lvmBegin("vg0", 7)), area(1<<20, 1024, 0, lvmBegin("was", 6))), &LVMMember{"vg0", id, 7}},
		{"the first is damaged", merge(bad, area(1<<20, 1024, 0, lvmBegin("vg0", 6))), &LVMMember{"vg0", id, 6}},
		{"no text", area(4096, 0, 0, ""), nil},
		{"ignored", area(4096, 512, 1, lvmBegin("vg0", 5)), nil},
		{"not a name", area(4096, 512, 0, lvmBegin("a b", 5)), nil},
		{"too long a name", area(4096, 512, 0, lvmBegin(strings.Repeat("n", 128), 5)), nil},
		{"cut off", area(4096, 512, 0, lvmBegin("vg0", 5)[:40]), nil},
		{"no number", area(4096, 512, 0, strings.Replace(lvmBegin("vg0", 5), "= 5", "= 5x", 1)), nil},
		{"zeros", map[int64][]byte{4096: make([]byte, 512)}, nil},
	} {
		var at []int64
		for _, p := range []int64{4096, 1 << 20, 1 << 40} {
			if c.areas[p] != nil || p == 1<<40 { // one area is outside the device
				at = append(at, p)
			}
		}
		res, err := Probe(disk{size, merge(c.areas, map[int64][]byte{512: craftLVMWith(at...)})}, size)
		if err != nil || len(res.Signatures) != 1 {
			t.Fatalf("%s: %v, %v", c.name, res, err)
		}
		s := res.Signatures[0]
		if d := cmp.Diff(c.want, s.LVM); d != "" || s.Checksum != Valid || s.UUID == "" {
			t.Errorf("%s: %s %+v", c.name, d, s)
		}
		if c.want != nil && s.Label != c.want.VG || c.want == nil && s.Label != "" {
			t.Errorf("%s: label %q", c.name, s.Label)
		}
	}
	// An area that cannot be read is an error, because its contents are not known.
	_, err := Probe(broken{disk{size, map[int64][]byte{512: craftLVMWith(8192)}}, 8192}, size)
	if err == nil || !strings.Contains(err.Error(), "probe for lvm") {
		t.Errorf("unreadable area: %v", err)
	}
}
