package lvm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// Whole returns an image of a mirror that holds all of its data, so that the volume can be read through it alone. read
// reads bytes of a PV.
//
// The first image of a mirror is the one that all others are copied from. Of a raid1 the superblocks decide that dm-raid
// keeps at the start of each metadata volume (struct dm_raid_superblock in drivers/md/dm-raid.c): an image counts if no
// newer superblock calls it failed, and if it is not being rebuilt.
func (a *Array) Whole(read func(pv ID, offset int64, n int) ([]byte, error)) (Image, error) {
	switch {
	case a.Type == "mirror" && len(a.Images) > 0 && a.Images[0].Why == nil:
		return a.Images[0], nil
	case a.Type != "raid1":
		return Image{}, fmt.Errorf("no image of a %s holds all of it", a.Type)
	}
	supers := map[int]raidSuper{}
	var bad error
	for i, im := range a.Images {
		if im.Why != nil || im.Rebuild || len(im.Meta) == 0 || len(im.Meta[0].Legs) != 1 {
			continue
		}
		b, err := read(im.Meta[0].Legs[0].PV, im.Meta[0].Legs[0].Offset, raidSuperSize)
		if err == nil {
			supers[i], err = parseRaidSuper(b, i)
		}
		if err != nil {
			delete(supers, i)
			bad = errors.Join(bad, fmt.Errorf("%s: %w", im.Name, err))
		}
	}
	var newest raidSuper
	for _, s := range supers {
		if s.events >= newest.events {
			newest = s
		}
	}
	for i, im := range a.Images {
		s, ok := supers[i]
		if ok && s.events+1 >= newest.events && newest.failed>>i&1 == 0 && s.recovered == maxSector {
			return im, nil
		}
	}
	if bad == nil {
		bad = errors.New("each of them is missing, failed or being rebuilt")
	}
	return Image{}, fmt.Errorf("no image is known to hold all of it: %s", strings.ReplaceAll(bad.Error(), "\n", "; "))
}

const (
	raidSuperSize = 512
	raidMagic     = 0x64526d44
	maxSector     = 1<<64 - 1 // nothing is left to rebuild
)

// raidSuper is what a superblock of dm-raid says.
type raidSuper struct {
	events, failed, recovered uint64
}

func parseRaidSuper(b []byte, slot int) (raidSuper, error) {
	le := binary.LittleEndian
	switch {
	case len(b) < raidSuperSize || le.Uint32(b) != raidMagic:
		return raidSuper{}, errors.New("its metadata volume holds no superblock of dm-raid")
	case int64(le.Uint32(b[12:])) != int64(slot):
		return raidSuper{}, fmt.Errorf("its superblock is that of image %d", le.Uint32(b[12:]))
	}
	return raidSuper{le.Uint64(b[16:]), le.Uint64(b[24:]), le.Uint64(b[32:])}, nil
}
