package extent

import "fmt"

// A Command is for the caller to run, in order.
type Command struct {
	Argv []string
	OK   []int // exit statuses of success: e2fsck returns 1 when it repaired something
}

// Check returns the command that checks the unmounted filesystem on dev without writing to it.
func (a *Allocation) Check(dev string) Command {
	if a.Type == "xfs" {
		return Command{[]string{"xfs_repair", "-n", dev}, []int{0}}
	}
	return Command{[]string{"e2fsck", "-fn", dev}, []int{0}}
}

// Name returns the command that gives the unmounted copy on dev a label. xfs_admin says 0 also when xfs_db refused.
func (a *Allocation) Name(dev, label string) Command {
	if a.Type == "xfs" {
		return Command{[]string{"xfs_admin", "-L", label, dev}, []int{0}}
	}
	return Command{[]string{"tune2fs", "-L", label, dev}, []int{0}}
}

// GrowsMounted reports whether a filesystem of a type is mounted to be grown.
func GrowsMounted(typ string) bool { return typ == "xfs" }

// Grow returns the commands that grow the copy on dev to the size of dev. ext
// is grown unmounted and dir is not used; xfs is grown while mounted on dir.
// resize2fs does not grow bigalloc but by force, which it calls a risk: the
// error then wraps [ErrUnsupported].
func (a *Allocation) Grow(dev, dir string) ([]Command, error) {
	if a.Type == "xfs" {
		return []Command{{[]string{"xfs_growfs", "-d", dir}, []int{0}}}, nil
	}
	if a.has("bigalloc") {
		return nil, fmt.Errorf("%s %s: resize2fs does not grow feature bigalloc: %w", a.Type, a.UUID, ErrUnsupported)
	}
	return []Command{
		repair(dev), // resize2fs grows only a filesystem that was just checked
		{[]string{"resize2fs", dev}, []int{0}},
	}, nil
}

// repairOrphans: tune2fs 1.47.0 rewrites every checksum but those of the orphan file, and the kernel does not mount what it
// leaves. The file is empty in what Read takes, and e2fsck makes an empty one.
func (a *Allocation) repairOrphans(dev string) []Command {
	if !a.has("orphan_file") {
		return nil
	}
	return []Command{repair(dev)}
}

func repair(dev string) Command {
	return Command{[]string{"e2fsck", "-f", "-p", dev}, []int{0, 1}}
}
