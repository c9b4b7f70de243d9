package mdguest

import (
	"bytes"
	"context"
	"fmt"
	"hash/maphash"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/md"

	"golang.org/x/sys/unix"
)

const node = "md5" // the array under test; mdadm's own assembly is under md6

// disk is one of the guest's blank disks.
type disk struct {
	path string
	size int64
	dev  md.Dev
}

// guest is the machine of one test: its disks, and a hand that changes things.
type guest struct {
	*testing.T
	real  *machine.Real
	disks map[string]disk // by serial
}

// enter skips outside the lab's guest.
func enter(t *testing.T) *guest {
	t.Helper()
	if os.Getenv("MIGRATE_INIT_MDGUEST") == "" {
		t.Skip("SKIPPED: runs inside the lab's guest; TestMd of package qemutests starts it there")
	}
	g := &guest{T: t, real: &machine.Real{}, disks: map[string]disk{}}
	serials, err := filepath.Glob("/sys/block/vd*/serial")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range serials {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(filepath.Dir(f))
		if s := strings.TrimSpace(string(b)); strings.HasPrefix(s, "md") || strings.HasPrefix(s, "big") {
			d := disk{path: "/dev/" + name}
			r, err := machine.OpenDevice(d.path)
			if err != nil {
				t.Fatal(err)
			}
			d.size = r.Size()
			r.Close()
			num, err := os.ReadFile("/sys/block/" + name + "/dev")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := fmt.Sscanf(string(num), "%d:%d", &d.dev.Major, &d.dev.Minor); err != nil {
				t.Fatal(err)
			}
			g.disks[s] = d
		}
	}
	if len(g.disks) < 7 {
		t.Fatalf("disks with the serials md0 to md4, big0, big1: only %v are here", g.disks)
	}
	g.set("/proc/sys/dev/raid/speed_limit_min", "1000000")
	g.set("/proc/sys/dev/raid/speed_limit_max", "2000000")
	g.flags(false, false)
	return g
}

// with is g for a subtest.
func (g *guest) with(t *testing.T) *guest {
	c := *g
	c.T = t
	return &c
}

func (g *guest) try(e machine.Effect) error {
	_, err := g.real.Do(context.Background(), e)
	return err
}

func (g *guest) do(e machine.Effect) {
	g.Helper()
	if err := g.try(e); err != nil {
		g.Fatalf("%s: %v\nkernel: %s", e, err, g.kernel())
	}
}

func (g *guest) set(path, value string) {
	g.Helper()
	g.do(machine.WriteSys{Path: path, Value: value})
}

func (g *guest) sysfs(w md.SysfsWrite) {
	g.Helper()
	g.set("/sys/"+w.Path, w.Value)
}

func (g *guest) flags(startRO, dirtyDegraded bool) {
	g.Helper()
	g.sysfs(md.StartReadOnly(startRO))
	g.sysfs(md.StartDirtyDegraded(dirtyDegraded))
}

func (g *guest) ioctl(c md.Ioctl) error {
	return g.try(machine.Ioctl{Dev: "/dev/" + node, Name: c.Name, Req: c.Req, Arg: c.Arg, Value: c.Value})
}

// run runs a program; its output and whether it succeeded.
func (g *guest) run(argv ...string) (string, error) {
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	return string(out), err
}

func (g *guest) must(argv ...string) string {
	g.Helper()
	out, err := g.run(argv...)
	if err != nil {
		g.Fatalf("%s: %v\n%s\nkernel: %s", strings.Join(argv, " "), err, out, g.kernel())
	}
	return out
}

// kernel gives and forgets what the kernel said since the last time.
func (g *guest) kernel() string {
	out, _ := g.run("dmesg", "-c")
	return out
}

// unwelcome is what the kernel must not say of arrays that are as it wants them.
func (g *guest) unwelcome(said, pattern string) {
	g.Helper()
	if m := regexp.MustCompile(`(?i).*(`+pattern+`).*`).FindAllString(said, -1); m != nil {
		g.Errorf("the kernel complains:\n%s", strings.Join(m, "\n"))
	}
}

const complaints = `out of date|forcing full|bitmap.*(error|fail|invalid)|has different UUID|invalid superblock|invalid raid|kicking|cannot|call trace|not in bitmap`

