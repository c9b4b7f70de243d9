package md

import (
	"encoding/binary"
	"fmt"
)

// Ioctl is one request to an md node. Arg nil means that the third argument is
// Value itself; otherwise it points to Arg, which the kernel reads or, for the
// GET requests, fills.
type Ioctl struct {
	Name  string
	Req   uintptr
	Arg   []byte
	Value uintptr
}

// Dev is a block device's number.
type Dev struct{ Major, Minor uint32 }

// Request numbers: md_u.h with the generic encoding of _IO, _IOR and _IOW
// (x86, arm, riscv; not mips, powerpc or sparc).
const (
	reqGetArrayInfo   = 0x80480911
	reqGetDiskInfo    = 0x80140912
	reqAddNewDisk     = 0x40140921
	reqHotRemoveDisk  = 0x922
	reqSetArrayInfo   = 0x40480923
	reqSetDiskFaulty  = 0x929
	reqRunArray       = 0x400c0930
	reqStopArray      = 0x932
	reqStopArrayRO    = 0x933
	reqRestartArrayRW = 0x934

	arrayInfoBytes = 72
	diskInfoBytes  = 20
)

// ArrayInfo is mdu_array_info_t.
type ArrayInfo struct {
	Major, Minor, Patch                      int32
	CTime                                    uint32
	Level, Size, NrDisks, RaidDisks, MDMinor int32 // Size in KiB a component
	NotPersistent                            int32
	UTime                                    uint32
	State, Active, Working, Failed, Spares   int32
	Layout, ChunkSize                        int32 // ChunkSize in bytes
}

func (a ArrayInfo) words() []int32 {
	return []int32{a.Major, a.Minor, a.Patch, int32(a.CTime), a.Level, a.Size, a.NrDisks, a.RaidDisks, a.MDMinor,
		a.NotPersistent, int32(a.UTime), a.State, a.Active, a.Working, a.Failed, a.Spares, a.Layout, a.ChunkSize}
}

// Encode gives the 72 bytes of SET_ARRAY_INFO, in little-endian order.
func (a ArrayInfo) Encode() []byte { return encodeWords(a.words()) }

// DecodeArrayInfo reads what GET_ARRAY_INFO filled in.
func DecodeArrayInfo(b []byte) (ArrayInfo, error) {
	if len(b) != arrayInfoBytes {
		return ArrayInfo{}, fmt.Errorf("md array info: %d bytes, not %d", len(b), arrayInfoBytes)
	}
	w := func(i int) int32 { return int32(binary.LittleEndian.Uint32(b[4*i:])) }
	return ArrayInfo{Major: w(0), Minor: w(1), Patch: w(2), CTime: uint32(w(3)), Level: w(4), Size: w(5), NrDisks: w(6),
		RaidDisks: w(7), MDMinor: w(8), NotPersistent: w(9), UTime: uint32(w(10)), State: w(11), Active: w(12), Working: w(13),
		Failed: w(14), Spares: w(15), Layout: w(16), ChunkSize: w(17)}, nil
}

// Encode gives the 20 bytes of ADD_NEW_DISK and GET_DISK_INFO.
func (d Disk) Encode() []byte {
	return encodeWords([]int32{int32(d.Number), int32(d.Major), int32(d.Minor), d.RaidDisk, int32(d.State)})
}

// DecodeDiskInfo reads what GET_DISK_INFO filled in.
func DecodeDiskInfo(b []byte) (Disk, error) {
	if len(b) != diskInfoBytes {
		return Disk{}, fmt.Errorf("md disk info: %d bytes, not %d", len(b), diskInfoBytes)
	}
	w := func(i int) uint32 { return binary.LittleEndian.Uint32(b[4*i:]) }
	return Disk{Number: w(0), Major: w(1), Minor: w(2), RaidDisk: int32(w(3)), State: w(4)}, nil
}

func encodeWords(ws []int32) []byte {
	b := make([]byte, 0, 4*len(ws))
	for _, w := range ws {
		b = binary.LittleEndian.AppendUint32(b, uint32(w))
	}
	return b
}

// SetArrayInfo names the metadata version of an array that is to be assembled
// from its superblocks; everything else then comes from them.
func SetArrayInfo(v Version) (Ioctl, error) {
	major, minor, err := v.numbers()
	if err != nil {
		return Ioctl{}, err
	}
	return Ioctl{Name: "SET_ARRAY_INFO", Req: reqSetArrayInfo, Arg: ArrayInfo{Major: major, Minor: minor}.Encode()}, nil
}

// AddNewDisk gives a member with a superblock to an array being assembled.
func AddNewDisk(dev Dev) Ioctl {
	return Ioctl{Name: "ADD_NEW_DISK", Req: reqAddNewDisk, Arg: Disk{Major: dev.Major, Minor: dev.Minor}.Encode()}
}

// HotAdd gives a running array a device that carries Join's superblock.
func HotAdd(dev Dev, number int) Ioctl {
	return Ioctl{Name: "ADD_NEW_DISK", Req: reqAddNewDisk,
		Arg: Disk{Number: uint32(number), Major: dev.Major, Minor: dev.Minor, RaidDisk: -1}.Encode()}
}

// RunArray starts an array from the superblocks given so far.
func RunArray() Ioctl { return Ioctl{Name: "RUN_ARRAY", Req: reqRunArray} }

// StopArray stops an array that nobody has open.
func StopArray() Ioctl { return Ioctl{Name: "STOP_ARRAY", Req: reqStopArray} }

// StopArrayRO makes a running array read-only.
func StopArrayRO() Ioctl { return Ioctl{Name: "STOP_ARRAY_RO", Req: reqStopArrayRO} }

// RestartArrayRW makes a read-only array writable.
func RestartArrayRW() Ioctl { return Ioctl{Name: "RESTART_ARRAY_RW", Req: reqRestartArrayRW} }

// SetDiskFaulty fails a member of a running array.
func SetDiskFaulty(dev Dev) Ioctl {
	return Ioctl{Name: "SET_DISK_FAULTY", Req: reqSetDiskFaulty, Value: dev.kernel()}
}

// HotRemoveDisk removes a faulty or spare member.
func HotRemoveDisk(dev Dev) Ioctl {
	return Ioctl{Name: "HOT_REMOVE_DISK", Req: reqHotRemoveDisk, Value: dev.kernel()}
}

// GetArrayInfo asks for an ArrayInfo.
func GetArrayInfo() Ioctl {
	return Ioctl{Name: "GET_ARRAY_INFO", Req: reqGetArrayInfo, Arg: make([]byte, arrayInfoBytes)}
}

// GetDiskInfo asks for the Disk with a device number.
func GetDiskInfo(number int) Ioctl {
	return Ioctl{Name: "GET_DISK_INFO", Req: reqGetDiskInfo, Arg: Disk{Number: uint32(number)}.Encode()}
}

// kernel packs a device number as new_encode_dev does.
func (d Dev) kernel() uintptr {
	return uintptr(d.Minor&0xff | d.Major<<8 | d.Minor&^0xff<<12)
}

// AssembleIoctls lists the requests that assemble and start an array; the
// freshest member comes first. When RUN_ARRAY fails the array stays behind
// inactive and holds its members: send StopArray.
func AssembleIoctls(v Version, members []Dev) ([]Ioctl, error) {
	if len(members) == 0 {
		return nil, fmt.Errorf("md %s array: no members to assemble", v)
	}
	set, err := SetArrayInfo(v)
	if err != nil {
		return nil, err
	}
	out := []Ioctl{set}
	for _, m := range members {
		out = append(out, AddNewDisk(m))
	}
	return append(out, RunArray()), nil
}
