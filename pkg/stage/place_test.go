package stage

import (
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"migrate-init/pkg/plan"
	"migrate-init/pkg/sim"
)

func symlink(target string) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte(target), Mode: fs.ModeSymlink | 0o777}
}

// targets lists where a run mounted something on TargetDir or below, each once.
func (w *world) targets() []string {
	var out []string
	for _, line := range w.Log {
		words := strings.Fields(line)
		i := slices.Index(words, "on")
		if i < 0 || words[0] != "mount" && words[0] != "bind" {
			continue
		}
		if at := words[i+1]; strings.HasPrefix(at+"/", TargetDir+"/") && !slices.Contains(out, at) {
			out = append(out, at)
		}
	}
	return out
}

// A mount point and a directory of the chroot that are absolute links: taken from the initramfs, /srv would lead to its
// own /data/srv.
func TestMountPointsThatAreAbsoluteLinks(t *testing.T) {
	w := newWorld(t)
	root := w.Trees[sim.OldRoot]
	root["srv"], root["data/srv"] = symlink("/data/srv"), root["srv"]
	root["tmp"], root["var/tmp"] = symlink("/var/tmp"), root["tmp"]
	for i := range w.Mounts {
		if w.Mounts[i].Dir == "/srv" {
			w.Mounts[i].Dir = "/data/srv"
		}
	}
	p, text := planned(t, w, nil)
	w.Boot()
	e := w.env(p, text)
	rebuilt := false
	w.Watch = func(int) {
		if !strings.Contains(strings.Join(w.Told, "\n"), "rebuild: begins") || rebuilt {
			return
		}
		rebuilt = true
		in := w.Below(TargetDir)
		if in["data/srv/data/big"] == nil {
			t.Errorf("%s/data/srv has not what /srv had", TargetDir)
		}
	}
	if err := Run(t.Context(), e); err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(w.Told, "\n"))
	}
	if !rebuilt || w.Entered != TargetDir || !w.committedFile(p) {
		t.Errorf("rebuilt %v, entered %q, committed %v", rebuilt, w.Entered, w.committedFile(p))
	}
	want := []string{TargetDir, TargetDir + "/data/srv", TargetDir + "/dev", TargetDir + "/dev/pts", TargetDir + "/proc", TargetDir + "/sys", TargetDir + "/run", TargetDir + "/var/tmp"}
	if got := w.targets(); !slices.Equal(got, want) {
		t.Errorf("mounted on %v, want %v", got, want)
	}
	for _, m := range w.Mounts {
		if strings.HasPrefix(m.Dir, TargetDir+"/") {
			t.Errorf("still mounted when init is started: %s", m.Dir)
		}
	}
	for _, n := range []string{"data", "data/srv", "var/tmp"} {
		if w.Root[n] != nil {
			t.Errorf("/%s was made in the initramfs", n)
		}
	}
	for _, n := range p.Target.Filesystems() {
		if tree := w.Trees[n.Ref.ID()]; n.FS.Mount == "/" && (string(tree["srv"].Data) != "/data/srv" || tree["srv"].Mode&fs.ModeSymlink == 0) {
			t.Errorf("/srv became %v %q", tree["srv"].Mode, tree["srv"].Data)
		}
	}
}

// The shorter mount point may be the deeper one, and what is mounted may hold further links.
func TestPlacesFollowWhatIsMounted(t *testing.T) {
	tree := fstest.MapFS{"srv": symlink("/data/srv"), "data": symlink("../../vol"), "vol": {Mode: fs.ModeDir | 0o755}, "loop": symlink("/loop")}
	e := &Env{Inside: func(dir string) (fs.FS, error) {
		if dir != TargetDir {
			t.Errorf("looked into %s", dir)
		}
		return tree, nil
	}}
	at := func(mounts ...string) (out []string) {
		var list []plan.Place
		for _, m := range mounts {
			list = append(list, plan.Place{Dir: m})
		}
		ps, err := e.places(list)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range ps {
			out = append(out, strings.TrimPrefix(p.at, TargetDir)+" for "+p.Dir)
		}
		return out
	}
	if got, want := at("/", "/srv", "/data", "/a", "/b"), []string{" for /", "/a for /a", "/b for /b", "/vol for /data", "/vol/srv for /srv"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	tree["vol/srv"] = symlink("/deep/er")
	if got, want := at("/srv", "/data"), []string{"/vol for /data", "/deep/er for /srv"}; !slices.Equal(got, want) {
		t.Errorf("once /data is mounted: %q, want %q", got, want)
	}
	if _, err := e.places([]plan.Place{{Dir: "/loop/x"}}); err == nil || !strings.Contains(err.Error(), "/loop -> /loop") {
		t.Errorf("a loop: %v", err)
	}
}