// nodeUp makes the array's node as pkg/stage does.
func (g *guest) nodeUp() {
	g.Helper()
	// A stopped array may be on its way out, or gone: only one with a state can be used again.
	err := machine.WaitUntil(context.Background(), 10*time.Second, nil, func() (bool, error) {
		if _, err := md.ReadSysfs(os.DirFS("/sys"), node); err == nil {
			return true, nil
		}
		w := md.CreateNode(node)
		return g.try(machine.WriteSys{Path: "/sys/" + w.Path, Value: w.Value}) == nil, nil
	})
	if err != nil {
		g.Fatalf("array %s cannot be made: %v", node, err)
	}
	err = machine.WaitUntil(context.Background(), 10*time.Second, nil, func() (bool, error) {
		_, err := os.Stat("/dev/" + node)
		return err == nil, nil
	})
	if err != nil {
		g.Fatalf("/dev/%s does not appear: %v", node, err)
	}
}

// assemble starts an array from members, by ioctls or sysfs. A failed one is stopped.
func (g *guest) assemble(v md.Version, viaSysfs bool, members ...disk) error {
	g.Helper()
	g.nodeUp()
	var devs []md.Dev
	for _, m := range members {
		devs = append(devs, m.dev)
	}
	var effects []machine.Effect
	if viaSysfs {
		ws, err := md.AssembleSysfs(node, v, devs, false)
		if err != nil {
			g.Fatal(err)
		}
		for _, w := range ws {
			effects = append(effects, machine.WriteSys{Path: "/sys/" + w.Path, Value: w.Value})
		}
	} else {
		calls, err := md.AssembleIoctls(v, devs)
		if err != nil {
			g.Fatal(err)
		}
		for _, c := range calls {
			effects = append(effects, machine.Ioctl{Dev: "/dev/" + node, Name: c.Name, Req: c.Req, Arg: c.Arg, Value: c.Value})
		}
	}
	for _, e := range effects {
		if err := g.try(e); err != nil {
			return fmt.Errorf("%s: %w", e, err)
		}
	}
	return nil
}

func (g *guest) start(v md.Version, viaSysfs bool, members ...disk) {
	g.Helper()
	if err := g.assemble(v, viaSysfs, members...); err != nil {
		g.Fatalf("%v\nkernel: %s", err, g.kernel())
	}
}

// stop stops the array; by sysfs, or by ioctl.
func (g *guest) stop(viaSysfs bool) {
	g.Helper()
	var err error
	if viaSysfs {
		w := md.StopSysfs(node)
		err = g.try(machine.WriteSys{Path: "/sys/" + w.Path, Value: w.Value})
	} else {
		err = g.ioctl(md.StopArray())
	}
	if err != nil {
		g.Fatalf("stop %s: %v\n%s", node, err, g.must("cat", "/proc/mdstat"))
	}
}

// tidy stops whatever a failed test left running.
func (g *guest) tidy() {
	g.Cleanup(func() {
		dirs, _ := filepath.Glob("/sys/block/md*/md")
		for _, dir := range dirs {
			n := filepath.Base(filepath.Dir(dir))
			if st, err := md.ReadSysfs(os.DirFS("/sys"), n); err == nil && st.State != "clear" {
				_, _ = g.run("mdadm", "--stop", "/dev/"+n)
			}
		}
		g.flags(false, false)
		g.kernel()
	})
}

func (g *guest) status(name string) md.Status {
	g.Helper()
	st, err := md.ReadSysfs(os.DirFS("/sys"), name)
	if err != nil {
		g.Fatal(err)
	}
	return st
}

// settle waits until the array is as want says, and returns all it saw on the way.
func (g *guest) settle(name string, want func(md.Status) bool) []md.Status {
	g.Helper()
	var seen []md.Status
	for deadline := time.Now().Add(90 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		st := g.status(name)
		seen = append(seen, st)
		if want(st) {
			return seen
		}
		if time.Now().After(deadline) {
			g.Fatalf("array %s does not settle: %+v\n%s\nkernel: %s", name, st, g.must("cat", "/proc/mdstat"), g.kernel())
		}
	}
}

func idle(st md.Status) bool { return st.Running() && st.Clean && !st.Sync.Active }

