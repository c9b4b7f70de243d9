package copy

import "migrate-init/pkg/extent"

// Memory says how many bytes of memory the copy and the verification of a filesystem take: at least, which is sure, and at
// most. Its size, what is used of it and its inodes are in bytes and numbers as its superblock has them.
//
// By files: some 75 MiB were measured for 51,000 names and ten workers; names with further links take up to 34 bytes an inode more
// (TestTenMillionLinksFitTheBudget), and no more inodes are in use than used kibibytes. By blocks: a window for each worker, ranges
// of at most 64 MiB, sums, and then the check by the programs of its type, which keep bitmaps of its blocks and inodes.
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
