package stage

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"migrate-init/pkg/plan"
	"migrate-init/pkg/survey"
)

// TestReadings: what is a change, and what is none.
func TestReadings(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s), Mode: 0o644, ModTime: at} }
	big := func(c string) *fstest.MapFile { return file(strings.Repeat(c, wholly+1)) }
	start := func() fstest.MapFS {
		return fstest.MapFS{
			"etc/conf/a": file("a"), "etc/conf/sub/b": file("b"), "etc/conf/link": {Data: []byte("../other"), Mode: fs.ModeSymlink | 0o777}, "etc/other": file("o"),
			"etc/conf/dirlink": {Data: []byte("/srv"), Mode: fs.ModeSymlink | 0o777}, "etc/conf/loop": {Data: []byte("loop"), Mode: fs.ModeSymlink | 0o777},
			"etc/conf/dangling": {Data: []byte("/no"), Mode: fs.ModeSymlink | 0o777}, "etc/big": big("x"),
			"srv/x": file("x"), "lib/modules/6.1/modules.dep": file("d"), "lib/modules/6.1/kernel/raid1.ko": file("m"), "lib/modules/6.2/modules.dep": big("d"),
		}
	}
	patterns := []string{"etc/conf", "etc/big", "lib/modules/*/modules.*", "/etc/none", "etc/conf/a/below", "no/*/such"}
	for name, c := range map[string]struct {
		change func(m fstest.MapFS)
		want   string
	}{
		"nothing":                        {func(fstest.MapFS) {}, ""},
		"a time of a small file":         {func(m fstest.MapFS) { m["etc/conf/a"].ModTime = at.Add(1) }, ""},
		"a time of one in etc":           {func(m fstest.MapFS) { m["etc/big"].ModTime = at.Add(1) }, ""},
		"contents":                       {func(m fstest.MapFS) { m["etc/conf/a"] = file("b") }, "/etc/conf/a has changed"},
		"a large one in etc":             {func(m fstest.MapFS) { m["etc/big"] = big("y") }, "/etc/big has changed"},
		"mode":                           {func(m fstest.MapFS) { m["etc/conf/a"].Mode = 0o755 }, "/etc/conf/a has changed"},
		"further down":                   {func(m fstest.MapFS) { m["etc/conf/sub/b"] = file("c") }, "/etc/conf/sub/b has changed"},
		"new":                            {func(m fstest.MapFS) { m["etc/conf/sub/c"] = file("c") }, "/etc/conf/sub/c is new"},
		"gone":                           {func(m fstest.MapFS) { delete(m, "etc/conf/a") }, "/etc/conf/a is gone"},
		"two":                            {func(m fstest.MapFS) { delete(m, "etc/conf/a"); m["etc/conf/z"] = file("z") }, "/etc/conf/a is gone, and 1 more"},
		"behind a link":                  {func(m fstest.MapFS) { m["etc/other"] = file("n") }, "/etc/conf/link has changed"},
		"a link to a directory":          {func(m fstest.MapFS) { m["srv/x"] = file("n") }, ""},
		"it leads elsewhere":             {func(m fstest.MapFS) { m["etc/conf/dirlink"].Data = []byte("/lib") }, "/etc/conf/dirlink has changed"},
		"a link that led nowhere":        {func(m fstest.MapFS) { m["no"] = file("n") }, "/etc/conf/dangling is new"},
		"a pattern that matched nothing": {func(m fstest.MapFS) { m["etc/none"] = file("n") }, "/etc/none is new"},
		"another kernel":                 {func(m fstest.MapFS) { m["lib/modules/6.3/modules.dep"] = file("d") }, "/lib/modules/6.3/modules.dep is new"},
		"a large file's time":            {func(m fstest.MapFS) { m["lib/modules/6.2/modules.dep"].ModTime = at.Add(1) }, "/lib/modules/6.2/modules.dep has changed"},
		"not one that counts":            {func(m fstest.MapFS) { m["lib/modules/6.1/kernel/raid1.ko"] = file("n") }, ""},
	} {
		was, err := newReader(start()).all(patterns)
		if err != nil {
			t.Fatal(err)
		}
		m := start()
		c.change(m)
		now, err := newReader(m).all(patterns)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := was.changed(now); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	m := start()
	r := newReader(m)
	if v, err := r.stamp("/lib/modules/6.1/kernel/raid1.ko"); err != nil || v != "0644 1 at 1767323045000000006" {
		t.Errorf("stamp: %q, %v", v, err)
	}
	if v, err := r.stamp("/etc/conf"); err != nil || v != directory {
		t.Errorf("stamp of a directory: %q, %v", v, err)
	}
	if v, err := r.stamp("/srv/x/y"); err != nil || v != "" {
		t.Errorf("stamp below a file: %q, %v", v, err)
	}
}

