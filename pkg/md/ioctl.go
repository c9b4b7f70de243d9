package md

import (
	"encoding/binary"
	"fmt"
)

// Ioctl is one request to an md device node. If Arg is nil, the third argument is
// Value itself; otherwise it points to Arg, which the kernel reads.
type Ioctl struct {
	Name  string
	Req   uintptr
	Arg   []byte
	Value uintptr
}

// Dev is a block device's number.
type Dev struct{ Major, Minor uint32 }

// Request numbers of md_u.h in the generic encoding of _IO, _IOR and _IOW
// (x86, arm, riscv; not mips, powerpc or sparc).
const (
	reqAddNewDisk     = 0x40140921
	reqSetArrayInfo   = 0x40480923
	reqRunArray       = 0x400c0930
	reqStopArray      = 0x932
	reqRestartArrayRW = 0x934

	arrayInfoBytes = 72
	diskInfoBytes  = 20
)

// encode returns the 20 bytes of ADD_NEW_DISK (mdu_disk_info_t).
func (d Disk) encode() []byte {
	return encodeWords([]int32{int32(d.Number), int32(d.Major), int32(d.Minor), d.RaidDisk, int32(d.State)})
}

// DecodeDiskInfo reads a mdu_disk_info_t of 20 bytes, the argument of ADD_NEW_DISK.
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

// setArrayInfo sets the metadata version of an array that will be assembled from
// its superblocks; the kernel takes everything else from them.
func setArrayInfo(v Version) (Ioctl, error) {
	major, minor, err := v.numbers()
	if err != nil {
		return Ioctl{}, err
	}
	// mdu_array_info_t: if the version is set, the kernel reads nothing else.
	info := make([]int32, arrayInfoBytes/4)
	info[0], info[1] = major, minor
	return Ioctl{Name: "SET_ARRAY_INFO", Req: reqSetArrayInfo, Arg: encodeWords(info)}, nil
}

// addNewDisk adds a member that has a superblock to an array that is being assembled.
func addNewDisk(dev Dev) Ioctl {
	return Ioctl{Name: "ADD_NEW_DISK", Req: reqAddNewDisk, Arg: Disk{Major: dev.Major, Minor: dev.Minor}.encode()}
}

// HotAdd adds a device with Join's superblock to a running array.
func HotAdd(dev Dev, number int) Ioctl {
	return Ioctl{Name: "ADD_NEW_DISK", Req: reqAddNewDisk,
		Arg: Disk{Number: uint32(number), Major: dev.Major, Minor: dev.Minor, RaidDisk: -1}.encode()}
}

// runArray starts an array from the members added so far.
func runArray() Ioctl { return Ioctl{Name: "RUN_ARRAY", Req: reqRunArray} }

// StopArray stops an array that no one has open.
func StopArray() Ioctl { return Ioctl{Name: "STOP_ARRAY", Req: reqStopArray} }

// RestartArrayRW makes a read-only array writable.
func RestartArrayRW() Ioctl { return Ioctl{Name: "RESTART_ARRAY_RW", Req: reqRestartArrayRW} }

// AssembleIoctls lists the requests that assemble and start an array; the
// freshest member must come first. If RUN_ARRAY fails, the array remains inactive
// and holds its members: send StopArray.
func AssembleIoctls(v Version, members []Dev) ([]Ioctl, error) {
	if len(members) == 0 {
		return nil, fmt.Errorf("md %s array: no members to assemble", v)
	}
	set, err := setArrayInfo(v)
	if err != nil {
		return nil, err
	}
	out := []Ioctl{set}
	for _, m := range members {
		out = append(out, addNewDisk(m))
	}
	return append(out, runArray()), nil
}
