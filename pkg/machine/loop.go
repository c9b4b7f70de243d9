package machine

import "fmt"

// Loop attaches File to the loop device Dev, which must be free; it is added if the kernel does not have it yet. With a Size,
// File is first made (or cut) to that many bytes without any blocks: a disk in memory, if it is on a tmpfs.
type Loop struct {
	Dev, File string
	Size      int64
	ReadOnly  bool
}

// LoopOff detaches the file of a loop device, which must not be in use. It is not an error if it has none.
type LoopOff struct{ Dev string }

func (e Loop) String() string {
	s := "attach file " + e.File + " to " + e.Dev
	if e.ReadOnly {
		s += " (read-only)"
	}
	if e.Size > 0 {
		s += fmt.Sprintf(" (made empty; %d bytes)", e.Size)
	}
	return s
}

// Writes names the file, unless it is only read.
func (e Loop) Writes() []string {
	if e.ReadOnly && e.Size == 0 {
		return nil
	}
	return []string{e.File}
}

func (e LoopOff) String() string { return "detach the file of " + e.Dev }

// Writes returns nil: the file stays as it is.
func (e LoopOff) Writes() []string { return nil }
