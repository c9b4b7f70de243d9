package machine

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLines bounds the number of lines that one call of Lines returns.
const maxLines = 1000

// KernelLog reads the messages that the kernel itself has logged since the KernelLog was opened.
type KernelLog struct{ fd int }

// OpenKernelLog opens /dev/kmsg for reading.
func OpenKernelLog() (*KernelLog, error) {
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("kernel log: %w", err)
	}
	if _, err := unix.Seek(fd, 0, io.SeekEnd); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("kernel log: %w", err)
	}
	return &KernelLog{fd}, nil
}

// Lines returns the messages since the last call for which keep returns true, at most the first 1,000. It ignores what
// processes wrote to the log. lost reports that the kernel has overwritten messages that had not been read. Lines never blocks.
func (l *KernelLog) Lines(keep func(string) bool) (lines []string, lost bool, err error) {
	buf := make([]byte, 8192) // more than the longest record
	for {
		n, err := unix.Read(l.fd, buf)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return lines, lost, nil
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EPIPE):
			lost = true // the next record is the oldest there is
			continue
		case err != nil:
			return lines, lost, fmt.Errorf("kernel log: %w", err)
		case n == 0:
			return lines, lost, nil
		}
		if text, ok := kernelMessage(string(buf[:n])); ok && len(lines) < maxLines && keep(text) {
			lines = append(lines, text)
		}
	}
}

// kernelMessage returns the text of a record "priority,sequence,time,flags;text\n key=value\n". ok is false unless its facility
// is 0, the kernel's own (Documentation/ABI/testing/dev-kmsg).
func kernelMessage(record string) (text string, ok bool) {
	head, text, ok := strings.Cut(record, ";")
	prio, _, _ := strings.Cut(head, ",")
	p, err := strconv.Atoi(prio)
	if !ok || err != nil || p>>3 != 0 {
		return "", false
	}
	text, _, _ = strings.Cut(text, "\n")
	return text, true
}
