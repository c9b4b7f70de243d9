// Package plan decides. New turns an intent and facts into a plan, Check compares a plan with facts, and a plan can be
// read, written and explained. It knows no format and no system call, and imports no other room.
//
// A Plan is the intent log of a migration: every identity that will ever be written is in it before the first byte is. So
// each stage can ask whether the machine is already as planned, and nothing is ever recognised by position or by name
// alone.
package plan

import (
	"path"
	"strings"
	"time"
)

// Version is the version of the plan's format; a plan of another version is refused.
const Version = 2

// Plan is the whole intent. It is sealed: Seal covers everything but Policy. Storage is described three times: Source is
// what exists and is moved, and is not written before finish; Target is what exists when the new system is entered; Final is
// what exists after finish.
type Plan struct {
	Version  int       `toml:"version" json:"version"`
	ID       string    `toml:"id" json:"id"`
	Created  time.Time `toml:"created" json:"created"`
	To       string    `toml:"to" json:"to"`             // the layout: "raid1"
	Strategy string    `toml:"strategy" json:"strategy"` // what composed the phases: "offline"
	Seal     string    `toml:"seal" json:"seal"`

	Policy  Policy   `toml:"policy" json:"policy"`
	Machine Host     `toml:"machine" json:"machine"`
	Phases  []Phase  `toml:"phase" json:"phases"`
	Boot    Booting  `toml:"boot" json:"boot"`
	Drivers []string `toml:"drivers" json:"drivers"`               // modules that reach the planned disks
	Journal Ref      `toml:"journal" json:"journal"`               // the node of Target whose bytes are the journal
	Drop    []Ref    `toml:"drop,omitempty" json:"drop,omitempty"` // partitions that the operator agreed to leave behind
	Notes   []string `toml:"notes" json:"notes"`                   // what New warned of, for people
	Moves   []Move   `toml:"move" json:"moves"`
	// Overlays are the source volumes that are read through snapshots in memory.
	Overlays []Overlay `toml:"overlay,omitempty" json:"overlays,omitempty"`
	Source   Graph     `toml:"source" json:"source"`
	Target   Graph     `toml:"target" json:"target"`
	Final    Graph     `toml:"final" json:"final"`
}

// Policy is what the administrator may edit without a new plan.
type Policy struct {
	OnFailure    string `toml:"on_failure" comment:"reboot, shell or poweroff" json:"on_failure"`
	Panic        int    `toml:"panic" comment:"seconds until a kernel panic becomes a reboot" json:"panic"`
	ReadError    string `toml:"read_error" comment:"stop, or skip-and-list" json:"read_error"`
	DeadlineSecs int    `toml:"deadline" comment:"seconds to wait for the planned disks" json:"deadline"`
	Attempts     int    `toml:"attempts" comment:"how often the migration is started in a row when the power fails in it, before the old system boots" json:"attempts"`
}

// Host is the machine that the plan is for.
type Host struct {
	ID       string `toml:"id,omitempty" json:"id,omitempty"`
	Product  string `toml:"product,omitempty" json:"product,omitempty"`
	Hostname string `toml:"hostname" json:"hostname"`
	Firmware string `toml:"firmware" json:"firmware"`
	Family   string `toml:"family" json:"family"`
	Initrd   string `toml:"initrd" json:"initrd"`
}

// Engines.
const (
	EngineTree   = "tree"   // file by file
	EngineExtent = "extent" // by used blocks
	EngineMake   = "make"   // made again, with nothing copied: swap
)

// Move says what becomes of a filesystem or swap area of Source: a node of Target takes its place.
type Move struct {
	From Ref `toml:"from" json:"from"`
	// Path is the directory of From, from its top, whose contents become this one's: "/boot"; "" for all of it. What another move
	// with a longer Path takes is left out, but for the directory itself, on which that one's target is mounted.
	Path   string `toml:"path,omitempty" json:"path,omitempty"`
	To     Ref    `toml:"to" json:"to"`
	Engine string `toml:"engine" json:"engine"`
	Why    string `toml:"why,omitempty" json:"why,omitempty"`
}

// Copies lists the moves that copy something.
func (p *Plan) Copies() []Move {
	var out []Move
	for _, m := range p.Moves {
		if m.Engine != EngineMake {
			out = append(out, m)
		}
	}
	return out
}

