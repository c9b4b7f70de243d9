package machine

import (
	"strings"
	"testing"
)

func TestParseUevent(t *testing.T) {
	msg := func(s ...string) []byte { return []byte(strings.Join(s, "\x00") + "\x00") }
	for _, tt := range []struct {
		msg  []byte
		want Uevent
		ok   bool
	}{
		{msg("add@/devices/vda", "ACTION=add", "DEVPATH=/devices/vda", "SUBSYSTEM=block", "MAJOR=254", "DEVNAME=vda", "SEQNUM=7"),
			Uevent{Action: "add", Devpath: "/devices/vda", Subsystem: "block", Devname: "vda"}, true},
		{msg("add@/devices/pci0", "MODALIAS=pci:v=1"), Uevent{Action: "add", Devpath: "/devices/pci0", Modalias: "pci:v=1"}, true},
		{msg("change@/d", "novalue", "", "=x"), Uevent{Action: "change", Devpath: "/d"}, true},
		{msg("libudev", "\xfe\xed\xca\xfe"), Uevent{}, false},
		{[]byte("add@/devices/cut"), Uevent{}, false},
		{msg("@/d"), Uevent{}, false},
		{msg("add@relative"), Uevent{}, false},
		{nil, Uevent{}, false},
	} {
		if got, ok := parseUevent(tt.msg); got != tt.want || ok != tt.ok {
			t.Errorf("%q: %+v, %t", tt.msg, got, ok)
		}
	}
}

func FuzzParseUevent(f *testing.F) {
	f.Add([]byte("add@/devices/vda\x00ACTION=add\x00DEVNAME=vda\x00"))
	f.Add([]byte("libudev\x00\xfe\xed\xca\xfe"))
	f.Add([]byte("@\x00=\x00"))
	f.Fuzz(func(t *testing.T, msg []byte) {
		u, ok := parseUevent(msg)
		if !ok && u != (Uevent{}) {
			t.Errorf("refused, but returned %+v", u)
		}
		for _, s := range []string{u.Action, u.Devpath, u.Devname, u.Subsystem, u.Modalias} {
			if strings.Contains(s, "\x00") {
				t.Errorf("%q crosses a field", s)
			}
		}
	})
}
