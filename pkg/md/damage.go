package md

import "fmt"

// Damage classifies what is wrong with bytes that should be a superblock.
type Damage int

// Kinds of damage.
const (
	NoMagic      Damage = iota // there is no md superblock here
	Short                      // too few bytes
	WrongVersion               // the magic matches, but the format is not that of this position
	BadChecksum                // the magic matches, the checksum does not
	BadField                   // the checksum matches, but a value is impossible
	Misplaced                  // a good superblock of another device: of a partition, or of a copy
	Truncated                  // a good superblock that describes more data than the device holds
	Unsupported                // recognized, but this package cannot read it
)

// Damaged is the evidence that a superblock is, or was, here and cannot be used.
type Damaged struct {
	Version Version // the version that has its superblock at this position
	Offset  int64   // bytes from the start of the device; -1: not known
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
