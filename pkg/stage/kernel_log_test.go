package stage

import (
	"slices"
	"strings"
	"testing"

	"migrate-init/pkg/copy"
	"migrate-init/pkg/plan"
)

// TestKernelErrors: errors that the kernel logs about the source end the migration, or are listed where the plan says so;
// those about the target always end it.
func TestKernelErrors(t *testing.T) {
	for _, tt := range []struct {
		policy, dev, want string
	}{
		{"stop", "vda2", "could not be read, and the plan's policy is to stop"},
		{"skip-and-list", "vda2", ""},
		{"stop", "vdz9", ""},
		{"skip-and-list", "", "the kernel logged errors of the filesystem that was just written"},
	} {
		w := newWorld(t)
		p, text := planned(t, w, func(in *plan.Intent) { in.Policy.ReadError = tt.policy })
		w.Boot()
		e := w.env(p, text)
		polls := 0
		e.KernelLog = &copy.KernelLog{Read: func(keep func(string) bool) ([]string, bool, error) {
			dev := tt.dev
			if dev == "" {
				for _, n := range p.Target.Filesystems() {
					if d, err := e.volume(n.Lower()); err == nil && n.FS.Mount == "/" {
						dev = d.Name
					}
				}
			}
			if polls++; polls != 2 { // after the first copy
				return nil, false, nil
			}
			line := "EXT4-fs error (device " + dev + "): ext4_readdir:260: directory fails checksum"
			if keep("nothing much") || !keep(line) {
				t.Error("the wrong lines are kept")
			}
			return []string{line}, false, nil
		}}
		err := Run(t.Context(), e)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%+v: %v", tt, err)
		}
		told := slices.ContainsFunc(w.Told, func(s string) bool {
			return strings.Contains(s, "/dev/vda2: the kernel logged filesystem errors; directory entries may be missing") && strings.Contains(s, "directory fails checksum")
		})
		if told != (tt.dev == "vda2") {
			t.Errorf("%+v: told %v:\n%s", tt, told, strings.Join(w.Told, "\n"))
		}
		if tt.want != "" && w.committedFile(p) {
			t.Errorf("%+v: committed", tt)
		}
	}
}
