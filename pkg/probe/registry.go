package probe

type format struct {
	name  string
	probe func(*device) []Signature
}

// registry lists the formats in order of precedence: first those that make the device a member of something, then
// tables, then swap, then filesystems. A new format is one file and one row.
func registry() []format {
	return []format{
		{"md", probeMD},
		{"firmware raid", probeFakeRAID},
		{"luks", probeLUKS},
		{"lvm", probeLVM},
		{"zfs", probeZFS},
		{"partition table", probeTable},
		{"swap", probeSwap},
		{"ext", probeExt},
		{"xfs", probeXFS},
		{"btrfs", probeBtrfs},
		{"vfat", probeVFAT},
		{"foreign", probeForeign},
		{"weak magics", probeWeak},
	}
}
