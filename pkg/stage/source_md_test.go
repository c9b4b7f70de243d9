package stage

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"migrate-init/pkg/loader"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/sim"
)

// onMD is a Debian on RAID1 of vda and vdc, with its root on vda alone if plainRoot says so, and an empty vdb.
func onMD(t testing.TB, metadata string, plainRoot bool) *world {
	m := sim.DebianOnMD(t, metadata, plainRoot)
	m.Rules = rules()
	return &world{m}
}

// sourcesOf names the contents of all source disks.
func (w *world) sourcesOf() string {
	var out []string
	for _, d := range w.Disks {
		if d.Source {
			out = append(out, fmt.Sprint(d.Name, " ", d.Whole))
		}
	}
	return strings.Join(out, ", ")
}

// TestFromMD migrates a system on arrays: both old disks stay as they are, the new system does not start their arrays, and
// finish takes them apart, whether or not they run.
func TestFromMD(t *testing.T) {
	for _, metadata := range []string{"0.90", "1.0", "1.1", "1.2"} {
		t.Run(metadata, func(t *testing.T) {
			w := onMD(t, metadata, false)
			p, text := planned(t, w, nil)
			if n := len(p.Source.Arrays()); n != 3 {
				t.Fatalf("%d source arrays", n)
			}
			before := w.sourcesOf()
			if err := w.migrate(p, text, sim.Fault{}); err != nil {
				t.Fatalf("%v\n%s", err, strings.Join(w.Told, "\n"))
			}
			if w.Entered != TargetDir {
				t.Errorf("entered %q", w.Entered)
			}
			if now := w.sourcesOf(); now != before {
				t.Errorf("source disks are %s, were %s", now, before)
			}
			for _, n := range p.Source.Arrays() {
				for name, a := range w.Arrays {
					if a.UUID == n.Ref.ID() {
						t.Errorf("array %s of the old system still runs as %s", a.UUID, name)
					}
				}
			}
			conf := string(w.Trees[p.Boot.Root]["etc/mdadm/mdadm.conf"].Data)
			if strings.Count(conf, "ARRAY <ignore> UUID=") != 3 {
				t.Errorf("mdadm.conf of the new system:\n%s", conf)
			}
			for _, all := range []bool{false, true} {
				w := w.clone(t)
				w.AssembleAll = all
				if err := w.finishRun(p, text, sim.Fault{}, false); err != nil {
					t.Fatalf("old arrays running: %v: %v\n%s", all, err, strings.Join(w.Told, "\n"))
				}
				if stopped := strings.Contains(strings.Join(w.Log, "\n"), "STOP_ARRAY"); stopped != all {
					t.Errorf("old arrays running: %v, stopped: %v", all, stopped)
				}
				if s, ok := sim.SuperOf(w.Dev("vda2")); ok && p.Source.Node(plan.Ref("md:"+s.UUID.String())) != nil {
					t.Errorf("vda2 is still a member of %s", s.UUID)
				}
			}
		})
	}
}

// TestFinishRefusesOldArrays: the old system ran after the copy, so its arrays were written to; or one of them is in use.
func TestFinishRefusesOldArrays(t *testing.T) {
	w := onMD(t, "1.2", true)
	p, text := planned(t, w, nil)
	if err := w.migrate(p, text, sim.Fault{}); err != nil {
		t.Fatal(err)
	}
	t.Run("written to", func(t *testing.T) {
		w := w.clone(t)
		w.Boot()
		for _, name := range []string{"vda3", "vdc3"} {
			b := w.Dev(name)
			s, ok := sim.SuperOf(b)
			if !ok {
				t.Fatalf("%s is no member", name)
			}
			s.Events += 2
			raw, err := s.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			b.Write(raw, s.SuperOffset)
		}
		err := w.finishRun(p, text, sim.Fault{}, false)
		if err == nil || !strings.Contains(err.Error(), "old array") || !strings.Contains(err.Error(), "--discard-changes") {
			t.Errorf("finish says %v", err)
		}
		if err := w.finishRun(p, text, sim.Fault{}, true); err != nil {
			t.Errorf("with --discard-changes: %v", err)
		}
	})
	t.Run("mounted", func(t *testing.T) {
		w := w.clone(t)
		w.AssembleAll = true
		if err := w.bootNew(p); err != nil {
			t.Fatal(err)
		}
		for name, a := range w.Arrays {
			if w.FilesystemOn(w.Dev(name)) == sim.OldSrv {
				w.Mounts = append(w.Mounts, sim.Mount{Src: "/dev/" + name, Dir: "/mnt", Type: "ext4", Tree: w.Trees[sim.OldSrv]})
				t.Logf("%s of %s is mounted", name, a.UUID)
			}
		}
		w.Changed()
		before := w.sourcesOf()
		err := Finish(context.Background(), w.env(p, text))
		if err == nil || !strings.Contains(err.Error(), "is in use: /mnt") {
			t.Errorf("finish says %v", err)
		}
		if now := w.sourcesOf(); now != before {
			t.Errorf("a disk that is in use was written")
		}
	})
}