// TestParseKept: a record that this program would not write is refused.
func TestParseKept(t *testing.T) {
	good := keptSet{Version: keptVersion, Plan: "p", Parts: []keptPart{{Name: partInitrds, Reads: readings{"/etc/fstab": "x"}, Inside: readings{},
		Files: []keptFile{{Path: "/boot/initrd.img-1", Name: "initrds-0", Size: 1, Sum: strings.Repeat("ab", 32), Mode: 0o644}}}}}
	text, err := json.Marshal(good)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseKept(append(text, '\n')); err != nil {
		t.Fatal(err)
	}
	for name, swap := range map[string][2]string{
		"version": {`"version":1`, `"version":2`}, "unknown field": {`"version":1`, `"version":1,"x":1`}, "torn": {`}]}]}`, `}]`}, "tail": {`}]}]}`, `}]}]}{}`},
		"relative": {"/boot/initrd", "boot/initrd"}, "outside": {"/boot/initrd", "/../boot/initrd"}, "the root": {"/boot/initrd.img-1", "/"}, "name is a path": {"initrds-0", "../initrds-0"},
		"name is the record": {"initrds-0", "record.json"}, "name is a directory": {"initrds-0", ".."}, "no name": {"initrds-0", ""}, "sum": {"abab", "abax"}, "short sum": {"abab", "ab"}, "size": {`"size":1`, `"size":0`},
		"mode": {`"mode":420`, `"mode":2541`}, "no files": {`"files":[{`, `"files":[],"x":[{`}, "no reads": {`{"/etc/fstab":"x"}`, `{}`}, "empty": {string(text), ""}, "null": {string(text), "null"},
	} {
		b := strings.Replace(string(text), swap[0], swap[1], 1)
		if b == string(text) {
			t.Fatalf("%s: nothing was changed", name)
		}
		if _, err := parseKept([]byte(b)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	good.Parts = append(good.Parts, good.Parts[0])
	if text, err = json.Marshal(good); err != nil {
		t.Fatal(err)
	}
	if _, err := parseKept(text); err == nil {
		t.Error("a part twice: accepted")
	}
}

// FuzzParseKept: a record comes from a disk.
func FuzzParseKept(f *testing.F) {
	f.Add([]byte(`{"version":1,"plan":"p","parts":[{"name":"initrds","reads":{"/a":"b"},"inside":null,"files":[{"path":"/boot/i","name":"i","size":1,"sha256":"` + strings.Repeat("00", 32) + `","mode":420}]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := parseKept(b)
		if err != nil {
			return
		}
		for _, p := range k.Parts {
			for _, x := range p.Files {
				if strings.Contains(x.Name, "/") || x.Name == ".." || !strings.HasPrefix(x.Path, "/") || strings.Contains(x.Path, "/../") {
					t.Errorf("accepted: %+v", x)
				}
			}
		}
	})
}

// TestRoomToKeep: in one filesystem with the kernels, and in one of its own.
func TestRoomToKeep(t *testing.T) {
	const mib = 1 << 20
	made := &Kept{record: keptSet{Parts: []keptPart{{Files: []keptFile{{Size: 30 * mib}, {Size: 40 * mib}}}, {Files: []keptFile{{Size: 1 * mib}}}}}}
	root := fstest.MapFS{"boot/i": {Data: make([]byte, 60*mib)}}
	for name, c := range map[string]struct {
		made        *Kept
		root, extra int64 // free, in MiB
		want        string
	}{
		"before":                        {nil, 60 + 20 + 4, 0, ""},
		"before, none":                  {nil, 60 + 20 + 3, 0, "filesystem at /: "},
		"after":                         {made, 71 + 50 + 4, 0, ""}, // kept 71, and the largest beside itself with 10 more for both
		"after, none":                   {made, 71 + 50 + 3, 0, "filesystem at /: "},
		"boot is another":               {made, 71 + 4, 50 + 4, ""},
		"boot is another, none there":   {made, 71 + 4, 50 + 3, "filesystem at /boot: "},
		"boot is another, none in root": {made, 71 + 3, 50 + 4, "filesystem at /: "},
	} {
		f := &plan.Facts{Mounts: []plan.Mount{{Target: "/", Free: c.root * mib}}, Boot: plan.Boot{Dir: "/boot", Kernels: []plan.Image{{Initrd: "/boot/i"}}}}
		if c.extra > 0 {
			f.Mounts = append(f.Mounts, plan.Mount{Target: "/boot", Free: c.extra * mib})
		}
		err := RoomToKeep(root, f, c.made, 20*mib)
		if (err == nil) != (c.want == "") || err != nil && !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// TestRehearsalSize: at least what the initrds need, else half of the memory, and never what is not there.
func TestRehearsalSize(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		available, swap, want int64 // MiB
	}{{2000, 0, 1000}, {2000, 400, 1200}, {400, 0, 2*30 + 5*20 + 64}, {287, 0, 0}, {288, 0, 224}, {88, 200, 224}, {0, 0, 0}} {
		root := fstest.MapFS{"boot/a": {Data: make([]byte, 10*mib)}, "boot/b": {Data: make([]byte, 20*mib)},
			"proc/meminfo": {Data: fmt.Appendf(nil, "MemTotal: 1 kB\nMemAvailable:  %d kB\nSwapFree:\t%d kB\n", c.available<<10, c.swap<<10)}}
		f := &plan.Facts{Boot: plan.Boot{Kernels: []plan.Image{{Initrd: "/boot/a"}, {Initrd: "/boot/b"}, {}, {Initrd: "/boot/none"}}}}
		got, err := rehearsalSize(root, f)
		if got != c.want*mib || (err != nil) != (c.want == 0) {
			t.Errorf("%d MiB available and %d of swap: %d, %v, want %d", c.available, c.swap, got/mib, err, c.want)
		}
	}
	if _, err := rehearsalSize(fstest.MapFS{}, &plan.Facts{}); err == nil {
		t.Error("without /proc/meminfo")
	}
}

// TestRoomAbove: a directory of a filesystem that is moved, and one without room, are refused before anything is mounted.
func TestRoomAbove(t *testing.T) {
	w, p, _ := toSchedule(t)
	f, err := w.Look(t.Context(), survey.Whole)
	if err != nil {
		t.Fatal(err)
	}
	f.Devices = append(f.Devices, plan.Device{Name: "vdc1", Path: "/dev/vdc1", Contents: []plan.Content{{Kind: plan.ContentFS, UUID: "77777777-7777-4777-8777-777777777777"}}})
	f.Mounts = append(f.Mounts, plan.Mount{Target: "/big", Device: "vdc1", Free: 1 << 30}, plan.Mount{Target: "/small", Device: "vdc1", Free: 1 << 20}, plan.Mount{Target: "/run", Type: "tmpfs"})
	for dir, want := range map[string]string{
		"/big/x": "", "/run/x": "", "/root": "directory /root: it is on the filesystem at /, which is moved", "/srv": "directory /srv: it is on the filesystem at /srv",
		"/small": "directory /small: 1 MiB are free there",
	} {
		err := RoomAbove(w.View(), p, f, dir)
		if (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %q", dir, err, want)
		}
	}
}
