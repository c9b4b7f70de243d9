package probe

import "encoding/binary"

// probeFakeRAID finds the metadata of firmware RAID, most of which is at the end of the disk. md supports DDF and
// Intel's format (isw), dmraid supported the others. All of them claim the disk, whatever else is on it. On a partition
// only DDF counts.
func probeFakeRAID(d *device) []Signature {
	ddf := []foreignMagic{
		{"ddf_raid_member", RAID, -512, "\xde\x11\xde\x11"},
		{"ddf_raid_member", RAID, -257 * 512, "\xde\x11\xde\x11"},
	}
	if d.part {
		return d.magics(ddf)
	}
	all := []foreignMagic{
		{"isw_raid_member", RAID, -2 * 512, "Intel Raid ISM Cfg Sig. "},
		{"isw_raid_member", RAID, d.size/4096*4096 - 2*4096, "Intel Raid ISM Cfg Sig. "},
		{"adaptec_raid_member", RAID, -512, "\x37\xfc\x4d\x1e"},
		{"lsi_mega_raid_member", RAID, -512, "$XIDE$"},
		{"nvidia_raid_member", RAID, -2 * 512, "NVIDIA  "},
		{"hpt45x_raid_member", RAID, -11 * 512, "\xf3\x16\x78\x5a"},
		{"hpt45x_raid_member", RAID, -11 * 512, "\xfd\x16\x78\x5a"},
		{"hpt37x_raid_member", RAID, 9*512 + 32, "\xf0\x16\x78\x5a"},
		{"hpt37x_raid_member", RAID, 9*512 + 32, "\xfd\x16\x78\x5a"},
	}
	for _, sectors := range []int64{16, 63, 255, 256, 399, 591, 675, 735, 911, 951, 974, 991, 3087} {
		all = append(all, foreignMagic{"promise_fasttrack_raid_member", RAID, -sectors * 512, "Promise Technology, Inc."})
	}
	return append(d.magics(append(all, ddf...)), summedRAID(d)...)
}

// summedRAID finds three formats whose magic is too short to be trusted without a checksum or other fields.
func summedRAID(d *device) []Signature {
	at := d.size&^511 - 512
	b := d.read(at, 512)
	if b == nil {
		return nil
	}
	le := binary.LittleEndian
	sum16 := func(n int) (sum uint16) {
		for i := 0; i < n; i += 2 {
			sum += le.Uint16(b[i:])
		}
		return sum
	}
	var sum8 byte
	for _, c := range b[:50] {
		sum8 += c
	}
	typ, from := "", int64(0)
	switch {
	case string(b[:2]) == "JM" && sum16(128) <= 1 && b[48] <= 5:
		typ = "jmicron_raid_member"
	case le.Uint32(b[96:]) == 0x2f000000 && b[278] < 8 && -sum16(318) == le.Uint16(b[318:]):
		typ, from = "silicon_medley_raid_member", 96
	case le.Uint16(b) == 0xaa55 && b[2] <= 2 && sum8 == b[50]:
		typ = "via_raid_member"
	default:
		return nil
	}
	return []Signature{{Kind: RAID, Type: typ, Offset: at + from, Length: 4, Checksum: Valid, copies: []Range{{at, 512}}}}
}
