// Package zfs spells what the programs zpool and zfs are told and what they print, and the file that holds a machine's host id.
// The labels of a pool's devices are read by package probe.
//
// The package runs nothing and reads no file: bytes and values come as arguments. What the programs print is treated as hostile:
// a line that does not fit is an error or is passed over, and nothing is allocated that is not in the text already.
//
// A pool gets its GUID from the kernel when it is created, and nobody can choose it beforehand. What can be chosen is the pool's
// property comment: up to 32 characters, which the kernel writes into the label of every device (spa_config_generate in
// module/zfs/spa_config.c), from the first label that counts. A planned pool has 32 hexadecimal digits there, by which it is found
// before it is imported; see [Comment].
//
// An argument never forces: -f is not in the vocabulary of this package, so that a pool that another host may use, or a device
// that holds something else, is always refused by the programs too.
package zfs
