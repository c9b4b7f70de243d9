package fstab

import "testing"

// TestMeaning: all spellings of one name mean the same, and nothing else does.
func TestMeaning(t *testing.T) {
	for _, group := range [][]string{
		{"LABEL=root disk", `LABEL="root disk"`, `LABEL='root disk'`, `LABEL=root\040disk`, `LABEL=root\x20disk`, `LABEL="root\x20disk"`,
			`/dev/disk/by-label/root\x20disk`, `/dev/disk/by-label/root\134x20disk`, `/dev/disk//by-label/root\x20disk`},
		{"LABEL=rootfs", `LABEL="rootfs"`, "/dev/disk/by-label/rootfs"},
		{"PARTLABEL=srv~1", `/dev/disk/by-partlabel/srv\x7e1`, `PARTLABEL='srv~1'`},
		{"PARTLABEL=rootfs", "/dev/disk/by-partlabel/rootfs"},
		{"UUID=AbCd-1234", "UUID=abcd-1234", "/dev/disk/by-uuid/ABCD-1234", `UUID="ABCD-1234"`},
		{"PARTUUID=DEADBEEF-02", "/dev/disk/by-partuuid/deadbeef-02"},
		{"ID=virtio-A-part1", "/dev/disk/by-id/virtio-A-part1"},
		{"/dev/vda2", "/dev//vda2"},
		{"/dev/vda20"},
		{`/dev/mapper/a\040b`, `/dev/mapper/a\040b`},
		{"none"}, {"8:2"}, {"tmpfs"}, {"/dev/disk/by-label/"}, {"LABEL="},
	} {
		first := ParseSpec(group[0])
		for _, s := range group {
			if got := ParseSpec(s).Meaning(); got != first.Meaning() {
				t.Errorf("%s means %+v, %s means %+v", s, got, group[0], first.Meaning())
			}
			if got := ParseSpec(s).Meaning(); got != got.Meaning() {
				t.Errorf("the meaning of %s has another: %+v", s, got)
			}
			// String is read back as the same meaning.
			if m := ParseSpec(s).Meaning(); ParseSpec(m.String()).Meaning() != m {
				t.Errorf("%s is written as %s, which means %+v", s, m, ParseSpec(m.String()).Meaning())
			}
		}
		for _, s := range []string{"LABEL=root", "PARTLABEL=root disk", "UUID=abcd-12345", "/dev/vda"} {
			if ParseSpec(s).Same(first) {
				t.Errorf("%s and %s mean the same", s, group[0])
			}
		}
	}
}

// TestMentions: a name is found in a text of any syntax, but not as the beginning of another name.
func TestMentions(t *testing.T) {
	const uuid = "11111111-1111-4111-8111-111111111111"
	for _, c := range []struct {
		spec    string
		in, out []string
	}{
		{"LABEL=rootfs", []string{"root=LABEL=rootfs", `"root=LABEL=rootfs"`, `GRUB_CMDLINE_LINUX="root=LABEL=\"rootfs\" quiet"`, "x=/dev/disk/by-label/rootfs\n", "search --no-floppy --label --set=root rootfs",
			"search -sl root rootfs", "search.fs_label rootfs root", `root=LABEL='rootfs'`, `X="a \
root=LABEL=root\
fs"`, "LABEL=rootfs,x"},
			[]string{"LABEL=rootfs2", "PARTLABEL=rootfs", "rootfs", "echo rootfs -l", "/dev/disk/by-label/rootfs.old", "search --fs-uuid rootfs", "search --label rootfs2"}},
		{"LABEL=root disk", []string{`root=LABEL=root\x20disk`, `"root=LABEL=root disk"`, `/dev/disk/by-label/root\\x20disk`, `LABEL=root\040disk`, `LABEL=root\ disk`, `search --label "root disk" --set root`}, []string{"LABEL=root", "LABEL=root\ndisk"}},
		{"PARTLABEL=srv~1", []string{`/dev/disk/by-partlabel/srv\x7e1`, "root=PARTLABEL=srv~1"}, []string{"PARTLABEL=srv~12", "LABEL=srv~1"}},
		{"UUID=" + uuid, []string{"x" + uuid, "root=UUID=" + uuid + "\n", "gnulinux-advanced-" + uuid + ">x"}, []string{"1" + uuid, uuid + "1", ""}},
		{"PARTUUID=deadbeef-02", []string{"root=PARTUUID=DEADBEEF-02"}, []string{"deadbeef-021", "deadbeef-02-1"}},
		{"/dev/vda1", []string{"root=/dev/vda1", "'/dev/vda1'"}, []string{"/dev/vda10", "/dev/vda1p1"}},
		{"ID=virtio-A-part1", []string{"/dev/disk/by-id/virtio-A-part1"}, []string{"/dev/disk/by-id/virtio-A-part10"}},
		{"8:2", []string{"root=8:2", "resume=8:2 x"}, []string{"18:2", "root=8:20", "root=8:2:1", "8:2"}},
		{"fe02", []string{"root=FE02"}, []string{"root=fe021"}},
	} {
		for _, s := range c.in {
			if !TextOf([]byte(s)).Mentions(ParseSpec(c.spec)) {
				t.Errorf("%s is not found in %q", c.spec, s)
			}
		}
		for _, s := range c.out {
			if TextOf([]byte(s)).Mentions(ParseSpec(c.spec)) {
				t.Errorf("%s is found in %q", c.spec, s)
			}
		}
	}
}

// FuzzMeaning: a meaning is its own meaning, it can be written and read back, and a text that has the name mentions it.
func FuzzMeaning(f *testing.F) {
	for _, s := range []string{`LABEL="a b"`, `/dev/disk/by-label/a\x20b`, `PARTLABEL=\\\040x`, "UUID=ABCD-1234", "ID=", "8:2", `/dev/disk/by-id/../x`, `LABEL=\`, "LABEL=''"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 3*16 {
			return // more layers of escapes than TextOf removes
		}
		spec := ParseSpec(s)
		m := spec.Meaning()
		if m.Meaning() != m {
			t.Fatalf("%q means %+v, which means %+v", s, m, m.Meaning())
		}
		if again := ParseSpec(m.String()).Meaning(); again != m {
			t.Fatalf("%q is written as %q, which means %+v, not %+v", s, m, again, m)
		}
		if m.Value != "" && m.Kind != Other && m.Kind != Nothing && !TextOf([]byte("x "+m.String())).Mentions(spec) {
			t.Fatalf("%q is not found in %q", s, m)
		}
	})
}