// taken is where the system has what a move takes.
func (p *Plan) taken(m Move) string {
	s := p.Source.Node(m.From)
	if s == nil || s.FS == nil {
		return ""
	}
	return path.Join(s.FS.Mount, m.Path)
}

// Hollow lists the directories, relative to a move's Path, whose contents other moves take.
func (p *Plan) Hollow(m Move) []string {
	var out []string
	for _, x := range p.Moves {
		if rest, below := strings.CutPrefix(x.Path, m.Path+"/"); below && x.From.Is(m.From) {
			out = append(out, rest)
		}
	}
	return out
}

// MoveTo returns the move that fills a node of Target, or nil.
func (p *Plan) MoveTo(r Ref) *Move {
	for i := range p.Moves {
		if p.Moves[i].To.Is(r) {
			return &p.Moves[i]
		}
	}
	return nil
}

// MoveFrom returns the move that takes a node of Source, without the parts of it that have moves of their own, or nil.
func (p *Plan) MoveFrom(r Ref) *Move {
	for i := range p.Moves {
		if p.Moves[i].From.Is(r) && p.Moves[i].Path == "" {
			return &p.Moves[i]
		}
	}
	return nil
}

// Node finds a node of the plan. What stands in several of its graphs is the same thing, found in the same way.
func (p *Plan) Node(r Ref) *Node {
	for _, g := range []Graph{p.Target, p.Source, p.Final} {
		if n := g.Node(r); n != nil {
			return n
		}
	}
	return nil
}

// Disks lists all disks of the plan, sources first.
func (p *Plan) Disks() []*Node {
	out := p.Source.Disks()
	for _, n := range p.Target.Disks() {
		if p.Source.Node(n.Ref) == nil {
			out = append(out, n)
		}
	}
	return out
}

// NewDisks lists the disks of Target that Source does not have: those the migration writes before finish.
func (p *Plan) NewDisks() []*Node {
	var out []*Node
	for _, n := range p.Target.Disks() {
		if p.Source.Node(n.Ref) == nil {
			out = append(out, n)
		}
	}
	return out
}

// LaterDisks lists the disks that get a new partition table at finish.
func (p *Plan) LaterDisks() []*Node {
	var out []*Node
	for _, n := range Diff(p.Target, p.Final).New {
		if n.Disk != nil {
			out = append(out, n)
		}
	}
	return out
}

// Booting is how the migration is started, committed and booted afterwards.
type Booting struct {
	Loader     string   `toml:"loader"` // the row of pkg/loader
	OneShotWhy string   `toml:"one_shot_why"`
	Volume     Ref      `toml:"commit_volume"` // the volume whose file is the commit
	Mount      string   `toml:"commit_mount"`  // where that volume is mounted in the new system
	Root       string   `toml:"root"`          // UUID of the new filesystem mounted at /
	Kernel     string   `toml:"kernel"`        // path in the old system
	Release    string   `toml:"release"`       // of that kernel
	Params     []string `toml:"params"`        // of the running kernel's command line, kept for the migration: consoles, and what the hardware needs
	BootFS     string   `toml:"boot_fs"`       // UUID of the old filesystem that holds kernel and image
	// Block is the new partition whose environment block says whether the migration is started at the next boot, and BlockFS the
	// UUID of the filesystem in it. Without one, a power cut during the migration boots the old system.
	Block   Ref               `toml:"block,omitempty"`
	BlockFS string            `toml:"block_fs,omitempty"`
	Own     map[string]string `toml:"own"` // settings of the boot loader alone, which only its row reads
}

// BootFSType is the type of the new filesystem that the boot loader reads.
func (p *Plan) BootFSType() FSType {
	for _, n := range p.Target.Above(p.Boot.Volume) {
		if n.FS != nil {
			return FSTypeOf(n.FS.Type)
		}
	}
	return FSType{}
}

// OldBootFSType is the type of the old filesystem that holds kernel and image.
func (p *Plan) OldBootFSType() FSType {
	if s := p.Source.Node(Ref("fs:" + p.Boot.BootFS)); s != nil {
		return FSTypeOf(s.FS.Type)
	}
	return FSType{}
}
