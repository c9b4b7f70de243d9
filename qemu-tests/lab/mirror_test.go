package lab

import (
	"testing"
	"testing/fstest"
)

func TestMirror(t *testing.T) {
	t.Setenv("MIGRATE_INIT_MIRROR", "")
	for name, c := range map[string]struct {
		files map[string]string
		want  string // empty: an error
	}{
		"deb822": {map[string]string{"etc/apt/sources.list.d/debian.sources": "Types: deb\n# a note\nURIs: http://mirror.test/debian\nSuites: bookworm\n bookworm-updates\nComponents: main contrib\n\nTypes: deb\nURIs: http://mirror.test/sec\nSuites: bookworm-security\nComponents: main\n"},
			"deb http://mirror.test/debian bookworm main\ndeb http://mirror.test/debian bookworm-updates main\ndeb http://mirror.test/sec bookworm-security main\n"},
		"one line": {map[string]string{"etc/apt/sources.list": "# deb http://no.test/ bookworm main\ndeb-src http://no.test/ bookworm main\ndeb [ arch=amd64 ] http://mirror.test/debian bookworm main non-free # good\n"},
			"deb http://mirror.test/debian bookworm main\n"},
		"foreign archives": {map[string]string{"etc/apt/sources.list": "deb http://other.test/apt tool-bookworm main\n"}, ""},
		"disabled":         {map[string]string{"etc/apt/sources.list.d/a.sources": "Enabled: no\nTypes: deb\nURIs: http://x.test\nSuites: bookworm\nComponents: main\n"}, ""},
		"without main":     {map[string]string{"etc/apt/sources.list": "deb http://mirror.test/debian bookworm contrib\n"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			root := fstest.MapFS{}
			for p, s := range c.files {
				root[p] = &fstest.MapFile{Data: []byte(s)}
			}
			got, err := mirror(root, "bookworm")
			if got != c.want || (err != nil) != (c.want == "") {
				t.Errorf("mirror = %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

// TestMirrorComponents shows that a component which this machine does not use can be had all the same.
func TestMirrorComponents(t *testing.T) {
	t.Setenv("MIGRATE_INIT_MIRROR", "")
	root := fstest.MapFS{"etc/apt/sources.list": {Data: []byte("deb http://mirror.test/debian bookworm main\n")}}
	got, err := mirror(root, "bookworm", "contrib")
	if want := "deb http://mirror.test/debian bookworm main contrib\n"; got != want || err != nil {
		t.Errorf("mirror = %q, %v; want %q", got, err, want)
	}
}
