package machine

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestModaliasesOfATree(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	got, err := Modaliases(fstest.MapFS{
		"sys/devices/pci0/1/modalias":                                 file("pci:v2\n"),
		"sys/devices/pci0/modalias":                                   file("pci:v1\n"),
		"sys/devices/pci0/2/modalias":                                 file("pci:v1\n"),
		"sys/devices/empty/modalias":                                  file("\n"),
		"sys/devices/big/modalias":                                    file(strings.Repeat("x", maxModalias+1)),
		"sys/devices/link/modalias":                                   {Data: []byte("../pci0"), Mode: fs.ModeSymlink},
		"sys/devices/" + strings.Repeat("d/", maxDepth) + "/modalias": file("deep"),
		"sys/class/modalias":                                          file("no device"),
	})
	if err != nil || !slices.Equal(got, []string{"pci:v1", "pci:v2"}) {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := Modaliases(fstest.MapFS{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without sysfs: %v", err)
	}
}

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
