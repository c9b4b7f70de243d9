package mdguest

import (
	"bytes"
	"strings"
	"testing"

	"migrate-init/pkg/md"
)

// TestWipe: after Wipe's writes mdadm finds nothing, and nothing else has changed.
func TestWipe(t *testing.T) {
	g := enter(t)
	for _, v := range []md.Version{md.V090, md.V10, md.V11, md.V12} {
		t.Run(string(v), func(t *testing.T) {
			g := g.with(t)
			g.tidy()
			all := g.members(shape{disks: 2})
			g.blank(all...)
			g.must("mdadm", "--create", "/dev/md6", "--run", "--metadata="+string(v), "--level=1", "--raid-devices=2", "--assume-clean",
				"--bitmap=internal", all[0].path, all[1].path)
			g.must("mdadm", "--stop", "/dev/md6")
			g.must("mdadm", "--examine", all[0].path)
			g.wiped(all[0], 1)
			// Damaged: a checksum that is wrong.
			s := g.scan(all[1])
			g.write(all[1].path, "damage", md.Write{Offset: s.SuperOffset + 160, Data: []byte{0xee}})
			g.wiped(all[1], 1)
		})
	}
	t.Run("ghosts", func(t *testing.T) {
		g := g.with(t)
		g.tidy()
		all := g.members(shape{disks: 1})
		g.blank(all...)
		for i, v := range []md.Version{md.V090, md.V10, md.V11, md.V12} {
			s := shape{version: v, level: 1, disks: 1, number: byte(210 + i)}
			g.create(s.spec(all), all)
		}
		r := g.open(all[0].path)
		ss, err := md.Scan(r, all[0].size)
		r.Close()
		if err != nil || len(ss) != 4 {
			t.Errorf("%d of four superblocks found: %v", len(ss), err)
		}
		g.wiped(all[0], 4)
	})
}

func (g *guest) wiped(d disk, n int) {
	g.Helper()
	before := g.whole(d)
	r := g.open(d.path)
	ws, err := md.Wipe(r, d.size)
	r.Close()
	if err != nil || len(ws) != n {
		g.Fatalf("%s: %d writes, %v", d.path, len(ws), err)
	}
	g.write(d.path, "md superblocks", ws...)
	after := g.whole(d)
	for _, w := range ws {
		copy(before[w.Offset:], make([]byte, len(w.Data)))
	}
	if !bytes.Equal(before, after) {
		g.Errorf("%s: more has changed than what Wipe gave", d.path)
	}
	if out, err := g.run("mdadm", "--examine", d.path); err == nil || !strings.Contains(out, "No md superblock detected") {
		g.Errorf("mdadm --examine: %v\n%s", err, out)
	}
	// Asked for one version it ends with 0 whatever it finds.
	for _, v := range md.Versions() {
		if out := g.must("mdadm", "--examine", d.path, "-e", string(v)); !strings.Contains(out, "No super block found") {
			g.Errorf("mdadm --examine -e %s:\n%s", v, out)
		}
	}
}

func (g *guest) whole(d disk) []byte {
	g.Helper()
	r := g.open(d.path)
	defer r.Close()
	b := make([]byte, d.size)
	if _, err := r.ReadAt(b, 0); err != nil {
		g.Fatal(err)
	}
	return b
}
