package probe

import (
	"encoding/binary"
	"math"
)

const mdMagic = 0xa92b4efc

// probeMD looks at the four positions of a superblock (include/uapi/linux/raid/md_p.h): 1.1 at the start, 1.2 at 4 KiB,
// 1.0 at 8 KiB before the end, rounded down to 4 KiB, and 0.90 in the last whole 64 KiB.
func probeMD(d *device) []Signature {
	var out []Signature
	sectors := d.size / 512
	for _, v := range []struct {
		version string
		at      int64
	}{{"1.1", 0}, {"1.2", 4096}, {"1.0", (sectors - 16) &^ 7 * 512}} {
		if v.at < 0 || v.version == "1.0" && v.at < 8192 {
			continue
		}
		if s, ok := md1(d, v.version, v.at); ok {
			out = append(out, s)
		}
	}
	if s, ok := md0(d, d.size&^0xffff-0x10000); ok {
		out = append(out, s)
	}
	return out
}

func md1(d *device, version string, at int64) (Signature, bool) {
	le := binary.LittleEndian
	b := d.read(at, 4096)
	if b == nil || le.Uint32(b) != mdMagic || le.Uint32(b[4:]) != 1 {
		return Signature{}, false
	}
	// The data of a 1.1 array, or an image of a member, may have a superblock at a position where it does not belong.
	if le.Uint64(b[144:]) != uint64(at/512) {
		return Signature{}, false
	}
	sum := Invalid
	if roles := le.Uint32(b[220:]); roles <= (4096-256)/2 {
		want := le.Uint32(b[216:])
		le.PutUint32(b[216:], 0)
		n := 256 + int(roles)*2
		var total uint64
		for i := 0; i+4 <= n; i += 4 {
			total += uint64(le.Uint32(b[i:]))
		}
		if n%4 == 2 {
			total += uint64(le.Uint16(b[n-2:]))
		}
		sum = check(uint32(total)+uint32(total>>32) == want)
	}
	return Signature{Kind: RAID, Type: "linux_raid_member", Version: version, UUID: uuid(b[16:32]), Label: text(b[32:64]),
		Offset: at, Length: 4, Checksum: sum, copies: []Range{{at, 4096}}}, true
}

func md0(d *device, at int64) (Signature, bool) {
	b := d.read(at, 4096)
	if b == nil {
		return Signature{}, false
	}
	// The words have the byte order of the machine that wrote them.
	var order binary.ByteOrder = binary.LittleEndian
	if binary.BigEndian.Uint32(b) == mdMagic {
		order = binary.BigEndian
	}
	if order.Uint32(b) != mdMagic || order.Uint32(b[4:]) != 0 {
		return Signature{}, false
	}
	id := make([]byte, 16)
	for i, off := range []int{20, 52, 56, 60} {
		binary.BigEndian.PutUint32(id[4*i:], order.Uint32(b[off:]))
	}
	want := order.Uint32(b[152:])
	order.PutUint32(b[152:], 0)
	var total uint64
	for i := 0; i < len(b); i += 4 {
		total += uint64(order.Uint32(b[i:]))
	}
	minor := "0.90"
	if m := order.Uint32(b[8:]); m != 90 {
		minor = "0." + decimal(uint64(m))
	}
	return Signature{Kind: RAID, Type: "linux_raid_member", Version: minor, UUID: uuid(id), Offset: at, Length: 4,
		Checksum: check(fold16(uint32(total&math.MaxUint32)+uint32(total>>32)) == fold16(want)), copies: []Range{{at, 4096}}}, true
}

// fold16 reduces a 0.90 checksum to the 16 bits that the kernel compares: some machines stored it folded.
func fold16(c uint32) uint32 {
	c = c&0xffff + c>>16
	return c&0xffff + c>>16
}
