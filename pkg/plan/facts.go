package plan

import "encoding/json"

// Facts are what survey saw of one machine at one moment. They hold no conclusions: New and Check draw those.
type Facts struct {
	Machine  Machine       `json:"machine"`
	Kernel   Kernel        `json:"kernel"`
	Firmware string        `json:"firmware"` // "bios" or "efi"
	Devices  []Device      `json:"devices"`
	Arrays   []Array       `json:"arrays,omitempty"`
	Groups   []VolumeGroup `json:"groups,omitempty"`
	Crypts   []Crypt       `json:"crypts,omitempty"`
	Mounts   []Mount       `json:"mounts,omitempty"`
	Fstab    []Fstab       `json:"fstab,omitempty"`
	Uses     []Use         `json:"uses,omitempty"` // what else names devices
	Boot     Boot          `json:"boot"`
	Distro   Distro        `json:"distro"`
	Problems []Problem     `json:"problems,omitempty"` // what could not be read, and why
	Rules    Rules         `json:"-"`                  // those by which it was looked
}

// Machine is the identity of the machine and of who asks.
type Machine struct {
	ID       string `json:"id,omitempty"`      // /etc/machine-id
	Product  string `json:"product,omitempty"` // DMI product UUID
	Hostname string `json:"hostname,omitempty"`
	BootID   string `json:"boot_id,omitempty"`
	Memory   int64  `json:"memory,omitempty"` // bytes
	UID      int    `json:"uid"`
}

// Kernel is the one that runs.
type Kernel struct {
	Release string `json:"release,omitempty"`
	Cmdline string `json:"cmdline,omitempty"`
	// Params is the command line as the kernel splits it, up to "--".
	Params []Param `json:"params,omitempty"`
}

// Param is a word of a kernel command line. Key and Value are without quotes, Raw is the word as it stands.
type Param struct {
	Key   string `json:"key"`
	Value string `json:"value,omitempty"`
	Raw   string `json:"raw"`
}

// Kinds of Device.
const (
	KindDisk  = "disk"
	KindPart  = "part"
	KindArray = "md"
	KindDM    = "dm"
	KindLoop  = "loop"
	KindOther = "other"
)

// Device is a block device. Sizes and offsets are in bytes.
type Device struct {
	Name       string    `json:"name"` // "vda1"
	Path       string    `json:"path"` // "/dev/vda1"
	Kind       string    `json:"kind"`
	Parent     string    `json:"parent,omitempty"` // a partition's disk, by name
	Number     int       `json:"number,omitempty"` // a partition's
	GUID       string    `json:"guid,omitempty"`   // a partition's, from its table
	Major      uint32    `json:"major"`
	Minor      uint32    `json:"minor"`
	Start      int64     `json:"start,omitempty"`
	Size       int64     `json:"size"`
	Sector     int64     `json:"sector,omitempty"` // logical sector size
	Serial     string    `json:"serial,omitempty"`
	WWN        string    `json:"wwn,omitempty"`
	Model      string    `json:"model,omitempty"`
	Bus        string    `json:"bus,omitempty"`     // where it is attached, as sysfs names it
	Drivers    []string  `json:"drivers,omitempty"` // modules or built-in drivers on the way to the disk
	ByID       string    `json:"by_id,omitempty"`   // its most telling link in /dev/disk/by-id
	Links      []string  `json:"links,omitempty"`   // all links below /dev/disk, /dev/md and /dev/mapper that lead to it
	ReadOnly   bool      `json:"read_only,omitempty"`
	Removable  bool      `json:"removable,omitempty"`
	Remote     string    `json:"remote,omitempty"` // by what it is reached over a network, or built in software; "" for a disk on a bus of this machine
	Rotational bool      `json:"rotational,omitempty"`
	Holders    []string  `json:"holders,omitempty"`
	Mapping    string    `json:"mapping,omitempty"`    // the name of a device-mapper device: "vg-root"
	MappingID  string    `json:"mapping_id,omitempty"` // its device-mapper UUID: "LVM-..."
	MountedAt  []string  `json:"mounted_at,omitempty"`
	Swapping   bool      `json:"swapping,omitempty"`
	Table      *Table    `json:"table,omitempty"`
	Contents   []Content `json:"contents,omitempty"`
	Over       string    `json:"over,omitempty"`        // of an overlay: the device that it covers, by name
	BootSector string    `json:"boot_sector,omitempty"` // whose code is in it: "unknown", "" for none
}

