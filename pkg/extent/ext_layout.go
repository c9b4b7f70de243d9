package extent

// hasSuper reports whether group g begins with a superblock, the primary or a backup.
func (s *extSuper) hasSuper(g uint64) bool {
	if g == 0 {
		return true
	}
	if s.compat&extSparseSuper2 != 0 {
		return g == uint64(s.backupBGs[0]) || g == uint64(s.backupBGs[1])
	}
	if g == 1 || s.roCompat&extRoSparseSuper == 0 {
		return true
	}
	for _, base := range []uint64{3, 5, 7} {
		p := base
		for p < g {
			p *= base
		}
		if p == g {
			return true
		}
	}
	return false
}

// superBlock is the block of the superblock in group g: with 1 KiB blocks and
// bigalloc group 0 begins at block 0, but the superblock is at byte 1024 still.
func (s *extSuper) superBlock(g uint64) uint64 {
	b := s.groupStart(g)
	if b == 0 && s.blockSize == 1024 {
		return 1
	}
	return b
}

// descBlock is where block n of the primary descriptor table lies.
func (s *extSuper) descBlock(n uint64) uint64 {
	if s.incompat&extIncompatMetaBG == 0 || n < s.firstMetaBG {
		return s.superBlock(0) + 1 + n
	}
	g := n * s.descsPerBlock()
	b := s.superBlock(g)
	if s.hasSuper(g) {
		b++
	}
	return b
}

// appendBackups appends what group g holds of superblocks, descriptor tables
// (and room reserved for them to grow), primary or backup.
func (s *extSuper) appendBackups(meta []span, g uint64) []span {
	b := s.superBlock(g)
	end := b
	if s.hasSuper(g) {
		end++
	}
	per := s.descsPerBlock()
	if s.incompat&extIncompatMetaBG == 0 || g/per < s.firstMetaBG {
		if end > b {
			if s.incompat&extIncompatMetaBG != 0 {
				end += s.firstMetaBG
			} else {
				end += s.descBlocks() + s.reservedGDT
			}
		}
	} else if i := g % per; i == 0 || i == 1 || i == per-1 {
		end++
	}
	if g == 0 && b > 0 && s.firstBlock == 0 {
		b = 0 // the boot block shares the first cluster, or the first block is the superblock's
	}
	if end > b {
		meta = append(meta, span{b, min(end, s.blocks)})
	}
	return meta
}
