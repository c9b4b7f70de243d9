// Package plan decides. New turns an intent and facts into a plan, Check holds a plan against facts, and a plan can be
// read, written and explained. It knows no format and no system call: whoever knows those rooms' names is not here.
//
// A Plan is the intent log of a migration (promise 3): every identity that will ever be written is in it before the
// first byte is. So each stage can ask whether the world is already as planned, and nothing is ever recognised by
// position or by name alone.
package plan

import "time"

// Version is the version of the plan's format; a plan of another version is refused.
const Version = 1

// Ref names a volume by its identity: "disk:KEY", "part:GUID", "md:UUID". KEY is TargetDisk.Key or SourceDisk.Key.
type Ref string

// Plan is the whole intent. It is sealed: Seal covers everything but Policy.
type Plan struct {
	Version  int       `toml:"version"`
	ID       string    `toml:"id"`
	Created  time.Time `toml:"created"`
	Strategy string    `toml:"strategy"` // composes Stages: "offline"
	To       string    `toml:"to"`       // "raid1"
	Stages   []string  `toml:"stages"`   // in order; names of the registry in pkg/stage
	Seal     string    `toml:"seal"`

	Policy  Policy   `toml:"policy"`
	Machine Host     `toml:"machine"`
	Source  Source   `toml:"source"`
	Target  Target   `toml:"target"`
	Copies  []Copy   `toml:"copy"`
	Boot    Booting  `toml:"boot"`
	Drivers []string `toml:"drivers"` // modules that reach the planned disks
	Journal Ref      `toml:"journal"` // the volume whose bytes are the journal
	Notes   []string `toml:"notes"`   // what New warned of, for people
}

// Policy is what the administrator may edit without a new plan.
type Policy struct {
	OnFailure    string `toml:"on_failure" comment:"reboot, shell or poweroff"`
	Panic        int    `toml:"panic" comment:"seconds until a kernel panic becomes a reboot"`
	ReadError    string `toml:"read_error" comment:"stop, or skip-and-list"`
	DeadlineSecs int    `toml:"deadline" comment:"seconds to wait for the planned disks"`
}

// Host is the machine that the plan is for.
type Host struct {
	ID       string `toml:"id,omitempty"`
	Product  string `toml:"product,omitempty"`
	Hostname string `toml:"hostname"`
	Firmware string `toml:"firmware"`
	Family   string `toml:"family"`
	Initrd   string `toml:"initrd"`
}

// DiskID is how a disk is found again: every non-empty field must agree.
type DiskID struct {
	Key    string `toml:"key"` // the name by which this plan refers to it
	Serial string `toml:"serial,omitempty"`
	WWN    string `toml:"wwn,omitempty"`
	Bus    string `toml:"bus,omitempty"` // only when there is neither serial nor WWN
	Size   int64  `toml:"size"`
	Sector int64  `toml:"sector"`
	Table  string `toml:"table,omitempty"` // the partition table's id: a source's
	ByID   string `toml:"by_id,omitempty"` // its link in /dev/disk/by-id, for files that name disks
	Was    string `toml:"was"`             // its node when the plan was made; for people
}

// Source is what is moved. Nothing of it is written until finish.
type Source struct {
	Disks       []DiskID   `toml:"disk"`
	Filesystems []SourceFS `toml:"filesystem"`
	Swaps       []SwapOld  `toml:"swap"`
	Left        []string   `toml:"left,omitempty"` // partition GUIDs that the operator agreed to leave behind
}

// SourceFS is a filesystem to copy.
type SourceFS struct {
	UUID    string `toml:"uuid"`
	Type    string `toml:"type"`
	Label   string `toml:"label,omitempty"`
	On      Ref    `toml:"on"`
	Spec    string `toml:"spec"` // what fstab calls it
	Mount   string `toml:"mount"`
	Used    int64  `toml:"used"`
	Device  string `toml:"device"` // its node when the plan was made; rewritten where a file names it
	Options string `toml:"options,omitempty"`
}

// SwapOld is a swap area of the source.
type SwapOld struct {
	UUID   string `toml:"uuid"`
	On     Ref    `toml:"on"`
	Spec   string `toml:"spec"`
	Device string `toml:"device"`
}

// Target is what will be there. Later kinds (pools, crypts, volumes) are further tables beside these.
type Target struct {
	Disks       []TargetDisk `toml:"disk"`
	Arrays      []NewArray   `toml:"array"`
	Filesystems []NewFS      `toml:"filesystem"`
	Swaps       []NewSwap    `toml:"swap"`
	Mirrors     []TargetDisk `toml:"mirror"` // what finish makes of the old disks, in the order of Source.Disks
}

// TargetDisk is a disk that gets a new partition table.
type TargetDisk struct {
	DiskID
	Scheme     string    `toml:"scheme"` // "gpt"
	TableID    string    `toml:"table_id"`
	Wipe       bool      `toml:"wipe"` // known signatures on it may be destroyed
	Partitions []NewPart `toml:"partition"`
}

