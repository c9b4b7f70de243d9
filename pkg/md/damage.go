package md

import "fmt"

// Damage says what is wrong with bytes that should be a superblock.
type Damage int

// Kinds of damage.
const (
	NoMagic      Damage = iota // nothing of md is here
	Short                      // too few bytes
	WrongVersion               // the magic, but another format than the position promises
	BadChecksum                // the magic and a checksum that does not match
	BadField                   // a good checksum over an impossible value
	Misplaced                  // a good superblock of another device: a partition's, or a copy's
	Truncated                  // a good superblock that describes more data than the device has
	Unsupported                // recognised, not readable here
)

// Damaged is the evidence that a superblock is, or was, here and is unusable.
type Damaged struct {
	Version Version // of the position that was looked at
	Offset  int64   // bytes from the device's start; -1: not known
	Kind    Damage
	Detail  string
}

func (d *Damaged) Error() string {
	if d.Offset < 0 {
		return fmt.Sprintf("md %s superblock: %s", d.Version, d.Detail)
	}
	return fmt.Sprintf("md %s superblock at byte %d: %s", d.Version, d.Offset, d.Detail)
}

func damaged(v Version, k Damage, format string, args ...any) *Damaged {
	return &Damaged{Version: v, Offset: -1, Kind: k, Detail: fmt.Sprintf(format, args...)}
}