func (g *guest) write(path, why string, ws ...md.Write) {
	g.Helper()
	e := machine.WriteDevice{Dev: path, Why: why}
	for _, w := range ws {
		e.Chunks = append(e.Chunks, machine.Chunk{Offset: w.Offset, Data: w.Data})
	}
	g.do(e)
}

// uncache forgets what the kernel keeps of a device's contents.
func (g *guest) uncache(path string) {
	g.Helper()
	g.do(machine.Ioctl{Dev: path, Name: "BLKFLSBUF", Req: unix.BLKFLSBUF})
}

// open opens a device so that reads come from the disk: the kernel writes superblocks past the page cache.
func (g *guest) open(path string) *machine.Device {
	g.Helper()
	g.uncache(path)
	r, err := machine.OpenDevice(path)
	if err != nil {
		g.Fatal(err)
	}
	return r
}

// blank removes superblocks by our own Wipe.
func (g *guest) blank(ds ...disk) {
	g.Helper()
	for _, d := range ds {
		r := g.open(d.path)
		ws, err := md.Wipe(r, d.size)
		r.Close()
		if err != nil {
			g.Fatal(err)
		}
		if len(ws) > 0 {
			g.write(d.path, "md superblocks", ws...)
		}
	}
}

// scan wants exactly one superblock on a disk.
func (g *guest) scan(d disk) md.Superblock {
	g.Helper()
	r := g.open(d.path)
	defer r.Close()
	ss, err := md.Scan(r, d.size)
	if err != nil || len(ss) != 1 {
		g.Fatalf("%s: %d superblocks, %v\n%s", d.path, len(ss), err, g.must("mdadm", "--examine", d.path))
	}
	return ss[0]
}

func (g *guest) group(ds ...disk) md.Set {
	g.Helper()
	var ms []md.Member
	for _, d := range ds {
		ms = append(ms, md.Member{Device: d.path, Super: g.scan(d)})
	}
	sets := md.Group(ms)
	if len(sets) != 1 {
		g.Fatalf("%d arrays on %v", len(sets), ds)
	}
	return sets[0]
}

// use translates a decision into disks.
func (g *guest) use(d md.Decision) []disk {
	var out []disk
	for _, m := range d.Use {
		for _, x := range g.disks {
			if x.path == m.Device {
				out = append(out, x)
			}
		}
	}
	return out
}

const stripe = 256 << 10

// places are spread over the whole array, its first and last bytes included.
func places(size int64) []int64 {
	var out []int64
	const n = 12
	for i := int64(0); i < n; i++ {
		out = append(out, (size-stripe)*i/(n-1)/4096*4096)
	}
	return out
}

func pattern(seed, at int64) []byte {
	b := make([]byte, stripe)
	x := uint64(seed)*0x9e3779b97f4a7c15 + uint64(at) + 1
	for i := 0; i < len(b); i += 8 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		for j := range 8 {
			b[i+j] = byte(x >> (8 * j))
		}
	}
	return b
}

// fill writes data that only seed explains.
func (g *guest) fill(name string, seed int64) {
	g.Helper()
	var ws []md.Write
	for _, at := range places(g.status(name).Size) {
		ws = append(ws, md.Write{Offset: at, Data: pattern(seed, at)})
	}
	g.write("/dev/"+name, "data", ws...)
}

// verify reads it back from the members.
func (g *guest) verify(name string, seed int64) {
	g.Helper()
	r := g.open("/dev/" + name)
	defer r.Close()
	if r.Size() != g.status(name).Size || r.Size() == 0 {
		g.Errorf("%s has %d bytes, sysfs says %d", name, r.Size(), g.status(name).Size)
	}
	for _, at := range places(r.Size()) {
		b := make([]byte, stripe)
		if _, err := r.ReadAt(b, at); err != nil {
			g.Fatalf("%s: read at %d: %v", name, at, err)
		}
		if !bytes.Equal(b, pattern(seed, at)) {
			g.Errorf("%s: other data than was written at byte %d", name, at)
		}
	}
}

var seedOfSums = maphash.MakeSeed()

