package lvm

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

func raidSuperblock(slot uint32, events, failed, recovered uint64) []byte {
	b := make([]byte, raidSuperSize)
	le := binary.LittleEndian
	le.PutUint32(b, raidMagic)
	le.PutUint32(b[12:], slot)
	le.PutUint64(b[16:], events)
	le.PutUint64(b[24:], failed)
	le.PutUint64(b[32:], recovered)
	return b
}

func TestWhole(t *testing.T) {
	const none = uint64(maxSector)
	for name, c := range map[string]struct {
		supers [2][]byte // nil: cannot be read
		change func(a *Array)
		want   string // name of the image, or a part of the error after "!"
	}{
		"both whole":         {[2][]byte{raidSuperblock(0, 5, 0, none), raidSuperblock(1, 5, 0, none)}, nil, "i0"},
		"first failed":       {[2][]byte{raidSuperblock(0, 5, 0, none), raidSuperblock(1, 9, 1, none)}, nil, "i1"},
		"first behind":       {[2][]byte{raidSuperblock(0, 5, 0, none), raidSuperblock(1, 9, 0, none)}, nil, "i1"},
		"first is rebuilt":   {[2][]byte{raidSuperblock(0, 5, 0, 4096), raidSuperblock(1, 5, 0, none)}, nil, "i1"},
		"one event apart":    {[2][]byte{raidSuperblock(0, 8, 0, none), raidSuperblock(1, 9, 0, none)}, nil, "i0"},
		"swapped":            {[2][]byte{raidSuperblock(1, 5, 0, none), raidSuperblock(1, 5, 0, none)}, nil, "i1"},
		"LVM says rebuild":   {[2][]byte{raidSuperblock(0, 5, 0, none), raidSuperblock(1, 5, 0, none)}, func(a *Array) { a.Images[0].Rebuild = true }, "i1"},
		"missing":            {[2][]byte{raidSuperblock(0, 5, 0, none), raidSuperblock(1, 5, 0, none)}, func(a *Array) { a.Images[0].Why = &Refusal{Detail: "missing"} }, "i1"},
		"nothing is known":   {[2][]byte{make([]byte, raidSuperSize), nil}, nil, "!no superblock of dm-raid"},
		"both are rebuilt":   {[2][]byte{raidSuperblock(0, 5, 0, 0), raidSuperblock(1, 5, 0, 0)}, nil, "!each of them"},
		"a mirror":           {[2][]byte{}, func(a *Array) { a.Type = "mirror" }, "i0"},
		"a mirror's primary": {[2][]byte{}, func(a *Array) { a.Type, a.Images[0].Why = "mirror", &Refusal{} }, "!no image of a mirror"},
		"a raid5":            {[2][]byte{}, func(a *Array) { a.Type = "raid5_ls" }, "!no image of a raid5_ls"},
	} {
		pv := [2]ID{{0: 'a'}, {0: 'b'}}
		a := &Array{Type: "raid1"}
		for i, n := range []string{"i0", "i1"} {
			a.Images = append(a.Images, Image{Name: n, Meta: []Piece{{Length: 4096, Legs: []Leg{{PV: pv[i], Offset: 77}}}}, Data: []Piece{{}}})
		}
		if c.change != nil {
			c.change(a)
		}
		im, err := a.Whole(func(id ID, off int64, n int) ([]byte, error) {
			for i := range pv {
				if id == pv[i] && off == 77 && c.supers[i] != nil {
					return c.supers[i][:n], nil
				}
			}
			return nil, errors.New("cannot be read")
		})
		want, bad := strings.CutPrefix(c.want, "!")
		if bad && (err == nil || !strings.Contains(err.Error(), want)) || !bad && (err != nil || im.Name != want) {
			t.Errorf("%s: %s, %v, want %s", name, im.Name, err, c.want)
		}
	}
}
