package main

import (
	"io"
	"os"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// Colours of a terminal (ECMA-48): only words of severity have one, and nothing is said by colour alone.
const (
	red    = "31"
	yellow = "33"
	green  = "32"
)

// colored reports whether what is written may have colours: to a terminal that knows them, unless the user wants none
// (no-color.org).
func colored(w io.Writer) bool {
	if os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" || os.Getenv("TERM") == "" {
		return false
	}
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, ok = machine.TerminalWidth(f)
	return ok
}

// paint colours a word that goes to w.
func (c *call) paint(w io.Writer, color, word string) string {
	if c.colors == nil || !c.colors(w) {
		return word
	}
	return "\x1b[" + color + "m" + word + "\x1b[0m"
}

// severity spells a severity for results.
func (c *call) severity(s plan.Severity) string {
	color := map[plan.Severity]string{plan.Refuse: red, plan.Warn: yellow, plan.OK: green}[s]
	return c.paint(c.out, color, string(s))
}
