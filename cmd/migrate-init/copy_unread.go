package main

import (
	"fmt"

	"migrate-init/pkg/copy"
	"migrate-init/pkg/plan"
)

// What is done about what cannot be read, in a plan's words.
const (
	policyStop = "stop"
	policySkip = "skip-and-list"
)

func (c *call) skips() bool { return c.opt.readError == policySkip }

// incomplete is the end of a copy that is verified and lacks what could not be read: exit code 3.
type incomplete struct{ error }

// incompleteCopy is nil where nothing lacks. A copy that went on from an earlier one tells in its verification what
// that could not read.
func incompleteCopy(src string, copied, verified copy.Counts) error {
	if copied.Unread == 0 && verified.Unread == 0 {
		return nil
	}
	return incomplete{fmt.Errorf("source %s: it could not be read in %d places, which the copy lacks; they are listed, and all else is copied and verified: restore them from a backup", src, max(copied.Unread, verified.Unread))}
}

// damage adds to what a copy of the directory src lacks what the kernel complained of about its filesystem. By the policy it is an error.
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

// but limits what is said of a copy that lacks something.
func but(lacks error) string {
	if lacks == nil {
		return ""
	}
	return ", but for what could not be read"
}

// list says what the copy lacks: where it could not be read, and how it is in the copy.
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
