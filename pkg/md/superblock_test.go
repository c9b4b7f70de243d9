package md

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// device is sparse memory: enough of a disk for Scan.
type device map[int64][]byte

func (d device) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	for at, b := range d {
		lo, hi := max(at, off), min(at+int64(len(b)), off+int64(len(p)))
		if lo < hi {
			copy(p[lo-off:hi-off], b[lo-at:hi-at])
		}
	}
	return len(p), nil
}

func (d device) apply(ws []Write) device {
	for _, w := range ws {
		for at, b := range d {
			lo, hi := max(at, w.Offset), min(at+int64(len(b)), w.Offset+int64(len(w.Data)))
			if lo < hi {
				copy(b[lo-at:hi-at], w.Data[lo-w.Offset:hi-w.Offset])
			}
		}
		d[w.Offset] = bytes.Clone(w.Data)
	}
	return d
}

// The offsets below come from md_p.h, not from the code under test.
func raw1(super uint64) []byte {
	le := binary.LittleEndian
	b := make([]byte, 256+2*4)
	le.PutUint32(b[0:], 0xa92b4efc)
	le.PutUint32(b[4:], 1)
	le.PutUint32(b[8:], 1|2|8) // bitmap, recovery offset, bad blocks
	copy(b[16:], "\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff")
	copy(b[32:], "box:root")
	le.PutUint64(b[64:], 1_700_000_000|250_000<<40)
	le.PutUint32(b[72:], 5)
	le.PutUint32(b[76:], 2)
	le.PutUint64(b[80:], 8192)
	le.PutUint32(b[88:], 1024)
	le.PutUint32(b[92:], 3)
	le.PutUint32(b[96:], 8)
	le.PutUint64(b[128:], 2048)
	le.PutUint64(b[136:], 9000)
	le.PutUint64(b[144:], super)
	le.PutUint64(b[152:], 4096)
	le.PutUint32(b[160:], 3)
	le.PutUint32(b[164:], 9)
	copy(b[168:], "\xa0\xa1\xa2\xa3\xa4\xa5\xa6\xa7\xa8\xa9\xaa\xab\xac\xad\xae\xaf")
	b[184], b[185] = 1, 2
	le.PutUint16(b[186:], 8)
	le.PutUint32(b[188:], 0xfffffff8)
	le.PutUint64(b[192:], 1_700_000_100)
	le.PutUint64(b[200:], 77)
	le.PutUint64(b[208:], 1234)
	le.PutUint32(b[220:], 4)
	le.PutUint32(b[224:], 4096)
	for i, r := range []uint16{0, 0xfffe, 0xffff, 2} {
		le.PutUint16(b[256+2*i:], r)
	}
	var sum uint64
	for i := 0; i < len(b); i += 4 {
		sum += uint64(le.Uint32(b[i:]))
	}
	le.PutUint32(b[216:], uint32(sum)+uint32(sum>>32))
	return b
}

func TestParseByHeader1(t *testing.T) {
	for v, super := range map[Version]uint64{V10: 20000 &^ 7, V11: 0, V12: 8} {
		got, err := parse(v, raw1(super))
		if err != nil {
			t.Fatal(v, err)
		}
		want := Superblock{
			Version: v, Name: "box:root", Level: 5, Layout: 2, ChunkSize: 512 << 10, RaidDisks: 3, DevNumber: 3,
			Roles: []Role{0, RoleFaulty, RoleSpare, 2}, Events: 77, ResyncOffset: 1234,
			CTime: time.Unix(1_700_000_000, 250_000_000).UTC(), UTime: time.Unix(1_700_000_100, 0).UTC(),
			DataOffset: 1 << 20, DataSize: 9000 * 512, Size: 4 << 20, SuperOffset: int64(super) * 512,
			Features:       FeatureBitmap | FeatureRecoveryOffset | FeatureBadBlocks,
			RecoveryOffset: 4096, BitmapOffset: 4096, BadBlocks: BadBlockLog{Offset: -4096, Size: 4096, Shift: 2},
			DevFlags: 1, CorrectedReads: 9, BlockSize: 4096,
		}
		for i := range 16 {
			want.UUID[i], want.DeviceUUID[i] = byte(i*0x11), 0xa0+byte(i)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", v, d)
		}
		if got.Role() != 2 || got.InSync() || got.ArrayState() != "A.A" {
			t.Errorf("role %s, in sync %v, state %s", got.Role(), got.InSync(), got.ArrayState())
		}
	}
}

