package machine

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// This file has String and Writes of the effects that run programs, mount, and change devices. Those of file effects are in
// effect_file.go.

// DefaultEnv is the environment of an Exec whose Env is empty.
func DefaultEnv() []string {
	return []string{"PATH=" + defaultPath, "HOME=/root", "LC_ALL=C"}
}

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func (e Exec) String() string {
	var b strings.Builder
	b.WriteString("run ")
	for _, kv := range e.Env {
		if !slices.Contains(DefaultEnv(), kv) {
			b.WriteString(quote(kv) + " ")
		}
	}
	b.WriteString(quoteAll(e.Argv))
	if e.Root != "" {
		b.WriteString(" (chroot " + e.Root + ")")
	}
	return b.String()
}

// Writes returns what the program is declared to alter.
func (e Exec) Writes() []string { return e.Alters }

func (e Mount) String() string {
	verb := "mount"
	if e.Flags&Bind != 0 {
		verb = "bind"
	}
	var b strings.Builder
	b.WriteString(verb + " " + e.Source + " on " + e.Target)
	var notes []string
	if e.Type != "" {
		notes = append(notes, e.Type)
	}
	if f := (e.Flags &^ Bind).String(); f != "" {
		notes = append(notes, f)
	}
	if e.Data != "" {
		notes = append(notes, e.Data)
	}
	if len(notes) > 0 {
		b.WriteString(" (" + strings.Join(notes, "; ") + ")")
	}
	return b.String()
}

// Writes names the source if the mount may write to it. A read-only mount may, too: a journalling filesystem replays its log
// unless an option forbids it. A source with the same name as its type belongs to the kernel (proc, tmpfs); any other source
// is a device or a pool.
func (e Mount) Writes() []string {
	if e.Flags&Bind != 0 {
		return nil
	}
	if e.Source == e.Type || e.Type == "" && !strings.HasPrefix(e.Source, "/") {
		return nil
	}
	if e.Flags&ReadOnly != 0 && e.Quiet {
		return nil
	}
	return nonEmpty(e.Source)
}

// String returns the flags as options of mount(8), or "" for none.
func (f MountFlag) String() string {
	names := []struct {
		flag MountFlag
		name string
	}{
		{ReadOnly, "ro"}, {NoSuid, "nosuid"}, {NoDev, "nodev"}, {NoExec, "noexec"}, {Bind, "bind"},
	}
	var out []string
	for _, n := range names {
		if f&n.flag != 0 {
			out = append(out, n.name)
			f &^= n.flag
		}
	}
	if f != 0 {
		out = append(out, fmt.Sprintf("%#x", uint32(f)))
	}
	return strings.Join(out, ",")
}

func (e Unmount) String() string { return "unmount " + e.Target }

// Writes returns nil: the effects that wrote the flushed data have named it.
func (e Unmount) Writes() []string { return nil }

func (e WriteDevice) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "write %s to %s:", orElse(e.Why, "data"), e.Dev)
	for i, c := range e.Chunks {
		if i > 0 {
			b.WriteString(",")
		}
		if c.Data == nil {
			fmt.Fprintf(&b, " %d zero bytes at %d", c.Zero, c.Offset)
		} else {
			fmt.Fprintf(&b, " %d bytes at %d", len(c.Data), c.Offset)
		}
	}
	if len(e.Chunks) == 0 {
		b.WriteString(" nothing")
	}
	return b.String()
}

// Writes names the device.
func (e WriteDevice) Writes() []string { return []string{e.Dev} }

func (e SetReadOnly) String() string {
	if e.On {
		return "make block device " + e.Dev + " read-only"
	}
	return "make block device " + e.Dev + " writable"
}

// Writes returns nil: the flag is kept in the kernel.
func (e SetReadOnly) Writes() []string { return nil }

func (e HoldDisk) String() string {
	if e.On {
		return "lock disk " + e.Dev + " against udev"
	}
	return "unlock disk " + e.Dev + " for udev"
}

// Writes returns nil: the lock is kept in the kernel.
func (e HoldDisk) Writes() []string { return nil }

func (e Partitions) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "tell the kernel the partitions of %s:", e.Dev)
	for i, p := range e.Parts {
		if i > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, " %d (%d bytes at %d)", p.Number, p.Size, p.Start)
	}
	if len(e.Parts) == 0 {
		b.WriteString(" none")
	}
	return b.String()
}

// Writes returns nil: the kernel's view changes, the disk does not.
func (e Partitions) Writes() []string { return nil }

func (e Ioctl) String() string {
	if e.Arg == nil {
		return fmt.Sprintf("ioctl %s (%#x) on %s, value %d", e.Name, e.Req, e.Dev, e.Value)
	}
	return fmt.Sprintf("ioctl %s (%#x) on %s, %s", e.Name, e.Req, e.Dev, hexHead(e.Arg))
}

// Writes returns what the ioctl is declared to alter.
func (e Ioctl) Writes() []string { return e.Alters }

func (e WriteSys) String() string {
	return fmt.Sprintf("set %s to %q", e.Path, strings.TrimSuffix(e.Value, "\n"))
}

// Writes returns what the setting is declared to alter.
func (e WriteSys) Writes() []string { return e.Alters }

func (e LoadModule) String() string {
	s := "load module " + e.Path
	if e.Options != "" {
		s += " " + e.Options
	}
	if e.Image != nil {
		s += fmt.Sprintf(" (image of %d bytes)", len(e.Image))
	}
	return s
}

// Writes returns nil.
func (e LoadModule) Writes() []string { return nil }

func (e SwitchRoot) String() string {
	s := "switch root to " + e.NewRoot + " and execute " + quoteAll(append([]string{e.Init}, e.Args...))
	if len(e.Env) > 0 {
		s += " with " + quoteAll(e.Env)
	}
	return s
}

// Writes returns nil: it deletes only what is known to be in memory.
func (e SwitchRoot) Writes() []string { return nil }

func (e Reboot) String() string {
	switch e.How {
	case "reboot":
		return "reboot the machine"
	case "poweroff":
		return "power the machine off"
	case "halt":
		return "halt the machine"
	}
	return fmt.Sprintf("end the kernel's run by %q", e.How)
}

// Writes returns nil.
func (e Reboot) Writes() []string { return nil }

func quoteAll(argv []string) string {
	out := make([]string, len(argv))
	for i, a := range argv {
		out[i] = quote(a)
	}
	return strings.Join(out, " ")
}

// quote quotes s for a POSIX shell.
func quote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("@%+=:,./_-", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// hexHead describes binary data by its length and its first bytes.
func hexHead(b []byte) string {
	const head = 32
	if len(b) <= head {
		return fmt.Sprintf("%d bytes: %x", len(b), b)
	}
	return fmt.Sprintf("%d bytes: %x...", len(b), b[:head])
}

func nonEmpty(names ...string) []string {
	return slices.DeleteFunc(names, func(s string) bool { return s == "" })
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func modeString(m fs.FileMode) string {
	return fmt.Sprintf("mode %04o", unixMode(m))
}

// unixMode returns the twelve permission bits as chmod(2) wants them.
func unixMode(m fs.FileMode) uint32 {
	bits := uint32(m.Perm())
	if m&fs.ModeSetuid != 0 {
		bits |= 0o4000
	}
	if m&fs.ModeSetgid != 0 {
		bits |= 0o2000
	}
	if m&fs.ModeSticky != 0 {
		bits |= 0o1000
	}
	return bits
}
