package machine

import (
	"bytes"
	"strings"
)

// Uevent is a message from the kernel about a device.
type Uevent struct {
	Action    string // "add", "remove", "change", ...
	Devpath   string // below /sys
	Subsystem string
	Devname   string // below /dev; empty if there is no node
	Modalias  string
}

// parseUevent parses one datagram of the kernel's kobject uevent group: "ACTION@DEVPATH", then fields KEY=VALUE, each terminated
// by NUL (lib/kobject_uevent.c). It returns false for anything else, including udevd's own messages.
func parseUevent(msg []byte) (Uevent, bool) {
	head, rest, ok := bytes.Cut(msg, []byte{0})
	action, devpath, at := strings.Cut(string(head), "@")
	if !ok || !at || action == "" || !strings.HasPrefix(devpath, "/") {
		return Uevent{}, false
	}
	u := Uevent{Action: action, Devpath: devpath}
	for field := range bytes.SplitSeq(rest, []byte{0}) {
		key, value, _ := strings.Cut(string(field), "=")
		switch key {
		case "ACTION":
			u.Action = value
		case "DEVPATH":
			u.Devpath = value
		case "SUBSYSTEM":
			u.Subsystem = value
		case "DEVNAME":
			u.Devname = value
		case "MODALIAS":
			u.Modalias = value
		}
	}
	return u, true
}
