package probe

import "encoding/binary"

// The value types of an nvlist that labels need (include/sys/nvpair.h).
const (
	nvUint64 = 8
	nvString = 9
	nvList   = 19
)

// zfsPairs reads the XDR-packed nvlist of a label; false when it is none or has no device guid.
func zfsPairs(b []byte) (ZFSMember, bool) {
	var m ZFSMember
	const xdr = 1
	if b[0] != xdr || b[1] > 1 {
		return m, false
	}
	ok := nvWalk(b[4:], func(name string, typ uint32, v []byte) {
		switch {
		case typ == nvUint64 && len(v) >= 8:
			n := binary.BigEndian.Uint64(v)
			switch name {
			case "version":
				m.Version = n
			case "state":
				m.State = zfsState(n)
			case "txg":
				m.TXG = n
			case "pool_guid":
				m.PoolGUID = decimal(n)
			case "guid":
				m.VdevGUID = decimal(n)
			case "top_guid":
				m.TopGUID = decimal(n)
			case "hostid":
				m.HostID = uint32(n)
			}
		case typ == nvString && name == "name":
			m.Pool, _, _ = xdrString(v)
		case typ == nvString && name == "hostname":
			m.HostName, _, _ = xdrString(v)
		case typ == nvList && name == "vdev_tree":
			// Its own children are not needed, so this is as deep as it goes.
			nvWalk(v, func(name string, typ uint32, v []byte) {
				switch {
				case typ == nvUint64 && len(v) >= 8 && name == "ashift":
					m.Ashift = binary.BigEndian.Uint64(v)
				case typ == nvString && name == "type":
					m.TopType, _, _ = xdrString(v)
				}
			})
		}
	})
	return m, ok && m.VdevGUID != ""
}

// nvWalk calls f for each pair of a packed list: version and flags, then pairs that each start with their packed size,
// until one of size zero. False when the list breaks its bounds.
func nvWalk(b []byte, f func(name string, typ uint32, value []byte)) bool {
	if len(b) < 8 {
		return false
	}
	be := binary.BigEndian
	for b = b[8:]; len(b) >= 8; {
		n := int64(be.Uint32(b))
		if n == 0 {
			return true
		}
		if n < 20 || n > int64(len(b)) {
			return false
		}
		name, rest, ok := xdrString(b[8:n])
		if !ok || len(rest) < 8 {
			return false
		}
		f(name, be.Uint32(rest), rest[8:])
		b = b[n:]
	}
	return false
}

// xdrString cuts a counted string, padded to four bytes, off b.
func xdrString(b []byte) (string, []byte, bool) {
	if len(b) < 4 {
		return "", nil, false
	}
	n := int64(binary.BigEndian.Uint32(b))
	if n > int64(len(b)-4) {
		return "", nil, false
	}
	return text(b[4 : 4+n]), b[min(4+(n+3)&^3, int64(len(b))):], true
}
