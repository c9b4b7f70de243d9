package boot

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
)

// A block of ours is for a GRUB that cannot write its own environment block: a filesystem with one file, the block, on a
// plain partition. It is ext2 in its simplest form (linux/fs/ext2/ext2.h): one group of blocks of 1 KiB and no feature
// but the file types in directories, so that every GRUB 2 reads it, and everything has a fixed place. The file is one
// block: it has no holes and cannot be in pieces, which GRUB's save_env demands.
const (
	// BlockSize is the size of the filesystem in bytes. A larger partition is not used up.
	BlockSize = 1 << 20
	// BlockFile is the path of the environment block in it.
	BlockFile = "/grubenv"
	// BlockLabel is the filesystem's label.
	BlockLabel = "mi-oneshot"
	// BlockModule is the GRUB module that reads it.
	BlockModule = "ext2"
	// BlockAt is the byte at which the environment block begins.
	BlockAt = blockEnv * blockUnit

	blockUnit   = 1024
	blockSuper  = 1 // blocks of the filesystem: its superblock,
	blockGroup  = 2 // the group's descriptor,
	blockMap    = 3 // which blocks are used,
	blockInodes = 4 // which inodes are used,
	blockTable  = 5 // the inodes,
	blockRoot   = 9 // the root directory,
	blockLost   = 10
	blockEnv    = 11
	blockUsed   = 12 // of the blocks from 0 on

	blockInodeCount = 32
	blockInodeSize  = 128
	inodeRoot       = 2
	inodeLost       = 11
	inodeEnv        = 12
)

// Variables of the block.
const (
	// NextVariable is the plan whose migration GRUB starts at the next boot, and only once: it clears the variable first.
	NextVariable = "migrate_init_next"
	// AttemptVariable counts how often the migration was started.
	AttemptVariable = "migrate_init_attempt"
)

// BlockFS returns the first bytes of the filesystem with a UUID and an environment block; free space follows.
func BlockFS(uuid string, env Grubenv) ([]byte, error) {
	id, err := hex.DecodeString(strings.ReplaceAll(uuid, "-", ""))
	if err != nil || len(id) != 16 {
		return nil, fmt.Errorf("filesystem UUID %q: 32 hexadecimal digits expected", clip(uuid))
	}
	b := make([]byte, blockUsed*blockUnit)
	at := func(block int) []byte { return b[block*blockUnit : (block+1)*blockUnit] }
	le := binary.LittleEndian
	const blocks = BlockSize / blockUnit

	s := at(blockSuper)
	le.PutUint32(s[0:], blockInodeCount)
	le.PutUint32(s[4:], blocks)
	le.PutUint32(s[12:], blocks-blockUsed) // free blocks
	le.PutUint32(s[16:], blockInodeCount-inodeEnv)
	le.PutUint32(s[20:], blockSuper) // the first block that counts
	le.PutUint32(s[32:], 8*blockUnit)
	le.PutUint32(s[36:], 8*blockUnit)
	le.PutUint32(s[40:], blockInodeCount)
	le.PutUint16(s[54:], 0xffff) // no check after so many mounts
	le.PutUint16(s[56:], 0xef53)
	le.PutUint16(s[58:], 1) // clean
	le.PutUint16(s[60:], 1) // errors: continue
	le.PutUint32(s[76:], 1) // revision
	le.PutUint32(s[84:], inodeLost)
	le.PutUint16(s[88:], blockInodeSize)
	le.PutUint32(s[96:], 2) // file types in directories
	copy(s[104:], id)
	copy(s[120:], BlockLabel)

	g := at(blockGroup)
	le.PutUint32(g[0:], blockMap)
	le.PutUint32(g[4:], blockInodes)
	le.PutUint32(g[8:], blockTable)
	le.PutUint16(g[12:], blocks-blockUsed)
	le.PutUint16(g[14:], blockInodeCount-inodeEnv)
	le.PutUint16(g[16:], 2) // directories

	// The first bit of the map is block 1. Bits behind the end count as used.
	setBits(at(blockMap), 0, blockUsed-1)
	setBits(at(blockMap), blocks-1, 8*blockUnit)
	setBits(at(blockInodes), 0, inodeEnv)
	setBits(at(blockInodes), blockInodeCount, 8*blockUnit)

	inode := func(number, mode, links, block int) {
		n := b[blockTable*blockUnit+(number-1)*blockInodeSize:]
		le.PutUint16(n[0:], uint16(mode))
		le.PutUint32(n[4:], blockUnit) // size
		le.PutUint16(n[26:], uint16(links))
		le.PutUint32(n[28:], blockUnit/512)
		le.PutUint32(n[40:], uint32(block))
	}
	inode(inodeRoot, 0o40755, 3, blockRoot)
	inode(inodeLost, 0o40700, 2, blockLost)
	inode(inodeEnv, 0o100600, 1, blockEnv)

	directory(at(blockRoot), entry{inodeRoot, 2, "."}, entry{inodeRoot, 2, ".."}, entry{inodeLost, 2, "lost+found"}, entry{inodeEnv, 1, BlockFile[1:]})
	directory(at(blockLost), entry{inodeLost, 2, "."}, entry{inodeRoot, 2, ".."})
	copy(at(blockEnv), env.Bytes())
	return b, nil
}

func setBits(b []byte, from, to int) {
	for i := from; i < to; i++ {
		b[i/8] |= 1 << (i % 8)
	}
}

// entry is a name in a directory; kind is 1 for a file and 2 for a directory.
type entry struct {
	inode int
	kind  byte
	name  string
}

// directory fills a block; the last entry takes what is left of it.
func directory(b []byte, entries ...entry) {
	for i, e := range entries {
		size := (8 + len(e.name) + 3) / 4 * 4
		if i == len(entries)-1 {
			size = len(b)
		}
		binary.LittleEndian.PutUint32(b, uint32(e.inode))
		binary.LittleEndian.PutUint16(b[4:], uint16(size))
		b[6], b[7] = byte(len(e.name)), e.kind
		copy(b[8:], e.name)
		b = b[size:]
	}
}

// ReadBlock reads the environment block of such a filesystem. An error means that none can be read. whole reports
// whether everything else is as [BlockFS] made it, for this UUID.
func ReadBlock(r io.ReaderAt, uuid string) (env Grubenv, whole bool, err error) {
	b := make([]byte, blockUsed*blockUnit)
	if _, err := r.ReadAt(b, 0); err != nil {
		return env, false, fmt.Errorf("environment block: %w", err)
	}
	if env, err = ParseGrubenv(b[BlockAt : BlockAt+grubenvSize]); err != nil {
		return env, false, err
	}
	want, err := BlockFS(uuid, env)
	return env, err == nil && bytes.Equal(b, want), err
}
