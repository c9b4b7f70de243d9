package md

import (
	"fmt"
	"strings"
	"time"
)

// Version names a superblock format and position.
type Version string

// The native metadata versions.
const (
	V090 Version = "0.90"
	V10  Version = "1.0"
	V11  Version = "1.1"
	V12  Version = "1.2"
)

// Versions lists every native format in the order in which Scan looks for them.
func Versions() []Version { return []Version{V12, V11, V10, V090} }

// numbers returns the major and minor version of SET_ARRAY_INFO.
func (v Version) numbers() (major, minor int32, err error) {
	switch v {
	case V090:
		return 0, 90, nil
	case V10:
		return 1, 0, nil
	case V11:
		return 1, 1, nil
	case V12:
		return 1, 2, nil
	}
	return 0, 0, fmt.Errorf("metadata version %q: not one of 0.90, 1.0, 1.1, 1.2", string(v))
}

// MaxSector is the resync or recovery position that means that everything is in sync.
const MaxSector = ^uint64(0)

// Sector is the unit of md's positions, in bytes.
const Sector = 512

// Levels that have a name instead of a RAID number.
const (
	LevelLinear    = -1
	LevelMultipath = -4
	LevelFaulty    = -5
)

// Role is a device's place in the array: a slot below RaidDisks, or one of the
// special values.
type Role uint16

// Special roles (md_p.h). Unused entries of a role table read as RoleSpare.
const (
	RoleSpare   Role = 0xffff
	RoleFaulty  Role = 0xfffe
	RoleJournal Role = 0xfffd
	roleMax     Role = 0xff00
)

// Active reports whether the role is a slot of the array.
func (r Role) Active() bool { return r < roleMax }

func (r Role) String() string {
	switch r {
	case RoleSpare:
		return "spare"
	case RoleFaulty:
		return "faulty"
	case RoleJournal:
		return "journal"
	}
	return fmt.Sprintf("active device %d", uint16(r))
}

// Feature is the feature map of a 1.x superblock. A 0.90 superblock has only
// FeatureBitmap, from its state word, and FeatureReshape, from its minor version.
type Feature uint32

// Feature bits (md_p.h).
const (
	FeatureBitmap           Feature = 1 << 0
	FeatureRecoveryOffset   Feature = 1 << 1
	FeatureReshape          Feature = 1 << 2
	FeatureBadBlocks        Feature = 1 << 3
	FeatureReplacement      Feature = 1 << 4
	FeatureReshapeBackwards Feature = 1 << 5
	FeatureNewOffset        Feature = 1 << 6
	FeatureRecoveryBitmap   Feature = 1 << 7
	FeatureClustered        Feature = 1 << 8
	FeatureJournal          Feature = 1 << 9
	FeaturePPL              Feature = 1 << 10
	FeatureMultiplePPLs     Feature = 1 << 11
	FeatureRaid0Layout      Feature = 1 << 12

	knownFeatures = FeatureRaid0Layout<<1 - 1
)

func featureNames() []string {
	return []string{"bitmap", "recovery-offset", "reshape", "bad-blocks", "replacement", "reshape-backwards",
		"new-offset", "recovery-bitmap", "clustered", "journal", "ppl", "multiple-ppls", "raid0-layout"}
}

// Has reports whether any of the given bits is set.
func (f Feature) Has(bits Feature) bool { return f&bits != 0 }

func (f Feature) String() string {
	var out []string
	rest := f
	for i, n := range featureNames() {
		if f&(1<<i) != 0 {
			out = append(out, n)
			rest &^= 1 << i
		}
	}
	if rest != 0 {
		out = append(out, fmt.Sprintf("%#x", uint32(rest)))
	}
	return strings.Join(out, ",")
}