// TestFromMDFailure lets effects fail: all of those before the first write to the target and of the handover, and some between.
func TestFromMDFailure(t *testing.T) {
	w := onMD(t, "1.2", true)
	p, text := planned(t, w, nil)
	source, start := w.sourcesOf(), w.clone(t)
	if err := w.migrate(p, text, sim.Fault{}); err != nil {
		t.Fatal(err)
	}
	log, n := slices.Clone(w.Log), len(w.Log)
	want := end(w, p)
	first := 0
	for first < n && !strings.Contains(log[first], "=> /dev/vdb") {
		first++
	}
	if first < 20 || first > n/2 {
		t.Fatalf("the first write to the target is verb %d of %d", first, n)
	}
	for i, how := range []string{"error", "late", "after"} {
		for at := 1; at <= n; at++ {
			if (at+i)%3 > 0 || at > first && at < n-20 && at%25 > 2 {
				continue // each effect fails in one of the three ways
			}
			t.Run(fmt.Sprint(how, at), func(t *testing.T) {
				w := start.clone(t)
				err := w.migrate(p, text, sim.Fault{At: at, How: how})
				line := w.Log[at-1]
				if err == nil && w.Entered == "" {
					t.Fatalf("%s failed: nothing was said", line)
				}
				if w.Entered == "" && w.Dead == nil && (len(w.Mounts) > 1 || len(w.Arrays) > 0) {
					t.Errorf("%s failed: left mounted %v, running %v", line, w.Mounts, w.Arrays)
				}
				if now := w.sourcesOf(); now != source {
					t.Errorf("%s: source disks changed", line)
				}
				if err := w.migrate(p, text, sim.Fault{}); err != nil {
					t.Fatalf("after %s failed: %v", line, err)
				}
				if now := w.sourcesOf(); now != source {
					t.Errorf("after %s: source disks changed", line)
				}
				if d := sim.Diff(want, end(w, p)); d != "" {
					t.Errorf("after %s failed: %s", line, d)
				}
			})
		}
	}
}

// TestFinishFromMDFailure: finish fails, or the power goes, while it takes the old arrays apart, which the new system had started.
// Run again, it completes them.
func TestFinishFromMDFailure(t *testing.T) {
	w := onMD(t, "1.2", true)
	p, text := planned(t, w, nil)
	if err := w.migrate(p, text, sim.Fault{}); err != nil {
		t.Fatal(err)
	}
	w.AssembleAll = true
	start := w.clone(t)
	if err := w.finishRun(p, text, sim.Fault{}, false); err != nil {
		t.Fatal(err)
	}
	log := slices.Clone(w.Log)
	last := slices.IndexFunc(log, func(line string) bool { return strings.Contains(line, "ADD_NEW_DISK") })
	if last < 10 {
		t.Fatalf("the first member joins at verb %d of %d", last, len(log))
	}
	for i, how := range []string{"error", "torn", "after"} {
		for at := 1; at <= last; at++ {
			if (at+i)%3 > 0 {
				continue // each effect fails in one of the three ways
			}
			t.Run(fmt.Sprint(how, at), func(t *testing.T) {
				w := start.clone(t)
				if err := w.finishRun(p, text, sim.Fault{At: at, How: how}, false); err == nil && w.Dead != nil {
					t.Fatalf("%s: the power went, and nothing was said", log[at-1])
				}
				if err := w.finishRun(p, text, sim.Fault{}, false); err != nil {
					t.Fatalf("after %s failed: %v\n%s", log[at-1], err, strings.Join(w.Told, "\n"))
				}
				for _, dev := range []string{"vda2", "vda3", "vdc2", "vdc3"} {
					if s, ok := sim.SuperOf(w.Dev(dev)); ok && p.Source.Node(plan.Ref("md:"+s.UUID.String())) != nil {
						t.Errorf("after %s failed: %s is still a member of %s", log[at-1], dev, s.UUID)
					}
				}
			})
		}
	}
}

// TestNamesOfArrays: whatever a file of the old system calls an array becomes the new filesystem, and the new system is told to
// leave the array alone.
func TestNamesOfArrays(t *testing.T) {
	const array = "eeeeeeee:00000000:00000000:00000001"
	p := rewritePlan()
	root := p.Source.Filesystems()[0]
	root.On, root.Was = []plan.Ref{"md:" + array}, "/dev/md126"
	root.Also = []string{"/dev/md/root", "/dev/disk/by-id/md-uuid-" + array, "/dev/disk/by-id/md-name-server:root"}
	p.Source = append(plan.Graph{{Ref: "md:" + array, Was: "/dev/md126", Layer: plan.Layer{MD: &plan.MD{Name: "server:root", Level: 1, Metadata: "1.2"}}}}, p.Source...)
	for _, name := range append(slices.Clone(root.Also), root.Was, "ID=md-uuid-"+array, "UUID="+sim.OldRoot) {
		tree := sim.Files(map[string]string{"etc/fstab": name + " / ext4 defaults 0 1\n/dev/md5 /data ext4 nofail 0 2\n",
			"etc/mdadm/mdadm.conf": "ARRAY /dev/md/root metadata=1.2 UUID=" + array + "\nARRAY /dev/md5 UUID=55555555:00000000:00000000:00000001\n"})
		effs, err := Rewrites(loader.Known(), p, tree, "/")
		if err != nil {
			t.Fatal(err)
		}
		apply(t, tree, effs)
		if got, want := string(tree["etc/fstab"].Data), "UUID=bbbbbbbb-0000-4000-8000-000000000001 / ext4 defaults 0 1\n/dev/md5 /data ext4 nofail 0 2\n"; got != want {
			t.Errorf("%s: fstab is\n%s", name, got)
		}
		conf := string(tree["etc/mdadm/mdadm.conf"].Data)
		for _, want := range []string{"ARRAY <ignore> UUID=" + array + "\n", "ARRAY /dev/md5 UUID=55555555:00000000:00000000:00000001\n", "ARRAY /dev/md/root metadata=1.2 UUID=a1a1a1a1:00000000:00000000:00000001\n"} {
			if !strings.Contains(conf, want) {
				t.Errorf("%s: no %q in\n%s", name, want, conf)
			}
		}
	}
}