func raw0() []byte {
	b := make([]byte, 4096)
	put := func(word int, v uint32) { binary.LittleEndian.PutUint32(b[4*word:], v) }
	for word, v := range map[int]uint32{
		0: 0xa92b4efc, 2: 90, 5: 0x00112233, 13: 0x44556677, 14: 0x8899aabb, 15: 0xccddeeff,
		6: 1_700_000_000, 7: 1, 8: 65472, 9: 1, 10: 2, 11: 3, 32: 1_700_000_100, 33: 1 | 1<<8, 34: 1, 35: 1, 36: 1, 37: 0,
		39: 41, 40: 2, 41: 41, 42: 2, 43: 0xffffffff,
		128: 0, 129: 8, 130: 17, 131: 0, 132: 6, // disk 0: active, in sync
		160: 1, 161: 0, 162: 0, 163: 1, 164: 9, // disk 1: removed, faulty
		992: 0, 993: 8, 994: 17, 995: 0, 996: 6,
	} {
		put(word, v)
	}
	var sum uint64
	for i := 0; i < len(b); i += 4 {
		sum += uint64(binary.LittleEndian.Uint32(b[i:]))
	}
	put(38, uint32(sum)+uint32(sum>>32))
	return b
}

func TestParseByHeader090(t *testing.T) {
	got, err := parse(V090, raw0())
	if err != nil {
		t.Fatal(err)
	}
	me := Disk{Major: 8, Minor: 17, State: DiskActive | DiskSync}
	want := Superblock{
		Version: V090, Level: 1, RaidDisks: 2, Roles: []Role{0, RoleFaulty}, Events: 2<<32 | 41, ResyncOffset: MaxSector,
		CTime: time.Unix(1_700_000_000, 0).UTC(), UTime: time.Unix(1_700_000_100, 0).UTC(), Size: 65472 << 10,
		Features: FeatureBitmap, BitmapOffset: 4096,
		Legacy: Legacy{PreferredMinor: 3, NrDisks: 1, Active: 1, Working: 1, Failed: 1, This: me,
			Disks: []Disk{me, {Number: 1, RaidDisk: 1, State: DiskFaulty | DiskRemoved}}},
	}
	for i := range 16 {
		want.UUID[i] = byte(i * 0x11)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got.UUID.String() != "00112233:44556677:8899aabb:ccddeeff" || got.UUID.Hex() != "00112233445566778899aabbccddeeff" {
		t.Error(got.UUID)
	}
	b, err := got.Marshal()
	if err != nil || !bytes.Equal(b, raw0()) {
		t.Errorf("marshal of the parsed superblock differs from it (%v)", err)
	}
}

func TestResyncPosition090(t *testing.T) {
	for _, c := range []struct {
		state, cpEvents, recovery uint32
		want                      uint64
	}{{1, 7, 5, MaxSector}, {0, 7, 5, 5}, {0, 6, 5, 0}} {
		b := raw0()
		for word, v := range map[int]uint32{33: c.state, 39: 7, 40: 0, 41: c.cpEvents, 42: 0, 43: c.recovery} {
			binary.LittleEndian.PutUint32(b[4*word:], v)
		}
		binary.LittleEndian.PutUint32(b[38*4:], checksum0(b))
		s, err := parse(V090, b)
		if err != nil || s.ResyncOffset != c.want {
			t.Errorf("%+v: %d, %v", c, s.ResyncOffset, err)
		}
	}
}

func TestUUID(t *testing.T) {
	want := "0a1b2c3d:00000000:ffffffff:12345678"
	for _, in := range []string{want, "0A1B2C3D00000000FFFFFFFF12345678", "0a1b2c3d-0000-0000-ffff-ffff12345678"} {
		if u, err := ParseUUID(in); err != nil || u.String() != want {
			t.Errorf("%s: %s, %v", in, u, err)
		}
	}
	for _, in := range []string{"", want[1:], want + "0", strings.Replace(want, "a", "g", 1), strings.Repeat("0", 1<<10)} {
		if _, err := ParseUUID(in); err == nil {
			t.Errorf("%.40q: no error", in)
		}
	}
}

func TestEveryFlippedBitIsFound(t *testing.T) {
	for v, raw := range map[Version][]byte{V12: raw1(8), V090: raw0()} {
		for i := range raw {
			for bit := range 8 {
				b := bytes.Clone(raw)
				b[i] ^= 1 << bit
				_, err := parse(v, b)
				var d *Damaged
				if !errors.As(err, &d) {
					t.Fatalf("%s: bit %d of byte %d flipped: %v", v, bit, i, err)
				}
			}
		}
	}
}

func genTime() *rapid.Generator[time.Time] {
	return rapid.Custom(func(t *rapid.T) time.Time {
		return time.Unix(rapid.Int64Range(0, 1<<32-1).Draw(t, "sec"), 0).UTC()
	})
}

func genUUID() *rapid.Generator[UUID] {
	return rapid.Custom(func(t *rapid.T) UUID {
		var u UUID
		copy(u[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "uuid"))
		return u
	})
}

func genSuper1(t *rapid.T) Superblock {
	sectors := func(name string) int64 { return rapid.Int64Range(0, maxSectors).Draw(t, name) * Sector }
	rel := func(name string) int64 { return int64(rapid.Int32().Draw(t, name)) * Sector }
	s := Superblock{
		Version: rapid.SampledFrom([]Version{V10, V11, V12}).Draw(t, "version"), UUID: genUUID().Draw(t, "uuid"),
		Name: strings.ReplaceAll(string(rapid.SliceOfN(rapid.Byte(), 0, 32).Draw(t, "name")), "\x00", "0"), Level: int(rapid.Int32().Draw(t, "level")),
		Layout: rapid.Uint32().Draw(t, "layout"), ChunkSize: int64(rapid.Uint32().Draw(t, "chunk")) * Sector,
		RaidDisks: rapid.IntRange(0, maxRoles).Draw(t, "disks"), DevNumber: int(rapid.Uint32().Draw(t, "number")),
		DeviceUUID: genUUID().Draw(t, "device"), Events: rapid.Uint64().Draw(t, "events"), ResyncOffset: rapid.Uint64().Draw(t, "resync"),
		CTime: genTime().Draw(t, "ctime"), UTime: genTime().Draw(t, "utime"), DataOffset: sectors("offset"), DataSize: sectors("datasize"),
		Size: sectors("size"), SuperOffset: sectors("super"), Features: Feature(rapid.Uint32().Draw(t, "features")),
		RecoveryOffset: rapid.Uint64().Draw(t, "recovery"), DevFlags: rapid.Byte().Draw(t, "flags"), CorrectedReads: rapid.Uint32().Draw(t, "reads"), BlockSize: rapid.Uint32().Draw(t, "lbs"),
		BadBlocks: BadBlockLog{Offset: rel("bbl"), Size: int64(rapid.Uint16().Draw(t, "bblsize")) * Sector, Shift: rapid.Byte().Draw(t, "shift")},
	}
	s.Roles = make([]Role, rapid.IntRange(0, maxRoles).Draw(t, "roles"))
	for i := range s.Roles {
		s.Roles[i] = Role(i * 7919)
	}
	if s.Features.Has(FeatureBitmap) {
		s.BitmapOffset = rel("bitmap")
	} else if s.Features.Has(FeaturePPL | FeatureMultiplePPLs) {
		s.PPLOffset = int64(rapid.Int16().Draw(t, "ppl")) * Sector
		s.PPLSize = int64(rapid.Uint16().Draw(t, "pplsize")) * Sector
	}
	if s.Features.Has(FeatureReshape) {
		s.Reshape = Reshape{Position: rapid.Uint64().Draw(t, "pos"), Level: int(rapid.Int32().Draw(t, "newlevel")),
			DeltaDisks: int(rapid.Int32().Draw(t, "delta")), Layout: rapid.Uint32().Draw(t, "newlayout"),
			ChunkSize: int64(rapid.Uint32().Draw(t, "newchunk")) * Sector}
		if s.Features.Has(FeatureNewOffset) {
			s.Reshape.NewOffset = rel("newoffset")
		}
	}
	return s
}

func genSuper0(t *rapid.T) Superblock {
	u32 := func(name string) uint32 { return rapid.Uint32().Draw(t, name) }
	disk := func(name string) Disk {
		return Disk{Number: u32(name), Major: u32(name), Minor: u32(name), RaidDisk: rapid.Int32().Draw(t, name), State: 1 | u32(name)}
	}
	s := Superblock{
		Version: V090, UUID: genUUID().Draw(t, "uuid"), Level: int(rapid.Int32().Draw(t, "level")), Layout: u32("layout"),
		ChunkSize: int64(u32("chunk")), RaidDisks: rapid.IntRange(1, v0Disks).Draw(t, "disks"), Events: rapid.Uint64().Draw(t, "events"),
		ResyncOffset: uint64(u32("resync")), CTime: genTime().Draw(t, "ctime"), UTime: genTime().Draw(t, "utime"), Size: int64(u32("size")) << 10,
		Legacy: Legacy{PreferredMinor: u32("minor"), ErrorState: rapid.Bool().Draw(t, "error"), NrDisks: u32("nr"), Active: u32("a"),
			Working: u32("w"), Failed: u32("f"), Spares: u32("s"), This: disk("this"), Disks: []Disk{}},
	}
	if rapid.Bool().Draw(t, "clean") {
		s.ResyncOffset = MaxSector
	}
	if rapid.Bool().Draw(t, "bitmap") {
		s.Features, s.BitmapOffset = FeatureBitmap, 4096
	}
	if rapid.Bool().Draw(t, "reshape") {
		s.Features |= FeatureReshape
		s.Reshape = Reshape{Position: rapid.Uint64().Draw(t, "pos"), Level: int(rapid.Int32().Draw(t, "newlevel")),
			DeltaDisks: int(rapid.Int32().Draw(t, "delta")), Layout: u32("newlayout"), ChunkSize: int64(u32("newchunk"))}
	}
	for range rapid.IntRange(0, v0Disks).Draw(t, "n") {
		s.Legacy.Disks = append(s.Legacy.Disks, disk("disk"))
	}
	s.DevNumber = int(s.Legacy.This.Number)
	s.DevFlags = uint8(s.Legacy.This.State & DiskWriteMostly >> 9)
	s.Roles = s.Legacy.roles()
	return s
}

func TestParseMarshalIsIdentity(t *testing.T) {
	for name, gen := range map[string]func(*rapid.T) Superblock{"1.x": genSuper1, "0.90": genSuper0} {
		t.Run(name, rapid.MakeCheck(func(t *rapid.T) {
			want := gen(t)
			b, err := want.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			got, err := parse(want.Version, b)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Fatal(d)
			}
			if again, err := got.Marshal(); err != nil || !bytes.Equal(again, b) {
				t.Fatalf("second marshal differs: %v", err)
			}
		}))
	}
}
