package image

import (
	"slices"
	"strings"
	"testing"

	"migrate-init/pkg/plan"
)

// TestOverlayModules: every image has the modules of a snapshot in memory, where the kernel has them and they may be loaded.
func TestOverlayModules(t *testing.T) {
	names := func(img *Image) (out []string) {
		for _, f := range img.List() {
			if strings.Contains(f.Path, "/dm-") || strings.Contains(f.Path, "/loop.") {
				out = append(out, f.Path[strings.LastIndex(f.Path, "/")+1:])
			}
		}
		slices.Sort(out)
		return out
	}
	if got := names(collect(t, input(t, aHost(), aPlan()))); len(got) > 0 {
		t.Errorf("a kernel without them: %v", got)
	}
	root := aHost()
	withDM(root)
	if got := names(collect(t, input(t, root, aPlan()))); !slices.Equal(got, []string{"dm-bufio.ko", "dm-mod.ko", "dm-snapshot.ko", "loop.ko"}) {
		t.Errorf("got %v", got)
	}
	root["etc/modprobe.d/b.conf"].Data = []byte("install dm_snapshot /bin/false\n")
	img := collect(t, input(t, root, aPlan()))
	if !slices.ContainsFunc(img.Warnings, func(w string) bool { return strings.Contains(w, "dm_snapshot") }) {
		t.Errorf("a forbidden module: warnings %v", img.Warnings)
	}
	p := aPlan()
	p.Overlays = []plan.Overlay{{On: p.Source[0].Ref, Size: 16 << 20}}
	if _, err := Collect(input(t, root, p)); err == nil || !strings.Contains(err.Error(), "dm_snapshot") {
		t.Errorf("a forbidden module of a planned overlay: %v", err)
	}
}
