package plan

import (
	"io"
	"time"
)

// Intent is what the administrator asked for.
type Intent struct {
	To       string   // "raid1"
	Old      string   // what becomes of the source disks at finish: OldJoin, OldKeep, "" for what the layout does
	Disks    []string // target disks: nodes, or links that the caller resolved
	Wipe     []string // target disks whose known signatures may be destroyed
	Leave    []string // partitions of the source disk that are not to be moved
	Keys     []string // DEVICE=FILE: the key file that opens an encrypted container of the source
	Engine   string   // "", "tree" or "extent"
	Metadata string   // md metadata version; "" is 1.2
	Policy   Policy   // zero fields get defaults
	Now      time.Time
	Rand     io.Reader

	Types          map[string]string // the type of the new filesystem, by mount point, where it changes
	LeaveSnapshots bool              // agrees that snapshots which fstab does not mount are left behind
}

const (
	mib = int64(1) << 20

	sizeJournal = 4 * mib

	// endGap keeps the last partition off the disk's end: room for the backup table, and a 0.90 or 1.0 superblock of
	// the partition can never be taken for one of the whole disk.
	endGap = 2 * mib
)

// builder holds what New has found out so far.
type builder struct {
	in  Intent
	f   *Facts
	p   *Plan
	ids maker
	answers
	root  *Device   // the device mounted at /
	disks []*Device // the source disks, in natural order: everything on them is moved, left behind or given up
	srcs  []source

	members []member
	proto   MD // what all planned arrays have in common
}

// source is a filesystem or swap area that a new volume takes the place of.
type source struct {
	node   Node
	vol    *Device // what carries it: a partition, an array, an LV, an opened LUKS device, a whole disk
	use    *Content
	needed int64
}

// New makes a plan, or a RefusedError with what is in the way, as far as it can be seen: what depends on a layout is
// only asked once there is one. The findings hold the warnings too. New reads nothing but its arguments, and the same
// Rand and Now give the same plan.
func New(in Intent, f *Facts) (*Plan, Findings, error) {
	b := &builder{in: in, f: f, ids: maker{r: in.Rand}, p: &Plan{Version: Version, Created: in.Now.UTC().Truncate(time.Second), To: in.To, Strategy: strategyOffline}}
	b.id = "plan.layout"
	lay, ok := layoutOf(in.To)
	if !ok {
		b.refuse("layout "+in.To, "use "+Layouts(), "unknown")
		return nil, b.out, b.out.Err()
	}
	b.p.ID = b.ids.uuid()
	var err error
	if b.p.Phases, err = PhasesOf(b.p.Strategy); err != nil {
		return nil, nil, err
	}
	b.p.Policy = in.Policy.withDefaults()
	b.p.Machine = Host{f.Machine.ID, f.Machine.Product, f.Machine.Hostname, f.Firmware, f.Distro.Family, f.Distro.Initrd}
	if err := b.p.Policy.check(); err != nil {
		return nil, nil, err
	}
	b.findSource()
	if b.out.Err() == nil {
		b.retypes()
	}
	b.overlays()
	if b.out.Err() == nil {
		b.arrays(lay)
	}
	if b.out.Err() == nil {
		b.booting()
	}
	if b.out.Err() == nil {
		b.texts()
	}
	if b.ids.err != nil {
		return nil, b.out, b.ids.err
	}
	if err := b.out.Err(); err != nil {
		return nil, b.out, err
	}
	for _, x := range b.out {
		b.p.Notes = append(b.p.Notes, x.String())
	}
	b.out = append(b.out, Check(b.p, f, Planning)...)
	if err := b.out.Err(); err != nil {
		return nil, b.out, err
	}
	return b.p, b.out, nil
}

func (p Policy) withDefaults() Policy {
	if p.OnFailure == "" {
		p.OnFailure = "reboot"
	}
	if p.ReadError == "" {
		p.ReadError = "stop"
	}
	if p.Panic == 0 {
		p.Panic = 30
	}
	if p.DeadlineSecs == 0 {
		p.DeadlineSecs = 120
	}
	if p.Attempts == 0 {
		p.Attempts = 3
	}
	return p
}
