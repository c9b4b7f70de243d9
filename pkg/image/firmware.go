package image

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"path"

	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"
)

// firmware puts a file that a module names where the kernel looks without a helper (drivers/base/firmware_loader,
// fw_path), unpacked: not every kernel unpacks it by itself. A module names the files of all models it drives, so one
// that is missing is no refusal.
func (c *collector) firmware(name, module string) {
	to := path.Join("/lib/firmware", name)
	for _, it := range c.items {
		if it.path == to {
			return
		}
	}
	if !fs.ValidPath(name) {
		c.warn("firmware %q, named by module %s: not a path", name, module)
		return
	}
	release := c.in.Plan.Boot.Release
	for _, dir := range []string{"/lib/firmware/updates/" + release, "/lib/firmware/updates", "/lib/firmware/" + release, "/lib/firmware"} {
		for _, suffix := range []string{"", ".zst", ".xz"} {
			from := path.Join(dir, name) + suffix
			if _, there := c.host.regular(from); !there {
				continue
			}
			data, err := c.host.read(from, maxFile, false)
			if err == nil {
				data, err = unpack(data, suffix)
			}
			if err != nil {
				c.refuse("firmware %s, named by module %s: %s: %w; reinstall the package that has it", name, module, from, cause(err))
				return
			}
			c.file(to, 0o644, data, "firmware of "+module)
			return
		}
	}
	c.warn("firmware %s: module %s names it, and it is not in /lib/firmware; the disks work without it now", name, module)
}

func unpack(data []byte, suffix string) ([]byte, error) {
	var r io.Reader
	switch suffix {
	case ".zst":
		z, err := zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, err
		}
		defer z.Close()
		r = z
	case ".xz":
		x, err := xz.NewReader(bytes.NewReader(data), 128<<20)
		if err != nil {
			return nil, err
		}
		r = x
	default:
		return data, nil
	}
	out, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err == nil && len(out) > maxFile {
		err = fmt.Errorf("more than %d bytes unpacked", maxFile)
	}
	return out, err
}
