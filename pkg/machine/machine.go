// Package machine is the only package that changes the machine. It has one method, Do, and a set of effects. Effects are
// printable values, each of which declares what it may write. A dry run passes the same effects to a Printer that a real run
// passes to a Real, so it prints exactly what would be done.
//
// Contract: when Do returns nil, what the effect wrote is on the disk. Files: the file and its directory have been fsynced.
// Devices: the chunks of a WriteDevice have been written in order, with an fsync after each. An effect that fails may have been
// carried out in part, so every stage must be able to find out what was done and continue.
package machine

import (
	"context"
	"io/fs"
)

// Machine carries out effects.
type Machine interface {
	// Do carries out one effect. Only Exec has an Output.
	Do(ctx context.Context, e Effect) (Output, error)
}

// Output is what an Exec printed (the last 64 KiB of each stream) and how it ended.
type Output struct {
	Stdout, Stderr []byte
	Code           int
}

// Effect is one change of the machine.
type Effect interface {
	// String returns the line that a dry run prints: an imperative, with the object and its identity.
	String() string
	// Writes returns the device nodes and file paths whose contents the effect may change; nil if it changes no storage. A
	// test uses it to prove that no source device is written before the commit.
	Writes() []string
}

// Exec runs a program. Root, when set, is the directory to chroot into.
type Exec struct {
	Argv   []string
	Env    []string // the whole environment; empty means only PATH, HOME=/root and LC_ALL=C
	Root   string
	OK     []int    // exit codes that mean success; empty means only 0
	Alters []string // the devices or directories that the program writes
	Stdin  []byte   // its standard input
	Keep   int      // how many bytes to keep of the end of its standard output; 0 means 64 KiB
}

// MountFlag is a set of flags of mount(2). They are defined here so that no other package needs syscall.
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
	Data                 string // filesystem options, such as "noload,discard"
	Quiet                bool   // with Data, a read-only mount of Type does not write to Source: no log is replayed
}

// Unmount unmounts Target, which must not be in use.
type Unmount struct{ Target string }

// Mkdir makes a directory and its parents. A directory that exists is left as it is.
type Mkdir struct {
	Path string
	Mode fs.FileMode
}

// WriteFile replaces a file atomically: it writes a temporary file in the same directory, fsyncs it, renames it, and fsyncs the
// directory. The owner, mode and extended attributes of an existing file are kept; Mode is for a new file. It is an error if
// Path is a symbolic link. Old is the current content (nil if there is none); it is only used to print a unified diff.
type WriteFile struct {
	Path      string
	Data, Old []byte
	Mode      fs.FileMode
}

// WriteInPlace overwrites the content of a file without changing its blocks, and fsyncs it. GRUB's environment block needs
// that. Data must have the length of the file.
type WriteInPlace struct {
	Path string
	Data []byte
}

// CopyFile copies a regular file atomically, as WriteFile does.
type CopyFile struct {
	From, To string
	Mode     fs.FileMode
}

// Remove removes a file or an empty directory. It is not an error if it does not exist.
type Remove struct{ Path string }

// Rename renames a file within one filesystem. It fsyncs the file before, and both directories after. The commit is a Rename.
type Rename struct{ From, To string }

// Symlink makes (or atomically replaces) a symbolic link at Path.
type Symlink struct{ Target, Path string }

// Chunk is one write to a device.
type Chunk struct {
	Offset int64
	Data   []byte
	Zero   int64 // if Data is nil: the number of zero bytes to write
}

// WriteDevice writes chunks to a block device in order, with an fsync after each. Why describes them.
type WriteDevice struct {
	Dev, Why string
	Chunks   []Chunk
}

// SetReadOnly sets or clears the kernel's read-only flag of a block device (BLKROSET), and checks that it took effect. A
// partition whose flag is cleared stays read-only until the flag of its disk is cleared too.
type SetReadOnly struct {
	Dev string
	On  bool
}

// HoldDisk takes or releases systemd's lock of a whole block device, an exclusive flock on its node (BLOCK_DEVICE_LOCKING in
// systemd's documentation). While it is held, udev neither probes the disk nor re-reads its partition table; a re-read makes
// every unused partition disappear for a moment. The kernel releases the lock when the process ends.
type HoldDisk struct {
	Dev string
	On  bool
}

// Extent is a partition as the kernel should see it. Start and Size are in bytes.
type Extent struct {
	Number      int
	Start, Size int64
}

// Partitions makes the kernel's view of a disk's partitions equal to Parts, and waits for their nodes. It changes only what
// differs (BLKPG). It fails if a partition that would change is in use, and names that partition.
type Partitions struct {
	Dev   string
	Parts []Extent
}

// Ioctl issues one ioctl on a device. If Arg is nil, Value is passed. Alters names what the ioctl writes, if anything.
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

// LoadModule loads one kernel module file (finit_module, or init_module if Image has the decompressed module). It is not an
// error if the module is already loaded.
type LoadModule struct {
	Path, Options string
	Image         []byte
}

// Sync flushes the filesystem that Path is on, so that a boot loader that replays no log sees what is on it (syncfs, and for xfs a
// short freeze).
type Sync struct{ Path string }

// SwitchRoot makes NewRoot the root directory and executes Init there. It deletes the old root, but only if that is known to be
// the initramfs: the process is PID 1, statfs reports ramfs or tmpfs, and the marker file exists. It does not return unless it
// fails.
type SwitchRoot struct {
	NewRoot, Init string
	Args, Env     []string
}

// Reboot reboots or stops the machine: How is "reboot", "poweroff" or "halt". It flushes the disks first, for at most 30
// seconds.
type Reboot struct{ How string }
