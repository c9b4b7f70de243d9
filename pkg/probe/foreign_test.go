package probe

import (
	"bytes"
	"testing"
)

// What this tool does not handle is found all the same, is no empty disk, and is gone once it is wiped.
func TestForeign(t *testing.T) {
	const size = 8 << 20
	for _, tt := range []struct {
		typ   string
		at    int64
		magic string
	}{
		{"ntfs", 3, "NTFS    "}, {"f2fs", 1024, "\x10\x20\xf5\xf2"}, {"bcache", 4120, "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"},
		{"ocfs2", 8192, "OCFSV2"}, {"gfs2", 65536, "\x01\x16\x19\x70"}, {"nilfs2", 1024, "\x02\x00\x00\x00\x00\x00\x34\x34"}, {"apfs", 32, "NXSB"},
		{"hfsplus", 1024, "H+\x00\x04"}, {"udf", 32769, "BEA01"},
		{"stratis", 516, "!Stra0tis\x86\xff\x02^Arh"}, {"vdo", 0, "dmvdo001"}, {"drbd", size - 4036, "\x83\x74\x02\x6d"},
	} {
		b := make([]byte, size)
		copy(b[tt.at:], tt.magic)
		res, err := Probe(bytes.NewReader(b), size)
		if err != nil || len(res.Signatures) != 1 || res.Signatures[0].Type != tt.typ || res.Empty() {
			t.Errorf("%s: %v, %v", tt.typ, res.Signatures, err)
			continue
		}
		for _, w := range res.Wipes() {
			clear(b[w.Offset:][:w.Length])
		}
		if res, err := Probe(bytes.NewReader(b), size); err != nil || !res.Empty() {
			t.Errorf("%s, wiped: %v, %v", tt.typ, res.Signatures, err)
		}
	}
	for _, tiny := range []int64{0, 1, 60, 4000} {
		if res, err := Probe(bytes.NewReader(make([]byte, tiny)), tiny); err != nil || !res.Empty() {
			t.Errorf("%d bytes: %v, %v", tiny, res.Signatures, err)
		}
	}
}