// Superblock is the version-independent view of one member's superblock.
// Fields that a version does not have are zero.
type Superblock struct {
	Version   Version
	UUID      UUID
	Name      string // 1.x: "host:name", at most 32 bytes
	Level     int    // 0, 1, 4, 5, 6, 10 or a Level constant
	Layout    uint32 // raw; its meaning depends on the level
	ChunkSize int64  // bytes; 0 for RAID1
	RaidDisks int

	DevNumber  int    // this device's index into Roles
	Roles      []Role // by device number
	DeviceUUID UUID   // 1.x

	Events       uint64
	ResyncOffset uint64 // sectors; MaxSector: the array is clean
	CTime, UTime time.Time

	DataOffset  int64 // bytes from the start of the device
	DataSize    int64 // bytes usable for data; for 0.90 only Scan sets it
	Size        int64 // bytes used on each component; 0: each has its own (linear, RAID0)
	SuperOffset int64 // bytes from the start of the device; for 0.90 only Scan sets it

	Features       Feature
	RecoveryOffset uint64 // sectors, with FeatureRecoveryOffset; the journal's tail on a journal device
	BitmapOffset   int64  // bytes, relative; with FeatureBitmap
	BadBlocks      BadBlockLog
	PPLOffset      int64 // bytes, relative; with FeaturePPL or FeatureMultiplePPLs
	PPLSize        int64
	Reshape        Reshape // with FeatureReshape
	DevFlags       uint8   // 1: write-mostly, 2: fail-fast
	CorrectedReads uint32
	BlockSize      uint32 // logical block size in bytes, since Linux 6.19; 0: not recorded

	Legacy Legacy // 0.90
}

// BadBlockLog is the position of a member's list of bad blocks; Size 0: it has none.
type BadBlockLog struct {
	Offset int64 // bytes, relative
	Size   int64 // bytes
	Shift  uint8 // a block has 1<<Shift sectors
}

// Reshape describes a change of geometry that is in progress.
type Reshape struct {
	Position   uint64 // sectors of the array
	Level      int
	DeltaDisks int
	Layout     uint32
	ChunkSize  int64 // bytes
	NewOffset  int64 // bytes to add to DataOffset; with FeatureNewOffset
}

// Legacy holds what only a 0.90 superblock records.
type Legacy struct {
	PreferredMinor                           uint32
	ErrorState                               bool // the array failed once
	NrDisks, Active, Working, Failed, Spares uint32
	Disks                                    []Disk // by device number, at most 27
	This                                     Disk
}

// Disk is a 0.90 device descriptor (mdp_disk_t); ADD_NEW_DISK has the same fields (mdu_disk_info_t).
type Disk struct {
	Number, Major, Minor uint32
	RaidDisk             int32
	State                uint32 // bits: DiskFaulty, DiskActive, ...
}

// Bits of Disk.State (md_p.h).
const (
	DiskFaulty      = 1 << 0
	DiskActive      = 1 << 1
	DiskSync        = 1 << 2
	DiskRemoved     = 1 << 3
	DiskWriteMostly = 1 << 9
	DiskJournal     = 1 << 18
)

// Clean reports whether no resync is due.
func (s Superblock) Clean() bool { return s.ResyncOffset == MaxSector }

// Role returns this device's role according to its own table.
func (s Superblock) Role() Role { return s.roleOf(s.DevNumber) }

func (s Superblock) roleOf(dev int) Role {
	if dev < 0 || dev >= len(s.Roles) {
		return RoleSpare
	}
	return s.Roles[dev]
}

// InSync reports whether the device holds a complete share of the data: it has a
// slot, is not being rebuilt and is not a replacement that is still being filled.
func (s Superblock) InSync() bool {
	return s.Role().Active() && int(s.Role()) < s.RaidDisks && !s.Features.Has(FeatureRecoveryOffset|FeatureReplacement)
}

// Believes reports for each slot whether the device's own table calls it active.
func (s Superblock) Believes() []bool {
	out := make([]bool, min(max(s.RaidDisks, 0), maxRoles))
	for _, r := range s.Roles {
		if r.Active() && int(r) < len(out) {
			out[r] = true
		}
	}
	return out
}

// ArrayState returns the role table as mdadm --examine shows it: 'A' active, '.' missing.
func (s Superblock) ArrayState() string {
	var b strings.Builder
	for _, a := range s.Believes() {
		if a {
			b.WriteByte('A')
		} else {
			b.WriteByte('.')
		}
	}
	return b.String()
}
