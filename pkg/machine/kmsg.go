package machine

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// maxRecord is the longest record, prefix included, in bytes. It is below the 1024 bytes that LOG_LINE_MAX once allowed.
const maxRecord = 990

// Kmsg writes lines to the kernel log, one record "<priority>tag: text" per write. The kernel limits their rate unless it was
// booted with printk_devkmsg=on.
type Kmsg struct {
	W   io.Writer
	Tag string
}

// OpenKmsg opens /dev/kmsg. It never needs to be closed, because PID 1 logs until it ends.
func OpenKmsg(tag string) (*Kmsg, error) {
	f, err := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	return &Kmsg{W: f, Tag: tag}, nil
}

// Write logs the lines of p with priority 6 (info). A line must not be split across calls.
func (k *Kmsg) Write(p []byte) (int, error) {
	if err := k.Log(6, string(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Log logs the lines of text with a syslog priority, 0 (emergency) to 7 (debug). It splits long lines and drops empty ones. It
// tries all lines and returns the first error.
func (k *Kmsg) Log(priority int, text string) error {
	prefix := fmt.Sprintf("<%d>%.64s: ", min(max(priority, 0), 7), k.Tag)
	var first error
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		for line != "" {
			n := cut(line, maxRecord-len(prefix))
			if _, err := io.WriteString(k.W, prefix+line[:n]+"\n"); err != nil && first == nil {
				first = fmt.Errorf("kernel log: %w", err)
			}
			line = line[n:]
		}
	}
	return first
}

// cut returns how much of s fits in n bytes without splitting a character.
func cut(s string, n int) int {
	if len(s) <= n {
		return len(s)
	}
	for back := range utf8.UTFMax {
		if utf8.RuneStart(s[n-back]) {
			return n - back
		}
	}
	return n
}
