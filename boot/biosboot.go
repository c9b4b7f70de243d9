package boot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	biosSector = 512

	bootBPBStart     = 0x03
	bootBPBEnd       = 0x5a
	bootKernelAddr   = 0x5a
	bootKernelSector = 0x5c
	bootDrive        = 0x64
	bootDriveCheck   = 0x66
	bootNTMagic      = 0x1b8 // disk signature, then the MBR partition table
	bootSignature    = 0x1fe
	kernelLoadAddr   = 0x8000
)

// ErrNotGRUB means that a boot sector holds no code, or code other than GRUB 2's.
var ErrNotGRUB = errors.New("not GRUB 2's boot.img")

// BootSector holds the parameters of GRUB's boot.img (grub-core/boot/i386/pc/boot.S) at LBA 0.
type BootSector struct {
	CoreLBA    uint64 // first sector of the core image, in 512-byte sectors from the start of the disk
	Drive      byte   // BIOS drive from which it is read; 0xff is the drive that was booted
	DriveCheck bool   // the jump over the check of the BIOS drive number was removed, as on hard disks
}

// SectorOwner returns whose code is in LBA 0 of a disk: "GRUB", "migrate-init" for NextDisk, "unknown", or "" for none.
func SectorOwner(lba0 []byte) string {
	if isNextDisk(lba0) {
		return "migrate-init"
	}
	if _, err := ParseBootSector(lba0); err == nil {
		return "GRUB"
	}
	if len(lba0) == 0 || lba0[0] == 0 {
		return ""
	}
	return "unknown"
}

// ParseBootSector reads LBA 0 of a disk. The error wraps [ErrNotGRUB] if the sector is not GRUB's.
//
// It recognizes boot.img by its jump over the parameter block, by the load address 0x8000 behind that block, and by its
// messages in their order. GRUB Legacy's stage1 has the same messages but another jump. The word "GRUB " is not
// required: it may be missing from builds for a quiet boot.
func ParseBootSector(lba0 []byte) (BootSector, error) {
	if len(lba0) < biosSector {
		return BootSector{}, fmt.Errorf("boot sector: %d bytes, %d expected", len(lba0), biosSector)
	}
	b := lba0[:biosSector]
	switch {
	case b[bootSignature] != 0x55 || b[bootSignature+1] != 0xaa:
		return BootSector{}, fmt.Errorf("boot sector: %w: signature %x, 55aa expected", ErrNotGRUB, b[bootSignature:])
	case b[0] != 0xeb || b[1] != 0x63:
		return BootSector{}, fmt.Errorf("boot sector: %w: begins %x, eb63 expected", ErrNotGRUB, b[:2])
	case binary.LittleEndian.Uint16(b[bootKernelAddr:]) != kernelLoadAddr:
		return BootSector{}, fmt.Errorf("boot sector: %w: load address %#x, %#x expected", ErrNotGRUB, binary.LittleEndian.Uint16(b[bootKernelAddr:]), kernelLoadAddr)
	case !bytes.Contains(b[bootDriveCheck:bootNTMagic], []byte("Geom\x00Hard Disk\x00Read\x00 Error")):
		return BootSector{}, fmt.Errorf("boot sector: %w: its messages are missing", ErrNotGRUB)
	}
	return BootSector{
		CoreLBA:    binary.LittleEndian.Uint64(b[bootKernelSector:]),
		Drive:      b[bootDrive],
		DriveCheck: b[bootDriveCheck] == 0x90 && b[bootDriveCheck+1] == 0x90,
	}, nil
}

// Relocate returns the boot sector and the core image for a contiguous copy of core at coreLBA. boot is a boot sector
// with GRUB's boot.img, or boot.img itself. core is the whole image: its first sector and those of [CoreExtents], in
// order. dst is the present LBA 0 of the disk that will hold them: Relocate keeps its parameter block and its bytes 440
// to 511 (disk signature, partition table).
//
// Write and sync newCore first: writing newBoot, one sector, is then the atomic switch.
func Relocate(boot, core, dst []byte, coreLBA uint64) (newBoot, newCore []byte, err error) {
	if _, err := ParseBootSector(boot); err != nil {
		return nil, nil, err
	}
	if len(dst) < biosSector {
		return nil, nil, fmt.Errorf("destination boot sector: %d bytes, %d expected", len(dst), biosSector)
	}
	if dst[bootSignature] != 0x55 || dst[bootSignature+1] != 0xaa {
		return nil, nil, fmt.Errorf("destination boot sector: signature %x, 55aa expected: no partition table to keep", dst[bootSignature:biosSector])
	}
	lists, err := coreLists(core)
	if err != nil {
		return nil, nil, err
	}
	total := coreSectors(lists)
	switch {
	case coreLBA == 0:
		return nil, nil, errors.New("core image: LBA 0 is the boot sector")
	case coreLBA+total < coreLBA:
		return nil, nil, fmt.Errorf("core image: LBA %d and %d sectors overflow", coreLBA, total)
	case total-1 > 0xffff:
		return nil, nil, fmt.Errorf("core image: %d sectors, more than one block list holds", total)
	}
	need := int(total) * biosSector
	if len(core) <= need-biosSector {
		return nil, nil, fmt.Errorf("core image: %d bytes, its block lists name %d sectors", len(core), total)
	}

	newBoot = bytes.Clone(boot[:biosSector])
	copy(newBoot[bootBPBStart:bootBPBEnd], dst[bootBPBStart:bootBPBEnd])
	copy(newBoot[bootNTMagic:], dst[bootNTMagic:biosSector])
	binary.LittleEndian.PutUint64(newBoot[bootKernelSector:], coreLBA)
	newBoot[bootDrive] = 0xff
	newBoot[bootDriveCheck], newBoot[bootDriveCheck+1] = 0x90, 0x90

	newCore = make([]byte, need)
	copy(newCore, core)
	clear(newCore[biosSector-len(lists)*listSize : biosSector])
	putList(newCore, blockList{start: coreLBA + 1, length: uint16(total - 1), segment: lists[0].segment})
	return newBoot, newCore, nil
}
