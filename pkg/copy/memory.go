package copy

import "migrate-init/pkg/extent"

// Memory returns bounds, in bytes, of the memory that it takes to copy and verify a filesystem: it surely needs least, and no
// more than most. size and used are in bytes; they and inodes are those of the filesystem's superblock.
//
// By files: about 75 MiB were measured for 51,000 names and ten workers. Each inode with several links takes up to 34 bytes more
// (TestTenMillionLinksFitTheBudget), and there is at most one inode in use for each used KiB. By blocks: one window per worker,
// at most 64 MiB of ranges, the sums, and then the checker of the filesystem's type, which keeps bitmaps of blocks and inodes.
func Memory(engine string, size, used, inodes int64) (least, most int64) {
	const (
		mib     = int64(1) << 20
		program = 24 * mib // this one, with its runtime
		workers = 8
	)
	switch engine {
	case Extent:
		least = program + workers*extent.Window
		bitmaps := 3*size/4096/8 + 5*inodes/8 + 32*mib
		return least, least + 64*mib + 2*16*size/extent.Window + 100*size/(128*mib) + bitmaps
	case Tree:
		return program + 32*mib, program + 96*mib + 34*min(inodes, used/1024)
	}
	return 0, 0
}
