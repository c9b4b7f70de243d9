package plan

import (
	"strings"
	"testing"
)

func TestAtLeast(t *testing.T) {
	for release, want := range map[string]bool{
		"6.19.0": true, "6.19-rc1": true, "6.20.1-amd64": true, "7.0.0": true, "7": true, "10.1": true,
		"6.18.9": false, "6.1.0-18-amd64": false, "5.99": false, "6": false, "": false, "next": false, "6.": false,
	} {
		if got := atLeast(release, 6, 19); got != want {
			t.Errorf("%q: %v, want %v", release, got, want)
		}
	}
}

func TestCheckArrayKernels(t *testing.T) {
	for _, c := range []struct {
		planned, other string
		warned         bool
	}{
		{"6.19.2-amd64", "6.1.0-18-amd64", true},
		{"6.19.2-amd64", "6.20.0-amd64", false},
		{"6.1.0-18-amd64", "6.1.0-17-amd64", false},
		{"6.1.0-18-amd64", "6.19.2-amd64", false}, // booting it once is the operator's choice, and is not the plan's
	} {
		f := good()
		p := planned(t, f, wish())
		p.Boot.Release, f.Boot.Kernels[0].Release = c.planned, c.planned
		f.Boot.Kernels = append(f.Boot.Kernels, Image{Path: "/boot/vmlinuz-other", Release: c.other, Modules: true})
		found := false
		for _, x := range Check(p, f, Live) {
			if x.ID == "array.kernels" && x.Severity == Warn {
				found = strings.Contains(x.String(), "/boot/vmlinuz-other") && strings.Contains(x.String(), "logical_block_size")
			}
		}
		if found != c.warned {
			t.Errorf("planned %s beside %s: warned %v", c.planned, c.other, found)
		}
	}
}
