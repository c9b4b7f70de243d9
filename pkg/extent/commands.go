package extent

import "fmt"

// A Command is a program that the caller must run.
type Command struct {
	Argv []string
	OK   []int // exit codes that mean success: e2fsck returns 1 if it has repaired something
}

// Check returns the command that checks the unmounted filesystem on dev without writing to it.
func (a *Allocation) Check(dev string) Command {
	if a.Type == "xfs" {
		return Command{[]string{"xfs_repair", "-n", dev}, []int{0}}
	}
	return Command{[]string{"e2fsck", "-fn", dev}, []int{0}}
}

// Name returns the command that sets the label of the unmounted copy on dev. For xfs it is what the script xfs_admin runs; it
// exits with 0 even if it failed.
func (a *Allocation) Name(dev, label string) Command {
	if a.Type == "xfs" {
		return Command{[]string{"xfs_db", "-x", "-p", "xfs_admin", "-c", "label " + label, dev}, []int{0}}
	}
	return Command{[]string{"tune2fs", "-L", label, dev}, []int{0}}
}

// GrowsMounted reports whether a filesystem of the given type must be mounted to be grown.
func GrowsMounted(typ string) bool { return typ == "xfs" }

// Grow returns the commands that grow the copy on dev to the size of dev. ext
// is grown unmounted, and dir is not used; xfs is grown while mounted on dir.
// resize2fs grows a filesystem with bigalloc only if forced, which it calls
// risky; the error then wraps [ErrUnsupported].
func (a *Allocation) Grow(dev, dir string) ([]Command, error) {
	if a.Type == "xfs" {
		return []Command{{[]string{"xfs_growfs", "-d", dir}, []int{0}}}, nil
	}
	if a.has("bigalloc") {
		return nil, fmt.Errorf("%s %s: resize2fs does not grow feature bigalloc: %w", a.Type, a.UUID, ErrUnsupported)
	}
	return []Command{
		repair(dev), // resize2fs requires a filesystem that has just been checked
		{[]string{"resize2fs", dev}, []int{0}},
	}, nil
}

// repairOrphans repairs the orphan file after tune2fs. tune2fs 1.47.0 rewrites all checksums except those of the orphan file, and
// the kernel then refuses to mount. Read only accepts an empty orphan file, and e2fsck creates an empty one.
func (a *Allocation) repairOrphans(dev string) []Command {
	if !a.has("orphan_file") {
		return nil
	}
	return []Command{repair(dev)}
}

func repair(dev string) Command {
	return Command{[]string{"e2fsck", "-f", "-p", dev}, []int{0, 1}}
}
