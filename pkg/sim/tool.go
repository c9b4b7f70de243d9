package sim

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing/fstest"

	"migrate-init/pkg/machine"
)

// exec plays the programs of the image and of the system in the chroot.
func (m *Machine) exec(e machine.Exec, torn bool) error {
	arg := func(flag string) string {
		if i := slices.Index(e.Argv, flag); i >= 0 && i+1 < len(e.Argv) {
			return e.Argv[i+1]
		}
		return ""
	}
	last := e.Argv[len(e.Argv)-1]
	switch path.Base(e.Argv[0]) {
	case "mke2fs":
		b := m.Dev(last)
		if b == nil || m.mountOf(b) != "" {
			return fmt.Errorf("mke2fs %s: missing, or mounted", last)
		}
		id := arg("-U")
		if torn {
			return m.Write(b, make([]byte, 512), 1024, e)
		}
		m.Trees[id] = fstest.MapFS{}
		delete(m.loose, id)
		return m.Write(b, Ext4Super(id, arg("-L"), b.Size, 0), 1024, e)
	case "mkswap":
		b := m.Dev(last)
		if b == nil {
			return fmt.Errorf("mkswap %s: %w", last, fs.ErrNotExist)
		}
		if torn {
			return m.Write(b, make([]byte, 512), 1024, e)
		}
		return m.Write(b, SwapHeader(arg("-U"), b.Size), 0, e)
	case "tune2fs", "e2fsck", "resize2fs":
		return m.e2fs(e, last, torn)
	case "cryptsetup":
		return m.cryptsetup(e)
	case "update-initramfs":
		return m.updateInitramfs(e.Root, torn)
	case "grub-install":
		return m.grubInstall(e.Root, last, torn)
	case "update-grub":
		return m.updateGRUB(e.Root, torn)
	}
	return fmt.Errorf("program %s: not known here", e.Argv[0])
}

// Reads plays the programs that only read a running system. The name of one that fails is a key of Fails.
func (m *Machine) Reads(e machine.Exec) (out machine.Output, reads bool, err error) {
	name := path.Base(e.Argv[0])
	if last := strings.Fields(e.Argv[len(e.Argv)-1]); name == "unshare" && len(last) > 0 {
		name = last[len(last)-1]
	}
	switch name {
	case "grub-mkconfig":
		out.Stdout, err = fs.ReadFile(m.Below("/"), "boot/grub/grub.cfg")
	case "grub-script-check", "sh":
	default:
		return out, false, nil
	}
	if why, fails := m.Fails[name]; fails {
		out.Code = 1
		return out, true, &machine.ExecError{Argv: e.Argv, Code: 1, Stderr: []byte(why)}
	}
	return out, true, err
}

// store is a program's write: in the page cache until someone syncs the filesystem.
func (m *Machine) store(root, name string, data []byte) {
	tree, rel, _ := m.at(path.Join("/", root, name))
	m.loosen(tree, rel)
	for d := path.Dir(rel); d != "."; d = path.Dir(d) {
		if tree[d] == nil {
			tree[d] = &fstest.MapFile{Mode: fs.ModeDir | 0o755}
		}
	}
	tree[rel] = &fstest.MapFile{Data: data, Mode: 0o644}
}
