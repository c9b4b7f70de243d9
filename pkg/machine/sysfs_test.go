package machine

import (
	"slices"
	"testing"
	"testing/fstest"
)

func TestConsolesInTheKernelsOrder(t *testing.T) {
	for text, want := range map[string][]string{
		"tty0 ttyS0\n": {"/dev/tty0", "/dev/ttyS0"},
		"\n":           {"/dev/console"},
		"../x hvc0":    {"/dev/hvc0"},
	} {
		got := consoles(fstest.MapFS{"sys/class/tty/console/active": {Data: []byte(text)}})
		if !slices.Equal(got, want) {
			t.Errorf("%q: %q", text, got)
		}
	}
	if got := consoles(fstest.MapFS{}); !slices.Equal(got, []string{"/dev/console"}) {
		t.Errorf("without sysfs: %q", got)
	}
}
