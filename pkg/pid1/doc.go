// Package pid1 is PID 1 of an image, apart from what it runs: it sets the process up, writes to every console, reaps,
// watches for hangs, and carries out the policy for failures. What it runs is a row in the table of modes (modes.go).
//
// Contract: Main does not return. It ends in another program (switch_root), in a reboot, a power-off or a shell as the
// policy says, or, when even that fails, in the end of the process: the kernel then panics and resets the machine after
// kernel.panic seconds. An error or panic of a mode ends in the policy like any other failure; nothing is logged and
// then ignored, except what only makes a later step fail and is reported there.
package pid1
