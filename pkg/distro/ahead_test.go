package distro

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"migrate-init/pkg/plan"
)

// TestInitramfsToolsAhead: wherever MODULES=dep is said, and however, the initrds that are made before the reboot have most.
func TestInitramfsToolsAhead(t *testing.T) {
	for text, dep := range map[string]bool{"MODULES=dep\n": true, "BUSYBOX=auto\n  MODULES=\"dep\" # small\n": true, "export MODULES='dep'\n": true,
		"MODULES=most\n": false, "# MODULES=dep\n": false, "MODULES=list\n": false, "XMODULES=dep\n": false, "MODULES=depend\n": false, "": false} {
		for _, name := range []string{"etc/initramfs-tools/initramfs.conf", "etc/initramfs-tools/conf.d/driver-policy", "usr/share/initramfs-tools/conf.d/vendor"} {
			root := fstest.MapFS{"etc/initramfs-tools/conf.d/dir": {Mode: fs.ModeDir | 0o755}, name: {Data: []byte(text)}}
			got := initramfsToolsAhead(plan.Installed{Files: plan.Files{
				Read: func(n string) ([]byte, error) { return fs.ReadFile(root, strings.TrimPrefix(n, "/")) },
				Stat: func(n string) (fs.FileInfo, error) { return fs.Stat(root, strings.TrimPrefix(n, "/")) },
				Glob: func(pattern string) ([]string, error) { return fs.Glob(root, pattern) },
			}})
			if (len(got) == 1) != dep {
				t.Errorf("%s has %q: %v", name, text, got)
			}
			if dep && (string(got[0].Data) != "MODULES=most\n" || !strings.Contains(got[0].Why, "/"+name+" asks for MODULES=dep")) {
				t.Errorf("%s: %+v", name, got[0])
			}
		}
	}
}
