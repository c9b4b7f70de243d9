package machine

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLines bounds what one call of Lines returns.
const maxLines = 1000

// KernelLog reads what the kernel itself logs, from the moment at which it was opened.
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

// Lines returns the messages since the last call, at most 1,000, without what processes wrote into the log. It never waits.
func (l *KernelLog) Lines() ([]string, error) {
	var out []string
	buf := make([]byte, 8192) // more than a record can have
	for len(out) < maxLines {
		n, err := unix.Read(l.fd, buf)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return out, nil
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EPIPE): // EPIPE: records were overwritten; the next is the oldest
			continue
		case err != nil:
			return out, fmt.Errorf("kernel log: %w", err)
		case n == 0:
			return out, nil
		}
		if text, ok := kernelMessage(string(buf[:n])); ok {
			out = append(out, text)
		}
	}
	return out, nil
}

// Close closes the log.
func (l *KernelLog) Close() error { return unix.Close(l.fd) }

// kernelMessage is the text of a record "priority,sequence,time,flags;text\n key=value\n" of facility 0, the kernel's own
// (Documentation/ABI/testing/dev-kmsg).
func kernelMessage(record string) (string, bool) {
	head, text, ok := strings.Cut(record, ";")
	prio, _, _ := strings.Cut(head, ",")
	p, err := strconv.Atoi(prio)
	if !ok || err != nil || p>>3 != 0 {
		return "", false
	}
	text, _, _ = strings.Cut(text, "\n")
	return text, true
}
