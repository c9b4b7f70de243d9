package extent

import (
	"fmt"
	"slices"
)

// A Command is to be run by somebody else, in order.
type Command struct {
	Argv []string
	Why  string
	// OK are the exit statuses of success: e2fsck says 1 when it mended something.
	OK []int
}

// Check returns the command that checks the unmounted filesystem on dev without writing to it.
func (a *Allocation) Check(dev string) Command {
	if a.Type == "xfs" {
		return Command{[]string{"xfs_repair", "-n", dev}, "check the copy, read-only", []int{0}}
	}
	return Command{[]string{"e2fsck", "-fn", dev}, "check the copy, read-only", []int{0}}
}

// NewUUID returns the commands that give the unmounted copy on dev the UUID
// uuid. They must come before the copy is first mounted and after [Verify].
//
// For xfs of version 5 that is a change of the superblocks alone (feature
// metauuid), as for ext with metadata_csum_seed. For ext with metadata_csum
// and without that feature the UUID seeds every checksum: tune2fs rewrites all
// metadata and insists on a filesystem whose last check is not older than its
// last mount, so it comes after an e2fsck (which mends a mount time in the
// future, where the clock is behind the source's).
//
// xfs_admin is a shell script around xfs_db, and says 0 also when xfs_db
// refused: read the filesystem again and compare the UUID.
//
// A filesystem with stable_inodes cannot change its UUID: encrypted files
// would be lost with it. The error then wraps [ErrUnsupported].
func (a *Allocation) NewUUID(dev, uuid string) ([]Command, error) {
	if a.Type == "xfs" {
		return []Command{{[]string{"xfs_admin", "-U", uuid, dev}, "new uuid: two xfs with one uuid cannot be mounted together", []int{0}}}, nil
	}
	if a.Has("stable_inodes") {
		return nil, fmt.Errorf("%s %s: feature stable_inodes binds encrypted files to the uuid: %w", a.Type, a.UUID, ErrUnsupported)
	}
	tune := Command{[]string{"tune2fs", "-U", uuid, dev}, "new uuid", []int{0}}
	switch {
	case a.Has("metadata_csum_seed"):
		tune.Why += "; checksums keep their seed (metadata_csum_seed)"
		return []Command{tune}, nil
	case a.Has("metadata_csum"):
		tune.Why += "; it seeds the checksums, so all metadata is rewritten"
		return append([]Command{a.fsck(dev, "tune2fs rewrites checksums only of a filesystem just checked"), tune}, a.mendOrphans(dev)...), nil
	}
	return []Command{tune}, nil
}

// Name returns the command that gives the unmounted copy on dev a label. xfs_admin says 0 also when xfs_db refused.
func (a *Allocation) Name(dev, label string) Command {
	if a.Type == "xfs" {
		return Command{[]string{"xfs_admin", "-L", label, dev}, "label", []int{0}}
	}
	return Command{[]string{"tune2fs", "-L", label, dev}, "label", []int{0}}
}

// Grow returns the commands that grow the copy on dev to the size of dev. ext
// is grown unmounted and dir is not used; xfs is grown while mounted on dir.
// resize2fs does not grow bigalloc but by force, which it calls a risk: the
// error then wraps [ErrUnsupported].
func (a *Allocation) Grow(dev, dir string) ([]Command, error) {
	if a.Type == "xfs" {
		return []Command{{[]string{"xfs_growfs", "-d", dir}, "grow to the device, mounted", []int{0}}}, nil
	}
	if a.Has("bigalloc") {
		return nil, fmt.Errorf("%s %s: resize2fs does not grow feature bigalloc: %w", a.Type, a.UUID, ErrUnsupported)
	}
	return []Command{
		a.fsck(dev, "resize2fs grows only a filesystem just checked"),
		{[]string{"resize2fs", dev}, "grow to the device", []int{0}},
	}, nil
}

// mendOrphans: tune2fs 1.47.0 rewrites every checksum but those of the orphan file, and the kernel does not mount what it
// leaves. The file is empty in what Read takes, and e2fsck makes an empty one.
func (a *Allocation) mendOrphans(dev string) []Command {
	if !a.Has("orphan_file") {
		return nil
	}
	return []Command{a.fsck(dev, "tune2fs leaves the orphan file with checksums of the old uuid")}
}

func (a *Allocation) fsck(dev, why string) Command {
	return Command{[]string{"e2fsck", "-f", "-p", dev}, why, []int{0, 1}}
}

// Succeeded reports whether an exit status means success.
func (c Command) Succeeded(status int) bool { return slices.Contains(c.OK, status) }
