package stage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"migrate-init/boot"
	"migrate-init/cpio"
	"migrate-init/pkg/distro"
	"migrate-init/pkg/fstab"
	"migrate-init/pkg/kmod"
	"migrate-init/pkg/plan"
)

// runProve shows before commit that the target boots: nothing is written here, and any doubt is an error (promise 4).
func runProve(ctx context.Context, e *Env) error {
	if err := e.assembleTree(ctx); err != nil {
		return err
	}
	root, err := e.Inside(TargetDir)
	if err != nil {
		return err
	}
	fam, err := distro.Of(e.Plan)
	if err != nil {
		return err
	}
	pr := &prover{p: e.Plan, root: root, say: func(s string) { e.tell("prove", "%s", s) }}
	errs := []error{pr.initrds(fam), pr.fstab(), pr.leftovers(fam)}
	if e.Plan.Boot.Loader == "grub" {
		errs = append(errs, pr.grubConfig())
		for _, t := range e.Plan.Target.Disks {
			errs = append(errs, e.proveBootSector(t, pr))
		}
	}
	return errors.Join(errs...)
}

type prover struct {
	p    *plan.Plan
	root fs.FS
	say  func(string)
}

func (pr *prover) read(name string) ([]byte, error) {
	b, err := fs.ReadFile(pr.root, strings.TrimPrefix(name, "/"))
	if err != nil {
		return nil, fmt.Errorf("file %s: %w", name, err)
	}
	return b, nil
}

