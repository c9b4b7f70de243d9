package machine

import (
	"fmt"
	"io/fs"
	"strings"
	"sync"
)

// Real carries effects out on this machine; only on Linux. The zero value is ready; a Real must not be copied.
//
// Files: the directories on the way to a path are followed through symbolic links as the kernel would, the last
// component never is. A caller that works in a foreign root must know that its directories are not links that leave it.
type Real struct {
	// Lines, when set, gets every line a program prints to standard output or error, without its end, as it comes.
	// It is called by one goroutine at a time.
	Lines func(string)

	// Image is the marker file that proves to SwitchRoot that / is our initramfs; empty: ImageMarker.
	Image string

	starting sync.RWMutex // held for reading while a child is started, so that Reap never sees one before its owner is known
	own      sync.Map     // pid -> *exec.Cmd, those whose status belongs to Do
	kick     chan struct{}
	held     holds
}

// ImageMarker is the file that `build` puts at the root of every image, and that nothing else has.
const ImageMarker = "/migrate-init.image"

// ExecError is the failure of a program that was started.
type ExecError struct {
	Argv   []string
	Code   int    // exit code; 128 + signal when a signal ended it
	Signal string // its name, when a signal ended it
	Stderr []byte // the end of its standard error, or of its output when it said nothing there
	Err    error  // why it was killed (context), when it was
}

func (e *ExecError) Error() string {
	var b strings.Builder
	name := "program"
	if len(e.Argv) > 0 {
		name = e.Argv[0]
	}
	if e.Signal != "" {
		fmt.Fprintf(&b, "%s: ended by signal: %s", name, e.Signal)
	} else {
		fmt.Fprintf(&b, "%s: exit code %d", name, e.Code)
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	if lines := lastLines(e.Stderr, 3); lines != "" {
		b.WriteString(": " + lines)
	}
	return b.String()
}

// Unwrap returns the reason for which it was killed.
func (e *ExecError) Unwrap() error { return e.Err }

// lastLines joins the last n lines that are not blank by "; ".
func lastLines(text []byte, n int) string {
	var lines []string
	for l := range strings.FieldsFuncSeq(string(text), func(r rune) bool { return r == '\n' || r == '\r' }) {
		if l = strings.TrimSpace(l); l != "" {
			lines = append(lines, l)
		}
	}
	return strings.Join(lines[max(0, len(lines)-n):], "; ")
}

func pathError(op, path string, err error) error {
	return &fs.PathError{Op: op, Path: path, Err: err}
}
