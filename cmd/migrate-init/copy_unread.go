package main

import (
	"fmt"

	"migrate-init/pkg/copy"
	"migrate-init/pkg/plan"
)

// The policies for what cannot be read, as plans name them.
const (
	policyStop = "stop"
	policySkip = "skip-and-list"
)

func (c *call) skips() bool { return c.opt.readError == policySkip }

// incomplete ends a copy that is verified but for what could not be read: exit code 3.
type incomplete struct{ error }

// incompleteCopy is nil when nothing is missing. The verification of a resumed copy counts what the interrupted one could
// not read.
func incompleteCopy(src string, copied, verified copy.Counts) error {
	if copied.Unread == 0 && verified.Unread == 0 {
		return nil
	}
	return incomplete{fmt.Errorf("source %s: %d place(s) could not be read and are missing from the copy; they are listed, and everything else is copied and verified; restore the missing items from a backup", src, max(copied.Unread, verified.Unread))}
}

// damage adds the errors that the kernel logged about the filesystem of src to what could not be read. Unless that is to be
// skipped, they are an error.
func (c *call) damage(f *plan.Facts, src, dst string, log *copy.KernelLog, n *copy.Counts) error {
	had := len(n.Skipped)
	unsure, err := n.AddKernelErrors(log, pathOf(deviceOf(f, src)), pathOf(deviceOf(f, dst)))
	if unsure != nil {
		c.note("%v; filesystem errors that appear only there may be missed", unsure)
	}
	if err == nil && len(n.Skipped) > had && !c.skips() {
		err = fmt.Errorf("source %s; --read-error skip-and-list copies the rest", n.Skipped[had])
	}
	return err
}

func pathOf(d *plan.Device) string {
	if d == nil {
		return ""
	}
	return d.Path
}

// exceptUnread qualifies what is printed of a copy from which something is missing.
func exceptUnread(missing error) string {
	if missing == nil {
		return ""
	}
	return ", except for what could not be read"
}

// list prints what could not be read, and what the copy has instead.
func (c *call) list(copied, verified copy.Counts) {
	for _, n := range []copy.Counts{copied, verified} {
		for _, s := range n.Skipped {
			fmt.Fprintf(c.out, "unread: %s\n", s)
		}
		if more := n.Unread - int64(len(n.Skipped)); more > 0 {
			fmt.Fprintf(c.out, "unread: and %d more\n", more)
		}
	}
}
