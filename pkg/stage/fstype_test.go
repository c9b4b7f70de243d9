package stage

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"migrate-init/pkg/extent"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/mkfs"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/probe"
)

// TestFSTypePrograms holds the programs that the table of types puts into an image against those whose arguments are
// spelled.
func TestFSTypePrograms(t *testing.T) {
	for _, row := range plan.FSTypes() {
		argv, err := mkfs.Argv(mkfs.Spec{Type: row.Name, Device: "/dev/x", UUID: "u"})
		if (err == nil) != (row.Tools.Make != "") || err == nil && argv[0] != row.Tools.Make {
			t.Errorf("%s: the table makes it with %q, %q is spelled (%v)", row.Name, row.Tools.Make, argv, err)
		}
		if len(row.Tools.Blocks) == 0 {
			continue
		}
		a := &extent.Allocation{Type: row.Name}
		cmds, err := a.Grow("/dev/x", "/mnt/x")
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range append(cmds, a.Check("/dev/x"), a.Name("/dev/x", "l")) {
			if !slices.Contains(row.Tools.Blocks, c.Argv[0]) {
				t.Errorf("%s: a copy by blocks runs %q, which the table does not put into an image: %q", row.Name, c.Argv[0], row.Tools.Blocks)
			}
		}
	}
}

// TestExtFeatures holds together what three rooms say about each feature bit of an ext superblock: probe names it, the
// table of types trusts it or not, and what is trusted must be what extent copies.
func TestExtFeatures(t *testing.T) {
	trusted := 0
	for _, word := range []int{0x5c, 0x60, 0x64} { // compat, incompat, ro_compat
		for bit := range 32 {
			disk := extSuperblock()
			binary.LittleEndian.PutUint32(disk[1024+word:], 1<<bit)
			res, err := probe.Probe(strings.NewReader(string(disk)), int64(len(disk)))
			if err != nil || len(res.Signatures) != 1 || res.Signatures[0].Ext == nil || len(res.Signatures[0].Ext.Features) != 1 {
				t.Fatalf("word %#x, bit %d: %v, %v", word, bit, res, err)
			}
			name := res.Signatures[0].Ext.Features[0]
			// Some are trusted only beside another; a list of this one and that is what such a filesystem has.
			if plan.FSTypeOf("ext4").NotByBlocks([]string{name, "metadata_csum"}) != "" {
				continue
			}
			trusted++
			_, err = extent.Read(strings.NewReader(string(disk)), int64(len(disk)))
			if err != nil && errors.Is(err, extent.ErrUnsupported) && strings.Contains(err.Error(), "feature "+name) || err != nil && strings.Contains(err.Error(), "unknown") {
				t.Errorf("feature %s: a plan copies it by blocks, and the engine says: %v", name, err)
			}
		}
	}
	if trusted < 20 {
		t.Errorf("only %d features are trusted; the test reads the wrong words", trusted)
	}
}

// extSuperblock is a disk with just enough of a superblock to be taken for one.
func extSuperblock() []byte {
	disk := make([]byte, 1<<20)
	sb := disk[1024:2048]
	le := binary.LittleEndian
	le.PutUint16(sb[56:], 0xef53)
	le.PutUint32(sb[4:], 1024)  // blocks
	le.PutUint32(sb[20:], 1)    // first data block
	le.PutUint32(sb[32:], 8192) // blocks per group
	le.PutUint32(sb[40:], 128)  // inodes per group
	le.PutUint32(sb[76:], 1)    // revision
	le.PutUint16(sb[88:], 256)  // inode size
	return disk
}

// TestSourceMountIsQuiet: every type that moves is mounted, as a source, so that nothing is written.
func TestSourceMountIsQuiet(t *testing.T) {
	for _, row := range plan.FSTypes() {
		m := machine.Mount{Source: "/dev/x", Target: "/mnt/x", Type: row.Name, Flags: machine.ReadOnly, Data: row.ReadOnly, Quiet: row.Quiet}
		if row.Movable && len(m.Writes()) != 0 {
			t.Errorf("%s: %s writes %q", row.Name, m, m.Writes())
		}
	}
}
