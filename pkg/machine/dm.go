package machine

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
)

// MappingTarget is one line of a device-mapper table. Start and Length are in bytes, in whole sectors of 512.
type MappingTarget struct {
	Start, Length int64
	Type, Params  string
}

// Mapping makes a device-mapper device: it creates the device, loads its table and resumes it. If one of the three fails,
// the device is removed again. Its node is /dev/dm-N, for an N that sysfs tells (dm/name, dm/uuid).
type Mapping struct {
	Name, UUID string
	ReadOnly   bool
	Table      []MappingTarget
}

// Unmap removes a device-mapper device, which must not be in use. It is not an error if it does not exist.
type Unmap struct{ Name string }

// MappingState is what the kernel says of a device-mapper device.
type MappingState struct {
	ReadOnly, Suspended bool
	Open                int             // how many openers it has: mounts, layers above, processes
	Table               []MappingTarget // Params is the target's status, not its table line
}

// The row of a snapshot that does not outlive the kernel: its origin is the first parameter and is never written.
const dmSnapshot = "snapshot"

// dmCrypt's second parameter is the key.
const dmCrypt = "crypt"

func (e Mapping) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "map %s", e.Name)
	if e.ReadOnly {
		b.WriteString(" (read-only)")
	}
	b.WriteString(":")
	for i, t := range e.Table {
		if i > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, " %d bytes at %d: %s %s", t.Length, t.Start, t.Type, t.shown())
	}
	if len(e.Table) == 0 {
		b.WriteString(" nothing")
	}
	return b.String()
}

// shown returns the parameters without the key of an encrypted target.
func (t MappingTarget) shown() string {
	f := strings.Fields(t.Params)
	if t.Type != dmCrypt || len(f) < 2 || strings.HasPrefix(f[1], ":") {
		return t.Params // a key that begins with a colon is only the name of one in the kernel's keyring
	}
	f[1] = "(key)"
	return strings.Join(f, " ")
}

// Writes names the devices that a write to the mapping reaches.
func (e Mapping) Writes() []string {
	if e.ReadOnly {
		return nil
	}
	var out []string
	for _, t := range e.Table {
		for i, f := range strings.Fields(t.Params) {
			if isDeviceParam(f) && (t.Type != dmSnapshot || i > 0) {
				out = append(out, f)
			}
		}
	}
	return out
}