// Table is a partition table as it is on the disk; Scheme is "gpt" or "dos".
type Table struct {
	Scheme     string      `json:"scheme"`
	ID         string      `json:"id"`
	Backup     bool        `json:"backup,omitempty"` // only its backup is whole: the kernel sees no partitions
	Hybrid     bool        `json:"hybrid,omitempty"` // GPT with further entries in its MBR
	Damage     []string    `json:"damage,omitempty"` // what is wrong with it and could be read around
	Partitions []Partition `json:"partitions,omitempty"`
}

// Partition is an entry of a Table; bytes.
type Partition struct {
	Number int    `json:"number"`
	Type   string `json:"type"` // as the table spells it
	Role   string `json:"role"` // see the Role constants
	GUID   string `json:"guid,omitempty"`
	Name   string `json:"name,omitempty"`
	Start  int64  `json:"start"`
	Size   int64  `json:"size"`
}

// Kinds of Content.
const (
	ContentFS    = "filesystem"
	ContentSwap  = "swap"
	ContentRaid  = "raid"
	ContentLVM   = "lvm"
	ContentLUKS  = "luks"
	ContentZFS   = "zfs"
	ContentTable = "table"
	ContentOther = "other"
)

// Content is one signature found on a device.
type Content struct {
	Kind      string   `json:"kind"`
	Type      string   `json:"type"` // "ext4", "xfs", "swap", "linux_raid_member", ...
	UUID      string   `json:"uuid,omitempty"`
	Label     string   `json:"label,omitempty"`
	Size      int64    `json:"size,omitempty"`
	Used      int64    `json:"used,omitempty"`
	Inodes    int64    `json:"inodes,omitempty"` // capacity
	BlockSize int64    `json:"block_size,omitempty"`
	InodeSize int64    `json:"inode_size,omitempty"`
	Sector    int64    `json:"sector,omitempty"` // the smallest unit that it writes, where its type fixes one
	Features  []string `json:"features,omitempty"`
	Log       int64    `json:"log,omitempty"`       // bytes of its journal or log; 0 where it has none of a fixed size
	Dirty     string   `json:"dirty,omitempty"`     // evidence that its journal has not been replayed, or that it has errors
	Damage    string   `json:"damage,omitempty"`    // evidence that the kernel found it inconsistent; unlike Dirty it counts while it is mounted
	Journal   string   `json:"journal,omitempty"`   // UUID of its journal, where that is on another device
	Stamp     string   `json:"stamp,omitempty"`     // changes whenever the filesystem is mounted for writing
	Ghost     bool     `json:"ghost,omitempty"`     // a remnant that nothing acts on
	NodeSize  int64    `json:"node_size,omitempty"` // bytes of a block of metadata, where it has a size of its own
	Checksum  string   `json:"checksum,omitempty"`  // the algorithm, where there is a choice
	Members   int      `json:"members,omitempty"`   // the number of devices of a filesystem that may have several
	// Subvolumes are those of a mounted filesystem of a type that has them; nil where they were not listed.
	Subvolumes *Subvolumes `json:"subvolumes,omitempty"`
	// Env is the environment block in a filesystem that holds nothing else, by which a boot loader starts a migration once:
	// NAME=VALUE each.
	Env  []string `json:"env,omitempty"`
	Wipe []Span   `json:"wipe,omitempty"` // what to zero so that it is not seen any more
}

// Span is a range of bytes.
type Span struct {
	Offset int64 `json:"offset"`
	Length int64 `json:"length"`
}

