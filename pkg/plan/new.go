package plan

import (
	"fmt"
	"io"
	"path"
	"sort"
	"strings"
	"time"
)

// Intent is what the administrator asked for.
type Intent struct {
	To       string   // "raid1"
	Disks    []string // target disks: nodes, or links that the caller resolved
	Wipe     []string // target disks whose known signatures may be destroyed
	Leave    []string // partitions of the source disk that are not to be moved
	Engine   string   // "", "tree" or "extent"
	Metadata string   // md metadata version; "" is 1.2
	Policy   Policy   // zero fields get defaults
	Now      time.Time
	Rand     io.Reader
}

const (
	mib = int64(1) << 20

	sizeBIOSGrub = 1 * mib
	sizeJournal  = 4 * mib

	// endGap keeps the last partition off the disk's end: room for the backup table, and a 0.90 or 1.0 superblock of
	// the partition can never be taken for one of the whole disk.
	endGap = 2 * mib
)

// layouts is the table of what New can plan.
func layouts() map[string]func(*builder) {
	return map[string]func(*builder){"raid1": (*builder).raid1}
}

// builder holds what New has found out so far.
type builder struct {
	in  Intent
	f   *Facts
	p   *Plan
	ids maker
	answers
	root *Device // the device mounted at /
	disk *Device // its disk
	srcs []source
}

type source struct {
	part   *Device
	fs     *SourceFS // nil for a swap
	swap   *SwapOld
	use    *Content
	needed int64
}

// New makes a plan, or a RefusedError that names every fact in the way. It reads nothing but its arguments.
func New(in Intent, f *Facts) (*Plan, Findings, error) {
	b := &builder{in: in, f: f, ids: maker{r: in.Rand}, p: &Plan{Version: Version, Created: in.Now.UTC().Truncate(time.Second), To: in.To, Strategy: "offline"}}
	b.id = "plan.layout"
	lay, ok := layouts()[in.To]
	if !ok {
		b.refuse("layout "+in.To, "the layouts are: raid1", "not known")
		return nil, b.out, b.out.Err()
	}
	b.p.ID = b.ids.uuid()
	b.p.Stages = StagesOf(b.p.Strategy)
	b.p.Policy = in.Policy.withDefaults()
	b.p.Machine = Host{f.Machine.ID, f.Machine.Product, f.Machine.Hostname, f.Firmware, f.Distro.Family, f.Distro.Initrd}
	if err := b.p.Policy.check(); err != nil {
		return nil, nil, err
	}
	b.findSource()
	if b.out.Err() == nil {
		lay(b)
	}
	if b.out.Err() == nil {
		b.booting()
	}
	if b.ids.err != nil {
		return nil, b.out, b.ids.err
	}
	if err := b.out.Err(); err != nil {
		return nil, b.out, err
	}
	checks := Check(b.p, f, Planning)
	b.out = append(b.out, checks...)
	return b.p, b.out, checks.Err()
}

// StagesOf composes a strategy's stages. Another strategy is another composition of the same stages (design 8).
func StagesOf(strategy string) []string {
	return map[string][]string{
		"offline": {"check", "assemble", "prepare", "copy", "verify", "rewrite", "rebuild", "prove", "commit", "handover"},
	}[strategy]
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
	return p
}

// findSource finds the disk under / and everything on it that fstab mounts.
func (b *builder) findSource() {
	b.id = "plan.source"
	for _, m := range b.f.Mounts {
		if m.Target == "/" {
			b.root = b.f.Dev(m.Device)
		}
	}
	if b.root == nil {
		b.refuse("root filesystem", "run migrate-init on the installed system itself", "no block device is mounted at /")
		return
	}
	b.disk = b.f.DiskOf(b.root.Name)
	if b.root.Kind != KindPart || b.disk == nil || b.disk.Table == nil {
		b.refuse("root filesystem "+b.root.Path, "this version moves a root that lies on a partition of one disk", "it is of kind %s, not a partition", b.root.Kind)
		return
	}
	left := map[string]bool{}
	for _, l := range b.in.Leave {
		left[strings.TrimPrefix(l, "/dev/")] = true
	}
	for _, p := range b.f.Parts(b.disk.Name) {
		b.addPart(p, left[p.Name])
	}
	b.p.Source.Disks = []DiskID{diskID(b.disk, "old1", b.disk.Table.ID)}
	sort.SliceStable(b.p.Source.Filesystems, func(i, j int) bool {
		return b.p.Source.Filesystems[i].Mount < b.p.Source.Filesystems[j].Mount
	})
}

func (b *builder) addPart(p *Device, leave bool) {
	var role string
	for _, t := range b.disk.Table.Partitions {
		if t.Number == p.Number {
			role = t.Role
		}
	}
	var tab *Fstab
	for i := range b.f.Fstab {
		e := &b.f.Fstab[i]
		if e.Device == p.Name && !strings.Contains(","+e.Options+",", ",bind,") {
			tab = e
			break
		}
	}
	fs, swap := p.Filesystem(), p.Swap()
	switch {
	case role == RoleBIOSGrub || role == RoleESP && b.f.Firmware != "efi":
	case leave:
		b.p.Source.Left = append(b.p.Source.Left, p.GUID)
	case swap != nil && (tab != nil || p.Swapping):
		old := &SwapOld{UUID: swap.UUID, On: Ref("part:" + p.GUID), Device: p.Path}
		if tab != nil {
			old.Spec = tab.Spec
		}
		b.srcs = append(b.srcs, source{part: p, swap: old, use: swap, needed: p.Size})
		b.p.Source.Swaps = append(b.p.Source.Swaps, *old)
	case fs != nil && tab != nil && path.IsAbs(tab.Target):
		s := &SourceFS{UUID: fs.UUID, Type: fs.Type, Label: fs.Label, On: Ref("part:" + p.GUID), Spec: tab.Spec,
			Mount: path.Clean(tab.Target), Used: fs.Used, Device: p.Path, Options: tab.Options}
		need := fs.Used + fs.Used/10 + 64*mib
		b.srcs = append(b.srcs, source{part: p, fs: s, use: fs, needed: need})
		b.p.Source.Filesystems = append(b.p.Source.Filesystems, *s)
	case len(p.Contents) > 0:
		c := p.Contents[0]
		b.refuse("partition "+p.Path, fmt.Sprintf("mount it by fstab so that it is moved, or say --leave %s and lose it at finish", p.Path),
			"it carries %s %s %q that no fstab line mounts, so it would not be copied", c.Kind, c.Type, c.Label)
	}
	if p.Name == b.root.Name && (fs == nil || tab == nil) {
		b.refuse("root filesystem "+p.Path, "add its line to /etc/fstab", "fstab has no line for it")
	}
}

func diskID(d *Device, key, table string) DiskID {
	id := DiskID{Key: key, Serial: d.Serial, WWN: d.WWN, Size: d.Size, Sector: d.Sector, Table: table, ByID: d.ByID, Was: d.Path}
	if id.Serial == "" && id.WWN == "" {
		id.Bus = d.Bus
	}
	return id
}
