package image

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"migrate-init/cpio"
	"migrate-init/pkg/kmod"
	"migrate-init/pkg/rootfs"
)

// modprobeConf copies the configuration, and reads of it what will be there at boot.
func (c *collector) modprobeConf() (*kmod.Config, error) {
	for _, dir := range kmod.ConfigDirs() {
		if strings.HasPrefix(dir, "run/") {
			continue
		}
		list, err := fs.ReadDir(configOf{c.host}, dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("modprobe configuration: %w", err)
		}
		for _, e := range list {
			if !strings.HasSuffix(e.Name(), ".conf") {
				continue
			}
			p := path.Join("/", dir, e.Name())
			_, info, err := c.host.resolve(p)
			if err != nil {
				return nil, fmt.Errorf("modprobe configuration %s: %w", p, cause(err))
			}
			var data []byte
			if info.Mode().IsRegular() { // else it is a link to /dev/null, which hides a file of the same name
				if data, err = c.host.read(p, 1<<20, false); err != nil {
					return nil, fmt.Errorf("modprobe configuration %s: %w", p, cause(err))
				}
			}
			c.add(item{path: p, mode: cpio.ModeRegular | 0o644, data: data, why: "options of kernel modules"})
		}
	}
	return kmod.ReadConfig(configOf{c.host})
}

// configOf is the host as the image will have it: without /run/modprobe.d.
type configOf struct{ host }

func (c configOf) Open(name string) (fs.File, error) {
	final, _, err := c.resolve(name)
	if err == nil && (final == "/run" || strings.HasPrefix(final, "/run/")) {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: cause(err)}
	}
	return c.root.Open(rootfs.Name(final))
}