// sums hashes whole members. The hash is fast rather than strong: an accident is looked for, not a forger.
func (g *guest) sums(ds ...disk) []uint64 {
	g.Helper()
	var out []uint64
	for _, d := range ds {
		r := g.open(d.path)
		var h maphash.Hash
		h.SetSeed(seedOfSums)
		n, err := io.Copy(&h, io.NewSectionReader(r, 0, d.size))
		r.Close()
		if err != nil || n != d.size {
			g.Fatalf("%s: hashed %d of %d bytes: %v", d.path, n, d.size, err)
		}
		out = append(out, h.Sum64())
	}
	return out
}

// written counts the sectors written to a disk; an empty flush is none.
func (g *guest) written(d disk) int {
	g.Helper()
	b, err := os.ReadFile("/sys/block/" + filepath.Base(d.path) + "/stat")
	f := strings.Fields(string(b))
	if err != nil || len(f) < 7 {
		g.Fatalf("%s: %q, %v", d.path, b, err)
	}
	n, err := strconv.Atoi(f[6])
	if err != nil {
		g.Fatal(err)
	}
	return n
}

func uuid(b byte) md.UUID {
	var u md.UUID
	for i := range u {
		u[i] = b + byte(i)*11
	}
	return u
}

// shape is one kind of array of the tables.
type shape struct {
	version  md.Version
	level    int
	disks    int
	missing  int
	bitmap   bool
	viaSysfs bool
	number   byte // makes UUIDs and data differ
}

func (s shape) String() string {
	state := "healthy"
	if s.missing > 0 {
		state = fmt.Sprintf("without-%d", s.missing)
	}
	via, bm := "ioctl", "nobitmap"
	if s.viaSysfs {
		via = "sysfs"
	}
	if s.bitmap {
		bm = "bitmap"
	}
	return fmt.Sprintf("%s-raid%d-%s-%s-%s", s.version, s.level, state, bm, via)
}

func full() bool { return os.Getenv("MIGRATE_INIT_MDGUEST") == "full" }

// shapes is 4 versions x levels 1, 5, 6, 10, healthy and degraded. Bitmap and way of assembly alternate so that every
// version and every level has each; with MIGRATE_INIT_MDGUEST=full each occurs with and without a bitmap.
func shapes() []shape {
	var out []shape
	for v, version := range []md.Version{md.V090, md.V10, md.V11, md.V12} {
		for l, level := range []struct{ level, disks, missing int }{{1, 2, 1}, {5, 3, 1}, {6, 4, 2}, {10, 4, 1}} {
			for d, missing := range []int{0, level.missing} {
				for k := range 4 {
					want := (v + l + 2*d + l*d) % 4
					if k != want && !(full() && k == want^1) {
						continue
					}
					out = append(out, shape{version, level.level, level.disks, missing, k&1 == 1, k&2 == 2, byte(len(out) + 1)})
				}
			}
		}
	}
	return out
}

// members are the disks of a shape; absent ones keep their place in the array.
func (g *guest) members(s shape) []disk {
	var out []disk
	for i := range s.disks {
		out = append(out, g.disks[fmt.Sprintf("md%d", i)])
	}
	return out
}

func (s shape) present(all []disk) []disk { return all[:s.disks-s.missing] }

// spec is the array of a shape, as pkg/stage would ask for it.
func (s shape) spec(all []disk) md.Spec {
	spec := md.Spec{Version: s.version, UUID: uuid(s.number), Name: "lab:a" + fmt.Sprint(s.number), Level: s.level, RaidDisks: s.disks,
		Bitmap: s.bitmap, CTime: time.Date(2026, 11, 21, 9, 30, 0, 0, time.UTC)}
	if s.version == md.V090 {
		spec.Name = ""
	}
	for i, d := range all {
		spec.Members = append(spec.Members, md.MemberSpec{Size: d.size, DeviceUUID: uuid(byte(100 + 5*i + int(s.number))),
			Major: d.dev.Major, Minor: d.dev.Minor, Missing: i >= s.disks-s.missing})
	}
	return spec
}

// create writes the array's superblocks.
func (g *guest) create(spec md.Spec, all []disk) []md.MemberImage {
	g.Helper()
	images, err := md.New(spec)
	if err != nil {
		g.Fatal(err)
	}
	for _, im := range images {
		g.write(all[im.Index].path, "md superblock", im.Writes...)
	}
	return images
}
