package image

import (
	"bytes"
	"debug/elf"
	"fmt"
	"path"
	"strings"

	"migrate-init/cpio"
	"migrate-init/pkg/kmod"
)

// self puts the running program in. With an interpreter in its header the kernel would look for that first, and panic.
func (c *collector) self() {
	const fix = "use the program as it is released, built with CGO_ENABLED=0"
	data, err := c.host.read(c.in.Self, maxFile, false)
	if err != nil {
		c.refuse("program %s: %w; start it again by its present path", c.in.Self, cause(err))
		return
	}
	if why := dynamic(data); why != "" {
		c.refuse("program %s: not statically linked: %s; %s", c.in.Self, why, fix)
		return
	}
	c.file("/init", 0o755, data, "this program, as PID 1")
}

// dynamic says what keeps a program from being the init of an empty root; "" is nothing.
func dynamic(data []byte) (why string) {
	defer func() {
		if p := recover(); p != nil { // debug/elf is not hardened
			why = fmt.Sprintf("damaged ELF file: %v", p)
		}
	}()
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return fmt.Sprintf("not an ELF program: %v", err)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			interp := make([]byte, min(p.Filesz, 256))
			n, _ := p.ReadAt(interp, 0) // what can be read is only shown
			return fmt.Sprintf("it wants the loader %s", bytes.TrimRight(interp[:n], "\x00"))
		}
	}
	return ""
}

// kernel compares the kernel file with the release that the modules are taken for.
func (c *collector) kernel() {
	b := c.in.Plan.Boot
	head, err := c.host.read(b.Kernel, 64<<10, true)
	if err != nil {
		c.refuse("kernel image %s: %w; %s", b.Kernel, cause(err), c.in.Family.ReinstallKernel(b.Release))
		return
	}
	release, err := kmod.Release(head)
	switch {
	case err != nil:
		c.refuse("kernel image %s: its version cannot be read: %w", b.Kernel, err)
	case release != b.Release:
		c.refuse("kernel image %s: it is version %s, but the plan's modules are of %s; %s, or make a new plan", b.Kernel, release, b.Release, c.in.Family.ReinstallKernel(b.Release))
	}
}

// compression is zstd, unless the kernel's configuration is there and says that it cannot unpack it (before 5.9, or left
// out): then gzip, or none. A kernel that finds no init in its image panics.
func (c *collector) compression() cpio.Method {
	b := c.in.Plan.Boot
	for _, p := range []string{path.Join(path.Dir(b.Kernel), "config-"+b.Release), path.Join("/lib/modules", b.Release, "config")} {
		data, err := c.host.read(p, 4<<20, false)
		if err != nil {
			continue
		}
		has := map[string]bool{}
		for l := range strings.Lines(string(data)) {
			has[strings.TrimSpace(l)] = true
		}
		switch {
		case has["CONFIG_RD_ZSTD=y"]:
			return cpio.Zstd
		case has["CONFIG_RD_GZIP=y"]:
			return cpio.Gzip
		case has["CONFIG_BLK_DEV_INITRD=y"]: // else it is no configuration of a kernel that could boot this
			return cpio.None
		}
	}
	return cpio.Zstd
}
