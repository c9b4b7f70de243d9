package sim

import (
	"fmt"
	"testing/fstest"

	"migrate-init/pkg/machine"
)

// halfway marks, in a tree, a filesystem whose checksums are rewritten in part. It is no file that anything else would look at.
const halfway = "\x00half"

// e2fs plays the tools that give a copy by blocks its identity. What was cut short while all metadata was rewritten is no
// filesystem to any of them.
func (m *Machine) e2fs(e machine.Exec, dev string, torn bool) error {
	b := m.Dev(dev)
	if b == nil || m.mountOf(b) != "" {
		return fmt.Errorf("%s %s: missing, or mounted", e.Argv[0], dev)
	}
	tree := m.Trees[m.FilesystemOn(b)]
	if tree == nil {
		return fmt.Errorf("%s %s: no filesystem", e.Argv[0], dev)
	}
	if tree[halfway] != nil {
		return fmt.Errorf("%s %s: checksums do not match", e.Argv[0], dev)
	}
	if torn && e.Argv[0] == "tune2fs" {
		tree[halfway] = &fstest.MapFile{}
	}
	return nil
}
