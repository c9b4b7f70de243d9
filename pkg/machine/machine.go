// Package machine is the only room that changes the world. It has one verb, Do, and a table of effects: printable
// values, each of which says what it may write. A dry run hands the same effects to a Printer that the real run hands
// to a Real, so what is printed is what would be done.
//
// Contract: an effect that returns nil has reached the disk where it claims to write one (files: the file and its
// directory are fsynced; devices: fsync after the last write of each WriteDevice, in the given order). An effect that
// fails may have been carried out in part; every stage must therefore be able to find out and go on.
package machine

import (
	"context"
	"io/fs"
)

// Machine carries out effects.
type Machine interface {
	// Do carries out one effect. Output is filled by Exec only.
	Do(ctx context.Context, e Effect) (Output, error)
}

// Output is what an Exec printed (the last 64 KiB of each stream) and how it ended.
type Output struct {
	Stdout, Stderr []byte
	Code           int
}

// Effect is one change of the world.
type Effect interface {
	// String is the line that a dry run prints: an imperative, with the noun and its identity.
	String() string
	// Writes lists the device nodes and file paths whose contents the effect may change; nil when it changes no
	// storage. A test reads it to prove that no source device is ever named before commit.
	Writes() []string
}

// Exec runs a program. Root, when set, is the directory to chroot into.
type Exec struct {
	Argv   []string
	Env    []string // the whole environment; empty: PATH, HOME=/root, LC_ALL=C and nothing else
	Root   string
	OK     []int    // exit codes that are no failure; empty: 0 alone
	Alters []string // what the program writes: devices or directories
	Stdin  []byte   // what it reads
	Keep   int      // how many bytes of the end of its output are kept; 0: 64 KiB
}

// MountFlag is a set of mount options that are flags of mount(2), named here so that no other room needs syscall.
type MountFlag uint32

// The flags.
const (
	ReadOnly MountFlag = 1 << iota
	NoSuid
	NoDev
	NoExec
	Bind
)

// Mount mounts Source of Type on Target.
type Mount struct {
	Source, Target, Type string
	Flags                MountFlag
	Data                 string // filesystem options, as "noload,discard"
	Quiet                bool   // with Data, a read-only mount of Type leaves Source alone: nothing is replayed
}

// Unmount unmounts Target, which must not be in use.
type Unmount struct{ Target string }

// Mkdir makes a directory and its parents; one that exists is left as it is.
type Mkdir struct {
	Path string
	Mode fs.FileMode
}

// WriteFile replaces a file atomically: temporary file in the same directory, fsync, rename, fsync of the directory.
// An existing file's owner, mode and extended attributes are kept; Mode is for a new one. A symbolic link at Path is
// an error. Old is what is there now (nil: nothing); it is only used to print a unified diff.
type WriteFile struct {
	Path      string
	Data, Old []byte
	Mode      fs.FileMode
}

// WriteInPlace overwrites a file's bytes without changing its blocks, and fsyncs it: GRUB's environment block.
// The length of Data must be that of the file.
type WriteInPlace struct {
	Path string
	Data []byte
}

// CopyFile copies a regular file atomically, as WriteFile does.
type CopyFile struct {
	From, To string
	Mode     fs.FileMode
}

// Remove removes a file, or an empty directory; one that does not exist is no error.
type Remove struct{ Path string }

// Rename renames within one filesystem, fsyncing the file before and both directories after: the commit.
type Rename struct{ From, To string }

// Symlink makes (or atomically replaces) a symbolic link at Path.
type Symlink struct{ Target, Path string }

// Chunk is one write to a device.
type Chunk struct {
	Offset int64
	Data   []byte
	Zero   int64 // when Data is nil: this many zero bytes
}

// WriteDevice writes chunks to a block device in order, with an fsync between and after them. Why says what they are.
type WriteDevice struct {
	Dev, Why string
	Chunks   []Chunk
}

// SetReadOnly sets or clears the kernel's read-only flag of a block device (BLKROSET), and fails when it does not stick.
// A partition whose own flag is cleared stays read-only until that of its disk is cleared too.
type SetReadOnly struct {
	Dev string
	On  bool
}

// HoldDisk takes or releases systemd's lock of a whole block device, an exclusive flock on its node (BLOCK_DEVICE_LOCKING in
// systemd's documentation). While it is held, udev neither probes the disk nor reads its table again, which makes every idle
// partition disappear for a moment. The kernel releases it when the process ends.
type HoldDisk struct {
	Dev string
	On  bool
}

// Extent is a partition as the kernel should see it; bytes.
type Extent struct {
	Number      int
	Start, Size int64
}

// Partitions makes the kernel's view of a disk's partitions equal to Parts (BLKPG, only what differs), and waits until
// the nodes are there. It fails, naming it, on a partition in use that would change.
type Partitions struct {
	Dev   string
	Parts []Extent
}

// Ioctl issues one ioctl on a device. With a nil Arg the Value is passed. Alters names what it writes, if anything.
type Ioctl struct {
	Dev, Name string
	Req       uintptr
	Arg       []byte
	Value     uintptr
	Alters    []string
}

// WriteSys writes a value to a file of sysfs or procfs.
type WriteSys struct {
	Path, Value string
	Alters      []string
}

// LoadModule loads one kernel module file (finit_module, or init_module with decompressed Image). A module that is
// already loaded is no error.
type LoadModule struct {
	Path, Options string
	Image         []byte
}

// Sync flushes the filesystem that Path is on (syncfs).
type Sync struct{ Path string }

// SwitchRoot makes NewRoot the root and executes Init there. It deletes the old root only when that is proved to be
// the initramfs: PID 1, statfs magic of ramfs or tmpfs, and a marker file; it does not return when it succeeds.
type SwitchRoot struct {
	NewRoot, Init string
	Args, Env     []string
}

// Reboot ends the kernel's run: How is "reboot", "poweroff" or "halt". It flushes what can be flushed in 30 seconds.
type Reboot struct{ How string }
