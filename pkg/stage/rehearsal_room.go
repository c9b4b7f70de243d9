package stage

import (
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"migrate-init/pkg/plan"
)

// A generator unpacks what it packs. Seen with MODULES=most and zstd: 3 to 4 times the packed initrd.
const unpackedTimes = 5

// rehearsalSlack is for settings, caches and what hooks write.
const rehearsalSlack = 64 << 20

// rehearsalSize is how much memory an overlay may fill. Every initrd a second time, and the largest one unpacked, have to be available, with as
// much again as the slack left over for the machine. Where half of what is available is more, it is that: initrds with MODULES=most can be
// several times those that are there. A hook that fills it fails alone.
func rehearsalSize(root fs.FS, f *plan.Facts) (int64, error) {
	need := rehearsalNeed(root, f)
	b, err := fs.ReadFile(root, "proc/meminfo")
	if err != nil {
		return 0, fmt.Errorf("memory: %w", err)
	}
	have := meminfo(string(b), "MemAvailable") + meminfo(string(b), "SwapFree")
	if have < need+rehearsalSlack {
		return 0, fmt.Errorf("memory: the rehearsal of the migration needs %d MiB, and %d MiB are available; name a directory on a filesystem that is not moved by --rehearse-in, add swap, or use --skip-rehearsal", (need+rehearsalSlack)>>20, have>>20)
	}
	return max(need, have/2), nil
}

func rehearsalNeed(root fs.FS, f *plan.Facts) int64 {
	all, largest := initrdSizes(root, f)
	return 2*all + unpackedTimes*largest + rehearsalSlack
}

// RoomAbove refuses a directory into which a rehearsal cannot write: an overlay cannot lie inside of what it is laid over.
func RoomAbove(root fs.FS, p *plan.Plan, f *plan.Facts, dir string) error {
	d, at := f.Holder(dir)
	if d != nil {
		for _, n := range p.Source.Filesystems() {
			if c := d.Filesystem(); c != nil && strings.EqualFold(c.UUID, n.Ref.ID()) {
				return fmt.Errorf("directory %s: it is on the filesystem at %s, which is moved; name one on another filesystem by --rehearse-in", dir, at)
			}
		}
	}
	need := rehearsalNeed(root, f)
	for i := len(f.Mounts) - 1; i >= 0; i-- {
		if m := f.Mounts[i]; m.Target == at {
			if m.Device != "" && m.Free < need {
				return fmt.Errorf("directory %s: %d MiB are free there, and the rehearsal of the migration needs %d; free space, or use --skip-rehearsal", dir, m.Free>>20, need>>20)
			}
			break
		}
	}
	return nil
}

// initrdSizes are those of the initrds that are installed, all together and the largest.
func initrdSizes(root fs.FS, f *plan.Facts) (all, largest int64) {
	for _, k := range f.Boot.Kernels {
		if k.Initrd == "" {
			continue
		}
		if st, err := fs.Stat(root, strings.TrimPrefix(path.Clean(k.Initrd), "/")); err == nil {
			all += st.Size()
			largest = max(largest, st.Size())
		}
	}
	return all, largest
}

// meminfo reads a line of /proc/meminfo, in bytes; 0 for one that is not there.
func meminfo(text, key string) int64 {
	for line := range strings.Lines(text) {
		w := strings.Fields(line)
		if len(w) >= 2 && w[0] == key+":" {
			n, err := strconv.ParseInt(w[1], 10, 64)
			if err != nil {
				return 0
			}
			return n << 10
		}
	}
	return 0
}

// keptSlack is for the record, and for what the filesystem keeps of its own.
const keptSlack = 4 << 20

// RoomToKeep refuses where what a rehearsal makes does not fit: into the old system until the reboot, beside boot further bytes of schedule's
// own in the boot loader's directory; and, once made is known, into the new one, where an initrd replaces another while both are there. The
// new filesystems are at least as large as the old ones, so the old one's room is what there will be. Before a rehearsal the initrds that are
// installed tell, and made is nil.
func RoomToKeep(root fs.FS, f *plan.Facts, made *Kept, boot int64) error {
	need := map[string]int64{}
	_, kernels := f.Holder(f.Boot.Dir)
	_, state := f.Holder(StateDir)
	all, _ := initrdSizes(root, f)
	if made == nil {
		need[state] = all
	} else {
		need[state] = made.Size()
		size, largest := int64(0), int64(0)
		for _, x := range made.record.Parts[0].Files {
			size, largest = size+x.Size, max(largest, x.Size)
		}
		// schedule's own files are not there while the new system's are made.
		need[kernels] += max(boot, largest+max(0, size-all)) - boot
	}
	need[kernels] += boot
	for i := len(f.Mounts) - 1; i >= 0; i-- {
		m := f.Mounts[i]
		n, asked := need[m.Target]
		if !asked {
			continue
		}
		delete(need, m.Target) // what was mounted there last is what is seen
		if m.Free < n+keptSlack {
			return fmt.Errorf("filesystem at %s: %d bytes are free, and the initrds that are made before the reboot, with kernel and image, need %d; free space there, or use --skip-rehearsal", m.Target, m.Free, n+keptSlack)
		}
	}
	return nil
}