// Roles of partitions.
const (
	RoleBIOSGrub = "bios_grub"
	RoleESP      = "esp"
	RoleJournal  = "journal"
	RoleRaid     = "raid"
	RoleSwap     = "swap"
	RoleLinux    = "linux"
	RoleOther    = "other"
)

// NewPart is a partition of a TargetDisk; bytes.
type NewPart struct {
	Number int    `toml:"number"`
	Role   string `toml:"role"`
	GUID   string `toml:"guid"`
	Name   string `toml:"name"`
	Start  int64  `toml:"start"`
	Size   int64  `toml:"size"`
}

// NewArray is an md array. An empty member is a missing one.
type NewArray struct {
	UUID        string   `toml:"uuid"`
	Name        string   `toml:"name"` // "host:root"
	Node        string   `toml:"node"` // wanted under /dev/md/
	Level       int      `toml:"level"`
	Metadata    string   `toml:"metadata"`
	Devices     int      `toml:"devices"`
	Members     []Ref    `toml:"members"`
	MemberUUIDs []string `toml:"member_uuids"`
	Later       []Ref    `toml:"later"` // members that finish adds, on Mirrors
	Bitmap      bool     `toml:"bitmap"`
}

// NewFS is a filesystem to make.
type NewFS struct {
	UUID      string   `toml:"uuid"`
	Type      string   `toml:"type"`
	Label     string   `toml:"label,omitempty"`
	On        Ref      `toml:"on"`
	Mount     string   `toml:"mount"`
	Options   string   `toml:"options,omitempty"`
	Features  []string `toml:"features,omitempty"`
	BlockSize int64    `toml:"block_size,omitempty"`
	InodeSize int64    `toml:"inode_size,omitempty"`
	Inodes    int64    `toml:"inodes,omitempty"`
	HashSeed  string   `toml:"hash_seed,omitempty"`
}

// NewSwap is a swap area to make, in place of Old.
type NewSwap struct {
	UUID string `toml:"uuid"`
	On   Ref    `toml:"on"`
	Old  string `toml:"old"` // UUID of the one it replaces
}

// Engines.
const (
	EngineTree   = "tree"
	EngineExtent = "extent"
)

// Copy is one filesystem's copy: UUIDs of SourceFS and NewFS.
type Copy struct {
	From   string `toml:"from"`
	To     string `toml:"to"`
	Engine string `toml:"engine"`
	Why    string `toml:"why"`
}

// Booting is how the migration is started, committed and booted afterwards.
type Booting struct {
	Loader     string   `toml:"loader"`
	OneShot    string   `toml:"one_shot"` // mechanism
	OneShotWhy string   `toml:"one_shot_why"`
	Commit     string   `toml:"commit"`        // mechanism
	Volume     Ref      `toml:"commit_volume"` // the volume whose file is the commit
	Mount      string   `toml:"commit_mount"`  // where that volume is mounted in the new system
	FSType     string   `toml:"commit_fs"`
	Root       string   `toml:"root"`    // UUID of the NewFS mounted at /
	Kernel     string   `toml:"kernel"`  // path in the old system
	Release    string   `toml:"release"` // of that kernel
	Words      []string `toml:"words"`   // of the running command line, kept for the migration: consoles, and what the hardware needs
	Prefix     string   `toml:"prefix"`  // the old /boot as the boot loader sees it
	Dir        string   `toml:"dir"`     // where the loader's own files are: "/boot/grub"
	BootFS     string   `toml:"boot_fs"` // UUID of the old filesystem that holds kernel and image
	Custom     string   `toml:"custom"`
	Env        string   `toml:"env"`
}

// FindFS returns the new filesystem with the UUID, or nil.
func (p *Plan) FindFS(uuid string) *NewFS {
	for i := range p.Target.Filesystems {
		if p.Target.Filesystems[i].UUID == uuid {
			return &p.Target.Filesystems[i]
		}
	}
	return nil
}

// BootFSType is the type of the new filesystem that the boot loader reads.
func (p *Plan) BootFSType() FSType {
	for _, n := range p.Target.Filesystems {
		if n.On == p.Boot.Volume {
			return FSTypeOf(n.Type)
		}
	}
	return FSType{}
}

// OldBootFSType is the type of the old filesystem that holds kernel and image.
func (p *Plan) OldBootFSType() FSType {
	if s := p.FindSource(p.Boot.BootFS); s != nil {
		return FSTypeOf(s.Type)
	}
	return FSType{}
}

// FindSource returns the source filesystem with the UUID, or nil.
func (p *Plan) FindSource(uuid string) *SourceFS {
	for i := range p.Source.Filesystems {
		if p.Source.Filesystems[i].UUID == uuid {
			return &p.Source.Filesystems[i]
		}
	}
	return nil
}
