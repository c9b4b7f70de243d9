package machine

import (
	"fmt"
	"io/fs"
	"strings"
	"sync"
)

// Real carries out effects on this machine; only on Linux. The zero value is ready to use. A Real must not be copied.
//
// Files: symbolic links in the directories of a path are followed, but never one in its last component. A caller that works in
// another root must make sure that its directories are not links that lead out of it.
type Real struct {
	// Lines, if not nil, is called with every line that a program prints to standard output or standard error, without the
	// newline. For one program it is called by one goroutine at a time.
	Lines func(string)

	// Image is the marker file that proves to SwitchRoot that / is our initramfs; empty means ImageMarker.
	Image string

	starting sync.RWMutex // held for reading while a child is started, so that Reap never sees one before its owner is known
	own      sync.Map     // pid -> *exec.Cmd, those whose status belongs to Do
	kick     chan struct{}
	held     holds
}

// ImageMarker is the file that `build` puts into the root of every image, and that exists nowhere else.
const ImageMarker = "/migrate-init.image"

// ExecError is the failure of a program that was started.
type ExecError struct {
	Argv   []string
	Code   int    // exit code; 128 + signal when a signal ended it
	Signal string // its name, when a signal ended it
	Stderr []byte // the end of its standard error, or of its standard output if it printed nothing there
	Err    error  // the error of the context, if that is why it was killed
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

// Unwrap returns e.Err.
func (e *ExecError) Unwrap() error { return e.Err }

// lastLines joins the last n lines that are not blank with "; ".
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