// Array is a set of md members with one UUID, running or not.
type Array struct {
	UUID     string   `json:"uuid"`
	Name     string   `json:"name,omitempty"`
	Level    string   `json:"level,omitempty"`
	Metadata string   `json:"metadata,omitempty"`
	Devices  int      `json:"devices"`
	Members  []Member `json:"members,omitempty"`
	Node     string   `json:"node,omitempty"` // "md127" when it runs
	State    string   `json:"state,omitempty"`
	Degraded int      `json:"degraded,omitempty"`
	Journal  bool     `json:"journal,omitempty"`   // writes go through a journal device
	NoLayout bool     `json:"no_layout,omitempty"` // RAID0 of unequal members that does not say which of two layouts it has
	Sync     string   `json:"sync,omitempty"`      // sync_action
	SyncDone int64    `json:"sync_done,omitempty"` // bytes
	SyncAll  int64    `json:"sync_all,omitempty"`
	SyncRate int64    `json:"sync_rate,omitempty"` // bytes a second
	SpeedMin int64    `json:"speed_min,omitempty"` // its limits, bytes a second
	SpeedMax int64    `json:"speed_max,omitempty"`
}

// Member is a device of an Array. Role is its slot, -1 for a spare.
type Member struct {
	Device string `json:"device"`
	Role   int    `json:"role"`
	Events uint64 `json:"events,omitempty"`
	// Updated is when its superblock was written last, in seconds since 1970.
	Updated int64  `json:"updated,omitempty"`
	State   string `json:"state,omitempty"`
	Stale   string `json:"stale,omitempty"` // evidence
}

// Mount is one line of mountinfo.
type Mount struct {
	Source  string `json:"source"`
	Target  string `json:"target"`
	Type    string `json:"type"`
	Options string `json:"options,omitempty"`
	Root    string `json:"root,omitempty"`
	Device  string `json:"device,omitempty"` // name of the block device, "vda1"
	Free    int64  `json:"free,omitempty"`
}

// Fstab is an entry of /etc/fstab. Device is what its spec resolves to, "" when nothing does.
type Fstab struct {
	Spec    string `json:"spec"`
	Name    Name   `json:"name"`
	Target  string `json:"target"`
	Type    string `json:"type"`
	Options string `json:"options"`
	Device  string `json:"device,omitempty"`
	// Ambiguous are the devices that its spec could mean, where they are several.
	Ambiguous []string `json:"ambiguous,omitempty"`
}

// Boot is how this machine boots.
type Boot struct {
	Loader      string          `json:"loader,omitempty"` // names a row of Rules; "" unknown
	Version     string          `json:"version,omitempty"`
	Config      string          `json:"config,omitempty"`       // its configuration
	Device      string          `json:"device,omitempty"`       // the device that holds Dir
	Dir         string          `json:"dir,omitempty"`          // where kernels are: "/boot"
	PlanEntries []string        `json:"plan_entries,omitempty"` // plan ids that it has entries of
	NextEntry   string          `json:"next_entry,omitempty"`   // what was chosen for the next boot alone
	Armed       string          `json:"armed,omitempty"`        // the plan id whose migration NextEntry runs; "" when it is another entry
	Kernels     []Image         `json:"kernels,omitempty"`
	Own         json.RawMessage `json:"own,omitempty"` // facts of this boot loader alone, which only its row reads
}

// Image is an installed kernel.
type Image struct {
	Release string `json:"release"` // as the file inside says
	Path    string `json:"path"`
	Initrd  string `json:"initrd,omitempty"`
	Modules bool   `json:"modules"` // /lib/modules/RELEASE/modules.dep exists
	Size    int64  `json:"size"`
}

// Distro is the installed system.
type Distro struct {
	ID       string    `json:"id,omitempty"`
	Version  string    `json:"version,omitempty"`
	Family   string    `json:"family,omitempty"`   // names a row of Rules
	Initrd   string    `json:"initrd,omitempty"`   // generator: names a row of Rules
	Init     string    `json:"init,omitempty"`     // "systemd", ...
	Packages []Package `json:"packages,omitempty"` // those that were asked for
}

// Package is one that a migrated system may need.
type Package struct {
	Name      string `json:"name"`
	Installed bool   `json:"installed"`
	Version   string `json:"version,omitempty"` // upstream's, "" where it is not known
}

// Problem is something that survey could not read, or, as a note, that it read and that will be ignored.
type Problem struct {
	Subject string `json:"subject"`
	Err     string `json:"error"`
	Note    bool   `json:"note,omitempty"`
	Device  string `json:"device,omitempty"` // path of the device that it is about
	Table   bool   `json:"table,omitempty"`  // it is about that device's partition table
}
