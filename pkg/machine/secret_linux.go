package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// maxSecret is the longest line that a terminal hands over (N_TTY's buffer).
const maxSecret = 4096

// ReadSecret reads a line from whichever terminal a person types it on first, without echo. Empty lines are passed over:
// terminal servers send them when they connect. What was typed before is discarded; ready is called when the terminals no
// longer echo, and what is typed from then on counts: the question belongs there, since an answer may follow it at once. It is
// an error if no terminal can be read.
func ReadSecret(ctx context.Context, terminals []string, ready func()) ([]byte, error) {
	type answer struct {
		line []byte
		err  error
	}
	answers := make(chan answer, len(terminals))
	var open []*os.File
	errs := []error{errors.New("no terminal can be read")}
	for _, name := range terminals {
		f, restore, err := quiet(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		defer f.Close()
		defer restore()
		open = append(open, f)
		go func() {
			line, err := readLine(f)
			answers <- answer{line, err}
		}()
	}
	if len(open) > 0 {
		ready()
	}
	rest := len(open)
	defer func() {
		for _, f := range open {
			_ = f.SetReadDeadline(time.Unix(1, 0)) // ends the reads that still wait
		}
		for range rest {
			<-answers
		}
	}()
	for rest > 0 {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case a := <-answers:
			rest--
			if a.err == nil {
				return a.line, nil
			}
			errs = append(errs, a.err)
		}
	}
	return nil, errors.Join(errs...)
}

// quiet opens a terminal, discards what was typed and turns its echo off; restore turns it on again.
func quiet(name string) (f *os.File, restore func(), err error) {
	f, err = os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	fd := int(f.Fd())
	was, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err == nil {
		now := *was
		now.Lflag |= unix.ICANON
		now.Lflag &^= unix.ECHO | unix.ECHOE | unix.ECHOK | unix.ECHONL
		now.Iflag |= unix.ICRNL
		err = unix.IoctlSetTermios(fd, unix.TCSETSF, &now)
	}
	if err == nil {
		err = unix.SetNonblock(fd, true) // Fd has made it blocking
	}
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("terminal %s: %w", name, err)
	}
	return f, func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, was) }, nil // what fails here shows on the terminal
}

func readLine(f *os.File) ([]byte, error) {
	var line []byte
	b := make([]byte, maxSecret)
	for len(line) <= maxSecret {
		n, err := f.Read(b)
		if err != nil {
			return nil, err
		}
		line = append(line, b[:n]...)
		if got, _, whole := bytes.Cut(line, []byte("\n")); whole {
			if got = bytes.TrimRight(got, "\r"); len(got) > 0 {
				return got, nil
			}
			line = nil
		}
	}
	return nil, fmt.Errorf("terminal %s: a line of more than %d bytes", f.Name(), maxSecret)
}
