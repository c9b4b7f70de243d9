package probe

import "encoding/binary"

// The value types of an nvlist that occur in labels (include/sys/nvpair.h).
const (
	nvUint64 = 8
	nvString = 9
	nvList   = 19
)

// zfsPairs reads the XDR-packed nvlist of a label; ok is false if it is not one or has no device guid.
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
			// The children of the tree are not needed.
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

// nvWalk calls f for each pair of a packed list. The list has a version, flags, and pairs that each begin with their
// packed size; a size of zero ends it. nvWalk returns false if the list exceeds its bounds.
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

// xdrString reads a counted string, padded to four bytes, and returns it with the rest of b.
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
