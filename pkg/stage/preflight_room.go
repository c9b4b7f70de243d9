package stage

import (
	"path"

	"migrate-init/cpio"
	"migrate-init/pkg/plan"
)

const (
	roomMiB = int64(1) << 20
	// grows is how much larger an initrd may become: the tools of arrays, drivers, and their firmware.
	grows = 8 * roomMiB
	// packed is how much larger than its initrd a tree is that could not be looked into.
	packed = 4
)

// room asks whether the new initrds fit where they will be made: into the new filesystem that holds kernels, beside the old
// ones, and with all that the generator unpacks and packs into the one that holds its working directory.
func (pr *prover) room() (out plan.Findings) {
	f := pr.asking.Facts
	if f == nil {
		return nil
	}
	list, _ := pr.kernels()
	var more, largest int64
	name := ""
	for _, k := range list {
		st, err := pr.stat(k.initrd)
		if err != nil {
			continue
		}
		more += grows
		if n := st.Size() + grows; n > largest {
			largest, name = n, k.initrd
		}
	}
	if largest == 0 {
		return nil // refused elsewhere
	}
	unpacked := pr.unpacked(name, largest-grows) + grows
	boot, scratch := path.Dir(pr.p.Boot.Kernel), pr.sys.Generator.Scratch
	need := map[*plan.Node]int64{}
	if n := pr.target(boot); n != nil {
		need[n] += more + largest
	}
	if n := pr.target(scratch); n != nil && scratch != "" {
		need[n] += 2 * unpacked // a tree, and the archive of it
	}
	for _, n := range pr.p.Target.Filesystems() {
		free, known := pr.freeAfter(f, n)
		if want := need[n]; known && want > free {
			out = append(out, plan.Refusal("filesystem at "+n.FS.Mount, "free space in it, or make a new plan for a larger disk",
				"once it is copied it has %d MiB free, and the new initrds need %d MiB there while they are made", free/roomMiB, (want+roomMiB-1)/roomMiB))
		}
	}
	if pr.asking.Free != nil && scratch != "" {
		if free := pr.asking.Free(scratch); free >= 0 && free < 2*unpacked {
			out = append(out, plan.Warning("directory "+scratch, "free space there", "%d MiB are free, and a rehearsal needs %d MiB", free/roomMiB, 2*unpacked/roomMiB))
		}
	}
	return out
}

// unpacked is the size of an initrd's files.
func (pr *prover) unpacked(name string, size int64) int64 {
	if pr.asking.When == plan.Planning {
		return size * packed
	}
	f, err := pr.open(name)
	if err != nil {
		return size * packed
	}
	defer f.Close()
	a, err := cpio.Index(f, cpio.IndexOptions{})
	if err != nil {
		return size * packed
	}
	var sum int64
	for _, x := range a.List() {
		if x.IsRegular() {
			sum += (x.Size + 4095) &^ 4095
		}
	}
	return sum
}

// target is the new filesystem that will hold a directory.
func (pr *prover) target(dir string) *plan.Node {
	at, err := throughLinks(pr.root, dir)
	if err != nil {
		return nil
	}
	for d := at; ; d = path.Dir(d) {
		if n := pr.p.Target.MountedAt(d); n != nil || d == "/" {
			return n
		}
	}
}

// freeAfter is what a new filesystem will have free when its source is copied.
func (pr *prover) freeAfter(f *plan.Facts, n *plan.Node) (int64, bool) {
	part := pr.p.Target.PartUnder(n.Ref)
	for _, c := range pr.p.Copies() {
		if c.To != n.Ref {
			continue
		}
		if d, err := f.FS(c.From.ID()); err == nil && d != nil && part != nil && d.Filesystem().Used > 0 {
			return part.Size - 4*roomMiB - d.Filesystem().Used, true
		}
	}
	return 0, false
}