// isDeviceParam reports whether a parameter of a table names a device: by its path, or as MAJOR:MINOR.
func isDeviceParam(s string) bool {
	major, minor, ok := strings.Cut(s, ":")
	return strings.HasPrefix(s, "/") || ok && isNumber(major) && isNumber(minor)
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func (e Unmap) String() string { return "remove mapping " + e.Name }

// Writes returns nil: what is below stays as it is.
func (e Unmap) Writes() []string { return nil }

// Commands, flags and sizes of linux/dm-ioctl.h.
const (
	dmDevCreate   = 3
	dmDevRemove   = 4
	dmDevSuspend  = 6 // without the flag it resumes
	dmTableLoad   = 9
	dmTableStatus = 12

	dmReadOnly   = 1 << 0
	dmSuspended  = 1 << 1
	dmBufferFull = 1 << 8
	dmNoFlush    = 1 << 11
	dmSecureData = 1 << 15 // the kernel wipes its copy of the buffer

	dmHead     = 312
	dmNameAt   = 48
	dmUUIDAt   = 176
	dmNameSize = 128
	dmUUIDSize = 129
	dmSpec     = 40
	dmTypeSize = 16
	dmSector   = 512

	// udev's rules for device-mapper ignore an event that does not come from whoever made the change.
	dmPrimarySource = 0x40 << 16
)

// dmRequest returns the number of an ioctl of device-mapper: _IOWR(0xfd, command, struct dm_ioctl).
func dmRequest(command uintptr) uintptr { return 3<<30 | dmHead<<16 | 0xfd<<8 | command }

// dmBuffer returns the argument of an ioctl, with room for size bytes after its head. uuid may be empty.
func dmBuffer(name, uuid string, flags, event uint32, size int) ([]byte, error) {
	switch {
	case name == "" || len(name) >= dmNameSize || strings.ContainsAny(name, "/\x00"):
		return nil, fmt.Errorf("mapping %q: name must have 1 to %d bytes, no slash and no zero byte", name, dmNameSize-1)
	case len(uuid) >= dmUUIDSize || strings.Contains(uuid, "\x00"):
		return nil, fmt.Errorf("mapping %s: UUID %q must have at most %d bytes, and no zero byte", name, uuid, dmUUIDSize-1)
	}
	b, le := make([]byte, dmHead+size), binary.LittleEndian
	le.PutUint32(b[0:], 4) // the version of the interface; minor and patch level 0 are the oldest
	le.PutUint32(b[12:], uint32(len(b)))
	le.PutUint32(b[16:], dmHead)
	le.PutUint32(b[28:], flags)
	le.PutUint32(b[32:], event)
	copy(b[dmNameAt:], name)
	copy(b[dmUUIDAt:], uuid)
	return b, nil
}

// dmLoad returns the argument that loads the table of a mapping.
func dmLoad(e Mapping) ([]byte, error) {
	flags := uint32(0)
	if e.ReadOnly {
		flags |= dmReadOnly
	}
	var table []byte
	next := int64(0)
	for i, t := range e.Table {
		switch {
		case t.Start != next || t.Length <= 0 || t.Length%dmSector != 0:
			return nil, fmt.Errorf("mapping %s: target %d: %d bytes at %d: targets must be whole sectors, without a gap", e.Name, i, t.Length, t.Start)
		case t.Type == "" || len(t.Type) >= dmTypeSize || strings.Contains(t.Type+t.Params, "\x00"):
			return nil, fmt.Errorf("mapping %s: target %d: type %q is not a name of 1 to %d bytes", e.Name, i, t.Type, dmTypeSize-1)
		case t.Type == dmCrypt:
			flags |= dmSecureData
		}
		next += t.Length
		size := dmSpec + (len(t.Params)+1+7)/8*8
		row, le := make([]byte, size), binary.LittleEndian
		le.PutUint64(row[0:], uint64(t.Start/dmSector))
		le.PutUint64(row[8:], uint64(t.Length/dmSector))
		le.PutUint32(row[20:], uint32(size)) // from this target to the next
		copy(row[24:], t.Type)
		copy(row[dmSpec:], t.Params)
		table = append(table, row...)
	}
	if len(e.Table) == 0 {
		return nil, fmt.Errorf("mapping %s: its table is empty", e.Name)
	}
	b, err := dmBuffer(e.Name, "", flags, 0, len(table))
	if err != nil {
		return nil, err
	}
	binary.LittleEndian.PutUint32(b[20:], uint32(len(e.Table)))
	copy(b[dmHead:], table)
	return b, nil
}

// dmState decodes the kernel's answer to TABLE_STATUS. full reports that the buffer was too small for it.
func dmState(b []byte) (s MappingState, full bool, err error) {
	le := binary.LittleEndian
	if len(b) < dmHead {
		return s, false, fmt.Errorf("device-mapper's answer has %d bytes, fewer than its head", len(b))
	}
	flags := le.Uint32(b[28:])
	if flags&dmBufferFull != 0 {
		return s, true, nil
	}
	s = MappingState{ReadOnly: flags&dmReadOnly != 0, Suspended: flags&dmSuspended != 0, Open: int(le.Uint32(b[24:]))}
	size, start, count := uint64(le.Uint32(b[12:])), uint64(le.Uint32(b[16:])), le.Uint32(b[20:])
	if size > uint64(len(b)) || start > size {
		return s, false, fmt.Errorf("device-mapper's answer: data from %d to %d in a buffer of %d bytes", start, size, len(b))
	}
	data := b[start:size]
	for at, i := uint64(0), uint32(0); i < count; i++ {
		if at > uint64(len(data)) || uint64(len(data))-at < dmSpec {
			return s, false, fmt.Errorf("device-mapper's answer: target %d of %d lies outside it", i, count)
		}
		row := data[at:]
		params, _, _ := bytes.Cut(row[dmSpec:], []byte{0})
		typ, _, _ := bytes.Cut(row[24:dmSpec], []byte{0})
		s.Table = append(s.Table, MappingTarget{
			Start: int64(le.Uint64(row) * dmSector), Length: int64(le.Uint64(row[8:]) * dmSector), Type: string(typ), Params: string(params),
		})
		next := uint64(le.Uint32(row[20:])) // from the first target
		if next <= at && i+1 < count {
			return s, false, fmt.Errorf("device-mapper's answer: target %d of %d is followed by one at %d", i, count, next)
		}
		at = next
	}
	return s, false, nil
}
