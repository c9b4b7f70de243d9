package probe

import (
	"bytes"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Formats that this program does not handle are still found, make a disk not empty, and are gone once they are wiped.
func TestForeign(t *testing.T) {
	const size = 64 * mib
	for _, f := range append(foreignMagics(), ufsMagics()...) {
		at := f.at
		if at < 0 {
			at += size
		}
		d := disk{size, map[int64][]byte{at: []byte(f.magic)}}
		res, err := Probe(d, size)
		if err != nil || len(res.Signatures) != 1 || res.Signatures[0].Type != f.typ || res.Signatures[0].Kind != f.kind || res.Empty() {
			t.Errorf("%s at %d: %v, %v", f.typ, at, res.Signatures, err)
			continue
		}
		for _, w := range res.Wipes() {
			zero(d, w)
		}
		if res, err := Probe(d, size); err != nil || !res.Empty() {
			t.Errorf("%s at %d, wiped: %v, %v", f.typ, at, res.Signatures, err)
		}
	}
	for _, tiny := range []int64{0, 1, 60, 512, 4000, 5000, 8192, 12000} {
		if res, err := Probe(bytes.NewReader(make([]byte, tiny)), tiny); err != nil || !res.Empty() {
			t.Errorf("%d bytes: %v, %v", tiny, res.Signatures, err)
		}
	}
}

// libblkid gives the same names to formats that it, too, identifies by the magic alone.
func TestOracleForeign(t *testing.T) {
	if _, err := exec.LookPath("blkid"); err != nil {
		t.Skipf("ORACLE MISSING: %v", err)
	}
	const size = 64 * mib
	agreed := 0
	for _, f := range append(foreignMagics(), ufsMagics()...) {
		at := f.at
		if at < 0 {
			at += size
		}
		c := exec.Command("blkid", "-p", "-o", "value", "-s", "TYPE", disk{size, map[int64][]byte{at: []byte(f.magic)}}.file(t))
		out, _ := c.Output() // it fails if the magic alone is not enough
		theirs := strings.TrimSpace(string(out))
		if theirs == "" {
			continue
		}
		agreed++
		if theirs != f.typ && !(f.typ == "squashfs" && theirs == "squashfs3") { // their version is another field's
			t.Errorf("%s at %d: libblkid calls it %s", f.typ, at, theirs)
		}
	}
	t.Logf("%d rows that libblkid takes by their magic alone", agreed)
	if agreed < 60 {
		t.Errorf("libblkid knows %d rows only", agreed)
	}
}

func TestFirmwareRAID(t *testing.T) {
	const size = 8*mib + 512
	jm, sil, via := make([]byte, 512), make([]byte, 512), make([]byte, 512)
	copy(jm, "JM")
	le.PutUint16(jm[4:], -le.Uint16(jm))
	le.PutUint32(sil[96:], 0x2f000000)
	le.PutUint16(sil[318:], 0xd100)
	copy(via, "\x55\xaa\x01")
	via[50] = 0x55 + 0xaa + 1 - 256
	for _, c := range []struct {
		typ  string
		at   int64
		data []byte
	}{
		{"isw_raid_member", size - 1024, []byte("Intel Raid ISM Cfg Sig. 1.3.00")},
		{"isw_raid_member", size/4096*4096 - 8192, []byte("Intel Raid ISM Cfg Sig. 1.3.00")},
		{"ddf_raid_member", size - 512, []byte("\xde\x11\xde\x11")},
		{"ddf_raid_member", size - 257*512, []byte("\xde\x11\xde\x11")},
		{"promise_fasttrack_raid_member", size - 3087*512, []byte("Promise Technology, Inc.")},
		{"jmicron_raid_member", size - 512, jm},
		{"silicon_medley_raid_member", size - 512, sil},
		{"via_raid_member", size - 512, via},
	} {
		d := disk{size, map[int64][]byte{c.at: c.data, 1024: craftExt(4096)}}
		res, err := Probe(d, size)
		if err != nil || len(res.Signatures) != 2 || res.Signatures[0].Type != c.typ || res.Signatures[0].Kind != RAID {
			t.Errorf("%s: %v, %v", c.typ, res.Signatures, err)
			continue
		}
		if fs, err := res.Filesystem(); err == nil {
			t.Errorf("%s with an ext superblock is %s", c.typ, fs)
		}
		delete(d.pieces, 1024)
		res, _ = Probe(d, size)
		for _, w := range res.Wipes() {
			zero(d, w)
		}
		if left, err := Probe(d, size); err != nil || !left.Empty() {
			t.Errorf("%s, wiped: %v, %v", c.typ, left, err)
		}
	}
	// libblkid looks for all but DDF only on whole disks. In the last sectors of a partition they are data.
	for _, row := range []struct {
		at   int64
		data []byte
		want []string
	}{
		{size - 512, []byte("$XIDE$"), []string{"filesystem/ext2"}},
		{size - 1024, []byte("Intel Raid ISM Cfg Sig. 1.3.00"), []string{"filesystem/ext2"}},
		{9*512 + 32, []byte("\xf0\x16\x78\x5a"), []string{"filesystem/ext2"}},
		{size - 63*512, []byte("Promise Technology, Inc."), []string{"filesystem/ext2"}},
		{size - 512, jm, []string{"filesystem/ext2"}},
		{size - 512, []byte("\xde\x11\xde\x11"), []string{"raid/ddf_raid_member", "filesystem/ext2"}},
	} {
		d := disk{size, map[int64][]byte{row.at: row.data, 1024: craftExt(4096)}}
		if res, err := Partition(d, size); err != nil || !slices.Equal(names(res.Signatures), row.want) {
			t.Errorf("partition with %q at %d: %v, %v; want %v", row.data[:4], row.at, res.Signatures, err, row.want)
		}
	}
	for _, b := range [][]byte{jm, sil, via} {
		b[20] += 5 // now the sum is wrong, and two or four bytes are no evidence
		if res, err := Probe(disk{size, map[int64][]byte{size - 512: b}}, size); err != nil || !res.Empty() {
			t.Errorf("% x: %v, %v", b[:4], res, err)
		}
	}
}

// bcachefs had bcache's magic at the same place until it got its own.
func TestOldBcachefs(t *testing.T) {
	const size = 16 * mib
	sector := []byte{8, 0, 0, 0, 0, 0, 0, 0}
	magic := []byte("\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81")
	for want, pieces := range map[string]map[int64][]byte{
		"other/bcache":        {4104: sector, 4120: magic},
		"filesystem/bcachefs": {4120: magic, 4200: sector},
	} {
		res, err := Probe(disk{size, pieces}, size)
		if err != nil || !slices.Equal(names(res.Signatures), []string{want}) {
			t.Errorf("%v, %v; want %s", res.Signatures, err, want)
		}
	}
}

// The label in the boot sector does not count: Windows leaves it there when it erases or changes the label.
func TestFATLabel(t *testing.T) {
	const size, root = 16 * mib, (1 + 2*20) * 512
	boot := craftFAT()
	copy(boot[43:], "OLD LABEL  ")
	erased := []byte("\xe5BEL1      \x08")
	for _, c := range []struct {
		dir  string
		want string
	}{{"", ""}, {string(erased), ""}, {"LABEL2     \x08", "LABEL2"}} {
		d := disk{size, map[int64][]byte{0: boot, root: append([]byte(c.dir), make([]byte, 32)...)}}
		res, err := Probe(d, size)
		if err != nil || len(res.Signatures) != 1 || res.Signatures[0].Label != c.want {
			t.Errorf("root directory %q: %+v, %v; want label %q", c.dir, res.Signatures, err, c.want)
		}
	}
}

func TestWeakMagics(t *testing.T) {
	const size = 16 * mib
	sun, mac, minix := make([]byte, 512), make([]byte, 516), make([]byte, 64)
	copy(sun[508:], "\xda\xbe\xda\xbe")
	copy(mac, "ER\x02\x00")
	copy(mac[512:], "PM")
	le.PutUint16(minix, 5000)
	le.PutUint16(minix[4:], 1)
	le.PutUint16(minix[16:], 0x138f)
	hfs := append([]byte("BD"), make([]byte, 64)...)
	be.PutUint32(hfs[20:], 4096)
	xlog := craftXFSLog()
	be.PutUint32(xlog[300:], 1)
	for _, c := range []struct {
		typ  string
		at   int64
		data []byte
	}{
		{"sun", 0, sun}, {"mac", 0, mac}, {"minix", 1024, minix}, {"hfs", 1024, hfs}, {"xfs_external_log", 5 * 512, xlog},
		{"nilfs2", size - 4096, []byte("\x02\x00\x00\x00\x00\x00\x34\x34")}, {"xenix", 2048, []byte("\x2b\x55\x44")},
	} {
		d := disk{size, map[int64][]byte{c.at: c.data}}
		res, err := Probe(d, size)
		if err != nil || len(res.Signatures) != 1 || res.Signatures[0].Type != c.typ {
			t.Errorf("%s: %v, %v", c.typ, res.Signatures, err)
			continue
		}
		if c.at == 0 || c.at == 1024 {
			continue // an ext superblock shares these bytes or the next ones
		}
		d.pieces[1024] = craftExt(4096)
		if res, err = Probe(d, size); err != nil || len(res.Signatures) != 1 || res.Signatures[0].Type != "ext2" {
			t.Errorf("%s beside ext: %v, %v", c.typ, res.Signatures, err)
		}
	}
	// The counter of free inodes is where minix has its magic.
	ext := craftExt(4096)
	le.PutUint32(ext, 5000)
	le.PutUint32(ext[4:], 1<<20)
	le.PutUint32(ext[16:], 0x138f)
	res, err := Probe(disk{size, map[int64][]byte{1024: ext}}, size)
	if err != nil || len(res.Signatures) != 1 || res.Signatures[0].Type != "ext2" {
		t.Errorf("ext with an unlucky counter: %v, %v", res.Signatures, err)
	}
}

func TestOracleMinix(t *testing.T) {
	for _, version := range []string{"-1", "-2", "-3"} {
		path := made(t, 8*mib, "mkfs.minix", version, "@")
		if res := probeFile(t, path); len(res.Signatures) != 1 || res.Signatures[0].Type != "minix" {
			t.Errorf("minix %s: %v", version, res.Signatures)
		}
	}
}

// Data without a magic is noticed because the device is not empty.
func TestUnnamed(t *testing.T) {
	for _, c := range []struct {
		at, size int64
		want     bool
	}{{0, mib, true}, {mib - 1, 2 * mib, true}, {mib, 2 * mib, false}, {700, 1024, true}, {700, 600, false}} {
		s, found, err := Unnamed(disk{c.size, map[int64][]byte{c.at: {7}}}, c.size)
		if err != nil || found != c.want || found && (s.Offset != c.at || !s.Ghost || len(s.Wipes()) > 0) {
			t.Errorf("byte %d of %d: %+v, %v, %v", c.at, c.size, s, found, err)
		}
	}
	if _, found, err := Unnamed(disk{}, 0); found || err != nil {
		t.Errorf("no bytes at all: %v, %v", found, err)
	}
	if _, _, err := Unnamed(broken{disk{mib, nil}, 5000}, mib); err == nil {
		t.Error("a place that cannot be read is called empty")
	}
}
