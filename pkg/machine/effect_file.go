package machine

import "fmt"

func (e Mkdir) String() string { return "make directory " + e.Path + " (" + modeString(e.Mode) + ")" }

// Writes names the directory.
func (e Mkdir) Writes() []string { return []string{e.Path} }

func (e WriteFile) String() string {
	if e.Old == nil {
		return fmt.Sprintf("write file %s (new; %d bytes; %s)", e.Path, len(e.Data), modeString(e.Mode))
	}
	return fmt.Sprintf("rewrite file %s (%d bytes; was %d)", e.Path, len(e.Data), len(e.Old))
}

// Writes names the file.
func (e WriteFile) Writes() []string { return []string{e.Path} }

func (e WriteInPlace) String() string {
	return fmt.Sprintf("overwrite file %s in place (%d bytes)", e.Path, len(e.Data))
}

// Writes names the file.
func (e WriteInPlace) Writes() []string { return []string{e.Path} }

func (e CopyFile) String() string {
	return "copy file " + e.From + " to " + e.To + " (" + modeString(e.Mode) + ")"
}

// Writes names the copy.
func (e CopyFile) Writes() []string { return []string{e.To} }

func (e Remove) String() string { return "remove " + e.Path }

// Writes names the path that is removed.
func (e Remove) Writes() []string { return []string{e.Path} }

func (e Rename) String() string { return "rename " + e.From + " to " + e.To }

// Writes names the old and the new path.
func (e Rename) Writes() []string { return []string{e.From, e.To} }

func (e Symlink) String() string { return "link " + e.Path + " -> " + e.Target }

// Writes names the link.
func (e Symlink) Writes() []string { return []string{e.Path} }

func (e Sync) String() string { return "flush the filesystem of " + e.Path }

// Writes returns nil: the effects that wrote the flushed data have named it.
func (e Sync) Writes() []string { return nil }
