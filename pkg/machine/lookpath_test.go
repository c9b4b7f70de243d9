package machine

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// inRoot makes a root directory: a name is a directory if it ends in /, a link if its value begins with ->, or an executable.
func inRoot(t *testing.T, entries ...[2]string) string {
	t.Helper()
	root := t.TempDir()
	for _, e := range entries {
		path := filepath.Join(root, e[0])
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		target, link := strings.CutPrefix(e[1], "->")
		switch {
		case strings.HasSuffix(e[0], "/"):
			must(t, os.MkdirAll(path, 0o755))
		case link:
			must(t, os.Symlink(target, path))
		default:
			must(t, os.WriteFile(path, []byte(e[1]), 0o755))
		}
	}
	return root
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestResolveInNeverLeavesItsRoot(t *testing.T) {
	root := inRoot(t, [2]string{"usr/bin/tool", "x"}, [2]string{"bin", "->usr/bin"}, [2]string{"abs", "->/usr/bin/tool"},
		[2]string{"out", "->../../../../usr/bin/tool"}, [2]string{"chain", "->/bin/../../abs"},
		[2]string{"loop", "->loop"}, [2]string{"etc/passwd", "->/nothing"})
	for name, want := range map[string]string{
		"/": "", "/bin/tool": "usr/bin/tool", "/abs": "usr/bin/tool", "/out": "usr/bin/tool", "/chain": "usr/bin/tool",
		"/../../bin//./tool": "usr/bin/tool",
	} {
		if got, err := resolveIn(root, name); err != nil || got != filepath.Join(root, want) {
			t.Errorf("%s is %s, %v; want %s", name, got, err, want)
		}
	}
	if _, err := resolveIn(root, "/loop"); err == nil || !strings.Contains(err.Error(), "too many symbolic links") {
		t.Errorf("a loop of links: %v", err)
	}
	if _, err := resolveIn(root, "/etc/passwd"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a dangling link: %v", err)
	}
}

func TestLookPathInARoot(t *testing.T) {
	root := inRoot(t, [2]string{"opt/tool", "x"}, [2]string{"usr/sbin/tool", "x"}, [2]string{"sbin", "->usr/sbin"},
		[2]string{"usr/bin/sub/", ""}, [2]string{"usr/bin/linked", "->/opt/tool"})
	must(t, os.WriteFile(filepath.Join(root, "usr/bin/data"), nil, 0o644))
	for _, tt := range []struct {
		name string
		env  []string
		want string
	}{
		{"tool", nil, "/usr/sbin/tool"},
		{"tool", []string{"PATH=/nowhere:relative:/sbin"}, "/sbin/tool"},
		{"tool", []string{"PATH=/sbin", "PATH=/opt"}, "/opt/tool"},
		{"linked", nil, "/usr/bin/linked"},
		{"/opt/tool", nil, "/opt/tool"},
		{"./tool", nil, "./tool"},
	} {
		if got, err := lookPath(root, tt.name, tt.env); err != nil || got != tt.want {
			t.Errorf("%s with %q: %q, %v; want %s", tt.name, tt.env, got, err, tt.want)
		}
	}
	for _, name := range []string{"sub", "data", "missing", "/missing", "", "/usr/bin/data", "/usr/bin/sub"} {
		if got, err := lookPath(root, name, nil); err == nil {
			t.Errorf("%q was found: %s", name, got)
		}
	}
	if _, err := lookPath(root, "missing", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
