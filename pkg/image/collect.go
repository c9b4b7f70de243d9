package image

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strings"

	"migrate-init/cpio"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/rootfs"
)

// Collect gathers an image. Its error joins everything that forbids one.
func Collect(in Input) (*Image, error) {
	root, ok := in.Root.(fs.ReadLinkFS)
	if !ok {
		return nil, errors.New("host root: it cannot read symbolic links")
	}
	c := &collector{in: in, host: host{root}}
	c.plan()
	c.skeleton()
	c.self()
	if r := in.Plan.Boot.Release; !fs.ValidPath(r) || strings.Contains(r, "/") || r == "." {
		c.refuse("kernel release %q: not a name; make a new plan", r)
	} else {
		c.kernel()
		c.modules()
	}
	c.tools()
	items, err := merge(c.items)
	if err != nil {
		c.errs = append(c.errs, err)
	}
	if err := errors.Join(c.errs...); err != nil {
		return nil, err
	}
	return &Image{Warnings: c.warnings, items: items, mtime: stamp(in.Plan), method: c.compression()}, nil
}

// stamp is the one time in an image, in the range of a newc field.
func stamp(p *plan.Plan) int64 { return min(max(p.Created.Unix(), 0), math.MaxUint32) }

type collector struct {
	in       Input
	host     host
	items    []item
	warnings []string
	errs     []error
}

func (c *collector) refuse(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf(format, args...))
}

func (c *collector) warn(format string, args ...any) {
	c.warnings = append(c.warnings, fmt.Sprintf(format, args...))
}

func (c *collector) add(it item) { c.items = append(c.items, it) }

func (c *collector) file(p string, perm uint32, data []byte, why string) {
	c.add(item{path: p, mode: cpio.ModeRegular | perm, data: data, why: why})
}

// plan takes the text, and only if it is that of the plan which everything else is made for.
func (c *collector) plan() {
	p, err := plan.Read(bytes.NewReader(c.in.PlanText))
	switch {
	case err != nil:
		c.refuse("%w", err)
	case p.ID != c.in.Plan.ID:
		c.refuse("plan: the text is that of %s, not of %s", p.ID, c.in.Plan.ID)
	}
	c.file(PlanPath, 0o600, c.in.PlanText, "the plan")
	c.file(Marker, 0o444, []byte(c.in.Plan.ID+"\n"), "proves to switch_root that this is an image")
}

func (c *collector) skeleton() {
	for _, d := range []struct {
		path string
		perm uint32
	}{
		{"/dev", 0o755}, {"/proc", 0o555}, {"/sys", 0o555}, {"/run", 0o755}, {"/tmp", 0o1777}, {"/root", 0o700}, {"/etc", 0o755}, {"/var", 0o755},
		{"/mnt", 0o755}, {"/mnt/source", 0o755}, {"/mnt/new", 0o755}, {"/mnt/target", 0o755},
	} {
		c.add(item{path: d.path, mode: cpio.ModeDir | d.perm, why: "directory of every image"})
	}
	// Documentation/admin-guide/devices.txt. devtmpfs covers them later; a panic before that should be seen.
	for _, n := range []struct {
		path               string
		perm, major, minor uint32
	}{{"/dev/console", 0o600, 5, 1}, {"/dev/kmsg", 0o644, 1, 11}, {"/dev/null", 0o666, 1, 3}} {
		c.add(item{path: n.path, mode: cpio.ModeChar | n.perm, major: n.major, minor: n.minor, why: "device node of every image"})
	}
	// A merged /usr must be merged in the image too: programs name their loader as /lib64/…
	for _, p := range []string{"/bin", "/lib", "/lib32", "/lib64", "/libx32", "/sbin"} {
		if target, err := c.host.root.ReadLink(rootfs.Name(p)); err == nil {
			c.link(p, target, "merged /usr, as on the host")
			if final, info, err := c.host.resolve(p); err == nil && info.IsDir() {
				c.add(item{path: final, mode: cpio.ModeDir | 0o755, why: "merged /usr, as on the host"})
			}
		}
	}
}

func (c *collector) link(p, target, why string) {
	c.add(item{path: p, mode: cpio.ModeSymlink | 0o777, link: target, why: why})
}