// initrds opens the initrd of every kernel.
func (pr *prover) initrds(fam distro.Family) error {
	kernels, err := fs.Glob(pr.root, fam.Kernels)
	if err != nil {
		return fmt.Errorf("kernels: %w", err)
	}
	if len(kernels) == 0 {
		return fmt.Errorf("kernels: none in the new system matches %s", fam.Kernels)
	}
	kbefore, _, _ := strings.Cut(fam.Kernels, "*")
	var errs []error
	for _, k := range kernels {
		suffix := strings.TrimPrefix(k, kbefore)
		rel, err := pr.release(k)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if _, err := fs.Stat(pr.root, "lib/modules/"+rel+"/modules.dep"); err != nil {
			// A kernel whose package was removed badly is not what will be booted, unless it is the planned one.
			if rel == pr.p.Boot.Release {
				errs = append(errs, fmt.Errorf("kernel /%s: no modules of its release %s: %w", k, rel, err))
			}
			continue
		}
		if err := pr.initrd(strings.Replace(fam.Initrds, "*", suffix, 1), rel, fam.Needs(pr.p)); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (pr *prover) release(kernel string) (string, error) {
	f, err := pr.root.Open(kernel)
	if err != nil {
		return "", fmt.Errorf("kernel /%s: %w", kernel, err)
	}
	defer f.Close()
	head, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return "", fmt.Errorf("kernel /%s: %w", kernel, err)
	}
	rel, err := kmod.Release(head)
	if err != nil {
		return "", fmt.Errorf("kernel /%s: %w", kernel, err)
	}
	return rel, nil
}

func (pr *prover) initrd(name, release string, needs []distro.Need) error {
	f, err := pr.root.Open(name)
	if err != nil {
		return fmt.Errorf("initrd /%s: %w", name, err)
	}
	defer f.Close()
	keep := map[string]bool{}
	for _, n := range needs {
		keep[n.Path], keep["usr/"+n.Path] = true, true
	}
	a, err := cpio.Index(f, cpio.IndexOptions{Keep: func(x cpio.Entry) bool {
		base := path.Base(x.Name)
		return keep[x.Name] || base == "modules.builtin" || strings.HasPrefix(x.Name, "conf/")
	}})
	if err != nil {
		return fmt.Errorf("initrd /%s: %w", name, err)
	}
	mods := modulesIn(a, release)
	if len(mods) == 0 {
		return fmt.Errorf("initrd /%s: no modules of kernel %s inside", name, release)
	}
	var errs []error
	for _, n := range needs {
		if err := meets(a, mods, n); err != nil {
			errs = append(errs, fmt.Errorf("initrd /%s: %w (%s)", name, err, n.Why))
		}
	}
	for _, d := range pr.p.Drivers {
		if !mods[kmodName(d)] {
			errs = append(errs, fmt.Errorf("initrd /%s: driver %s of the planned disks is missing", name, d))
		}
	}
	for _, x := range a.List() {
		if strings.HasPrefix(x.Name, "conf/") && x.IsRegular() {
			if b, err := a.ReadFile(x.Name); err == nil {
				if id := oldIdentity(pr.p, b); id != "" {
					errs = append(errs, fmt.Errorf("initrd /%s: %s still names %s of the old system", name, x.Name, id))
				}
			}
		}
	}
	if len(errs) == 0 {
		pr.say(fmt.Sprintf("initrd /%s: kernel %s, %d modules, arrays and drivers inside", name, release, len(mods)))
	}
	return errors.Join(errs...)
}

func kmodName(s string) string { return strings.ReplaceAll(s, "-", "_") }

// modulesIn lists the modules of a release that an initrd has or that are built in.
func modulesIn(a *cpio.Archive, release string) map[string]bool {
	out := map[string]bool{}
	add := func(p string) {
		name, _, _ := strings.Cut(path.Base(p), ".ko")
		out[kmodName(name)] = true
	}
	for _, x := range a.List() {
		if !strings.Contains("/"+x.Name, "/lib/modules/"+release+"/") {
			continue
		}
		if strings.Contains(path.Base(x.Name), ".ko") {
			add(x.Name)
		}
		if path.Base(x.Name) == "modules.builtin" {
			if b, err := a.ReadFile(x.Name); err == nil {
				for line := range strings.Lines(string(b)) {
					add(strings.TrimSpace(line))
				}
			}
		}
	}
	return out
}

func meets(a *cpio.Archive, mods map[string]bool, n distro.Need) error {
	if n.Module != "" && !mods[kmodName(n.Module)] {
		return fmt.Errorf("module %s is missing", n.Module)
	}
	if n.Path == "" {
		return nil
	}
	x, err := a.Lookup(n.Path)
	if err != nil {
		return fmt.Errorf("%s: %w", n.Path, err)
	}
	if len(n.Words) == 0 {
		return nil
	}
	b, err := a.ReadFile(x.Name)
	if err != nil {
		return fmt.Errorf("%s: %w", n.Path, err)
	}
	for _, w := range n.Words {
		if !bytes.Contains(b, []byte(w)) {
			return fmt.Errorf("%s does not contain %s", n.Path, w)
		}
	}
	return nil
}

// oldIdentity finds an identity of the old system in a text, "" when there is none.
func oldIdentity(p *plan.Plan, b []byte) string {
	low := bytes.ToLower(b)
	var ids []string
	for _, s := range p.Source.Filesystems {
		ids = append(ids, s.UUID, strings.TrimPrefix(string(s.On), "part:"))
	}
	for _, s := range p.Source.Swaps {
		ids = append(ids, s.UUID, strings.TrimPrefix(string(s.On), "part:"))
	}
	for _, id := range ids {
		if id != "" && bytes.Contains(low, []byte(strings.ToLower(id))) {
			return id
		}
	}
	return ""
}

// fstab resolves every line: none may name the old system, and every new filesystem has its line.
func (pr *prover) fstab() error {
	b, err := pr.read("/etc/fstab")
	if err != nil {
		return err
	}
	t, err := fstab.Parse(b)
	if err != nil {
		return fmt.Errorf("file /etc/fstab: %w", err)
	}
	seen := map[string]string{}
	var errs []error
	for _, x := range t.Entries() {
		if id := oldIdentity(pr.p, []byte(x.Spec.String())); id != "" {
			errs = append(errs, fmt.Errorf("file /etc/fstab: line %d still names %s of the old system", x.Line, id))
		}
		if x.Spec.Kind == fstab.UUID && !x.IsBind() {
			seen[x.File] = strings.ToLower(x.Spec.Value)
		}
	}
	for _, n := range pr.p.Target.Filesystems {
		if seen[n.Mount] != n.UUID {
			errs = append(errs, fmt.Errorf("file /etc/fstab: %s is %q, planned %s", n.Mount, seen[n.Mount], n.UUID))
		}
	}
	return errors.Join(errs...)
}

// bootFiles are the texts from which a boot takes identities. Fstab is read by line: its comments may tell history.
func bootFiles(fam distro.Family) []string {
	return []string{"boot/grub/grub.cfg", "boot/grub/custom.cfg", "boot/grub/grubenv", "etc/default/grub", "etc/default/grub.d/*", "etc/kernel/cmdline",
		"boot/loader/entries/*", "etc/mdadm/mdadm.conf", "etc/initramfs-tools/conf.d/*", "etc/crypttab"}
}

func (pr *prover) leftovers(fam distro.Family) error {
	var errs []error
	for _, pat := range bootFiles(fam) {
		names, err := fs.Glob(pr.root, pat)
		if err != nil {
			return fmt.Errorf("files %s: %w", pat, err)
		}
		for _, n := range names {
			b, err := pr.read("/" + n)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			if id := oldIdentity(pr.p, b); id != "" {
				errs = append(errs, fmt.Errorf("file /%s: still names %s of the old system", n, id))
			}
		}
	}
	return errors.Join(errs...)
}

func (pr *prover) grubConfig() error {
	name := path.Join(pr.p.Boot.Dir, "grub.cfg")
	b, err := pr.read(name)
	if err != nil {
		return err
	}
	var errs []error
	if !bytes.Contains(b, []byte("root=UUID="+pr.p.Boot.Root)) {
		errs = append(errs, fmt.Errorf("file %s: no entry has root=UUID=%s", name, pr.p.Boot.Root))
	}
	cfg, err := boot.ParseGRUBConfig(b)
	if err != nil {
		return fmt.Errorf("file %s: %w", name, err)
	}
	for _, m := range cfg.Entries {
		// The kernel takes the last root= of several: one that is left by label or node would be the old system's.
		if all := boot.ParseCmdline(m.Cmdline).All("root"); len(all) > 0 && all[len(all)-1] != "UUID="+pr.p.Boot.Root {
			errs = append(errs, fmt.Errorf("file %s: entry %q has root=%s, planned UUID=%s", name, m.Title, all[len(all)-1], pr.p.Boot.Root))
		}
		for _, f := range append(slices.Clone(m.Initrds), m.Kernel) {
			if f == "" {
				continue
			}
			at := f
			if pr.p.Boot.Mount != "/" {
				at = path.Join(pr.p.Boot.Mount, f)
			}
			if _, err := fs.Stat(pr.root, strings.TrimPrefix(at, "/")); err != nil {
				errs = append(errs, fmt.Errorf("file %s: entry %q names %s: %w", name, m.Title, f, err))
			}
		}
	}
	if len(errs) == 0 {
		pr.say(fmt.Sprintf("%s: %d entries, root=UUID=%s", name, len(cfg.Entries), pr.p.Boot.Root))
	}
	return errors.Join(errs...)
}

// proveBootSector reads the new disk's boot sector and core image from the disk.
func (e *Env) proveBootSector(t plan.TargetDisk, pr *prover) error {
	d, err := e.Facts.Disk(t.DiskID)
	if err != nil || d == nil {
		return fmt.Errorf("target disk %s: not here: %w", t.Was, err)
	}
	r, err := e.Open(d.Path)
	if err != nil {
		return fmt.Errorf("disk %s: %w", d.Path, err)
	}
	defer r.Close()
	core, err := readCore(r)
	if err != nil {
		return fmt.Errorf("disk %s: %w", d.Path, err)
	}
	want := []string{"part_gpt", "ext2"}
	for _, a := range e.Plan.Target.Arrays {
		want = append(want, grubMetadata(a.Metadata))
	}
	if miss := core.Missing(want...); len(miss) > 0 {
		return fmt.Errorf("disk %s: GRUB's core image lacks %s", d.Path, strings.Join(miss, ", "))
	}
	vol, err := grubVolume(e.Plan.Boot.Volume)
	if err != nil {
		return err
	}
	if !strings.Contains(core.Prefix, vol) {
		return fmt.Errorf("disk %s: GRUB's core image looks for its files in %s, planned in (%s)", d.Path, core.Prefix, vol)
	}
	pr.say(fmt.Sprintf("disk %s: GRUB's boot sector and core image, prefix %s", d.Path, core.Prefix))
	return nil
}

// grubMetadata is the module by which GRUB reads a metadata version.
func grubMetadata(version string) string {
	if version == "0.90" {
		return "mdraid09"
	}
	return "mdraid1x"
}

// readCore follows the boot sector to the core image and reads it whole.
func readCore(r io.ReaderAt) (boot.Core, error) {
	b, err := ReadCoreBytes(r)
	if err != nil {
		return boot.Core{}, err
	}
	return boot.ParseCore(b)
}

// ReadCoreBytes reads GRUB's core image as the boot sector and the block list of its first sector say.
func ReadCoreBytes(r io.ReaderAt) ([]byte, error) {
	const sector, most = 512, 4 << 20
	lba0 := make([]byte, sector)
	if _, err := r.ReadAt(lba0, 0); err != nil {
		return nil, fmt.Errorf("boot sector: %w", err)
	}
	bs, err := boot.ParseBootSector(lba0)
	if err != nil {
		return nil, fmt.Errorf("boot sector: %w", err)
	}
	if bs.CoreLBA > 1<<53 {
		return nil, fmt.Errorf("boot sector: core image at sector %d", bs.CoreLBA)
	}
	core := make([]byte, sector)
	if _, err := r.ReadAt(core, int64(bs.CoreLBA)*sector); err != nil {
		return nil, fmt.Errorf("core image: %w", err)
	}
	exts, err := boot.CoreExtents(core)
	if err != nil {
		return nil, fmt.Errorf("core image: %w", err)
	}
	for _, x := range exts {
		if x.Sectors > most/sector || len(core) > most || x.LBA > 1<<53 {
			return nil, fmt.Errorf("core image: block list of %d sectors", x.Sectors)
		}
		b := make([]byte, int64(x.Sectors)*sector)
		if _, err := r.ReadAt(b, int64(x.LBA)*sector); err != nil {
			return nil, fmt.Errorf("core image: %w", err)
		}
		core = append(core, b...)
	}
	return core, nil
}
