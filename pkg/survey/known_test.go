package survey_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"migrate-init/pkg/sim"
	"migrate-init/pkg/survey"
)

// TestKnown: the second look reads what may have changed since the first, with what lies on it and below it, and nothing else.
func TestKnown(t *testing.T) {
	all := []string{"dm-0", "md127", "vda", "vda1", "vda2", "vda3", "vdb", "vdc"}
	for name, c := range map[string]struct {
		change func(m machine, k *survey.Known)
		want   []string
	}{
		"nothing":      {func(machine, *survey.Known) {}, nil},
		"an array":     {func(_ machine, k *survey.Known) { k.Forget("/dev/md127") }, []string{"md127", "vdc"}},
		"a member":     {func(_ machine, k *survey.Known) { k.Forget("/dev/vdc") }, []string{"md127", "vdc"}},
		"a partition":  {func(_ machine, k *survey.Known) { k.Forget("/dev/vda2") }, []string{"vda", "vda2"}},
		"a disk":       {func(_ machine, k *survey.Known) { k.Forget("/dev/vda") }, []string{"vda", "vda1", "vda2", "vda3"}},
		"a file":       {func(_ machine, k *survey.Known) { k.Forget("/etc/fstab") }, nil},
		"everything":   {func(_ machine, k *survey.Known) { k.ForgetAll() }, all},
		"an unmount":   {func(m machine, _ *survey.Known) { m.unmount("/srv/with") }, []string{"md127", "vdc"}},
		"another size": {func(m machine, _ *survey.Known) { m.file("sys/devices/virtual/block/md127/size", "2048\n") }, []string{"md127", "vdc"}},
		"a bad disk":   {func(m machine, _ *survey.Known) { delete(m.disks, "vdb") }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			m, known := debian(t), &survey.Known{}
			m.addArray(t)
			m.disks["dm-0"] = &sim.Device{Name: "dm-0", Size: 10 * mib, Disk: sim.NewDisk("dm-0", 10*mib)}
			var opened []string
			look := func(k *survey.Known) string {
				opened = nil
				w := m.world()
				open := w.Open
				w.Open = func(p string) (survey.Device, error) {
					opened = append(opened, strings.TrimPrefix(p, "/dev/"))
					return open(p)
				}
				w.Known = k
				f, err := survey.Look(t.Context(), w, survey.Deep)
				if err != nil {
					t.Fatal(err)
				}
				text, err := json.Marshal(f)
				if err != nil {
					t.Fatal(err)
				}
				return string(text)
			}
			look(known)
			if slices.Sort(opened); !slices.Equal(opened, all) {
				t.Fatalf("the first look opened %q, want %q", opened, all)
			}
			c.change(m, known)
			got := look(known)
			if slices.Sort(opened); !slices.Equal(opened, c.want) {
				t.Errorf("opened %q, want %q", opened, c.want)
			}
			if name == "a bad disk" {
				known.Forget("/dev/vdb")
				for range 2 { // what could not be read is read again
					if look(known); !slices.Equal(opened, []string{"vdb"}) {
						t.Errorf("opened %q, want vdb", opened)
					}
				}
				return
			}
			if want := look(nil); got != want {
				t.Errorf("it found %s, want %s", got, want)
			}
		})
	}
}

// unmount takes the lines of a mount out of the kernel's list.
func (m machine) unmount(at string) {
	var left []string
	for line := range strings.Lines(string(m.root["proc/self/mountinfo"].Data)) {
		if !strings.Contains(line, at) {
			left = append(left, line)
		}
	}
	m.file("proc/self/mountinfo", "%s", strings.Join(left, ""))
}
