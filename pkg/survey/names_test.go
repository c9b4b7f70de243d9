package survey_test

import (
	"slices"
	"strings"
	"testing"

	"migrate-init/pkg/plan"
	"migrate-init/pkg/sim"
	"migrate-init/pkg/survey"
)

// TestFstabSpelled: a line of fstab is resolved by what it means, however its name is escaped.
func TestFstabSpelled(t *testing.T) {
	for spec, want := range map[string]plan.Name{
		`/dev/disk/by-label/root\x20disk`:       {Tag: "LABEL", Value: "root disk"},
		`LABEL="root\x20disk"`:                  {Tag: "LABEL", Value: "root disk"},
		`LABEL=root\040disk`:                    {Tag: "LABEL", Value: "root disk"},
		`LABEL="root\040disk"`:                  {Tag: "LABEL", Value: "root disk"},
		`/dev/disk/by-partlabel/the\x20root`:    {Tag: "PARTLABEL", Value: "the root"},
		`PARTLABEL='the\040root'`:               {Tag: "PARTLABEL", Value: "the root"},
		`/dev/disk/by-odd/a\040b\x7e1`:          {Value: `/dev/disk/by-odd/a b\~1`},
		`/dev//disk/by-id/virtio-SER-vda-part2`: {Tag: "ID", Value: "virtio-SER-vda-part2"},
		`/dev/root`:                             {Value: "/dev/root"},
	} {
		m := debian(t)
		m.disks["vda2"].Write(sim.Ext4Super(sim.OldRoot, "root disk", 800*mib, 1), 1024)
		m.link(`dev/disk/by-odd/a b\x7e1`, "../../vda2")
		m.file("etc/fstab", "%s / ext4 defaults 0 1\n", spec)
		f := m.look(t, survey.Whole)
		if e := f.Fstab[0]; e.Device != "vda2" || want.Tag != "" && e.Name != want {
			t.Errorf("%s: %+v, want %+v on vda2; %v", spec, e, want, f.Problems)
		}
	}
}

// TestUses: whatever names a device beside fstab is seen, and resolved by what it means.
func TestUses(t *testing.T) {
	for _, c := range []struct {
		file, text, where, device string
		name                      plan.Name
		resume                    bool
	}{
		{"proc/cmdline", `ro "root=LABEL=rootfs"`, "kernel command line: root=", "vda2", plan.Name{Tag: "LABEL", Value: "rootfs"}, false},
		{"proc/cmdline", "root=PARTUUID=AAAAAAAA-0000-4000-8000-000000000001/PARTNROFF=1", "kernel command line: root=", "vda2", plan.Name{Tag: "PARTUUID", Value: "aaaaaaaa-0000-4000-8000-000000000001/partnroff=1"}, false},
		{"proc/cmdline", "root=PARTLABEL=the\\040root", "kernel command line: root=", "vda2", plan.Name{Tag: "PARTLABEL", Value: "the root"}, false},
		{"proc/cmdline", "root=254:2", "kernel command line: root=", "vda2", plan.Name{Value: "254:2"}, false},
		{"proc/cmdline", "root=fe02", "kernel command line: root=", "vda2", plan.Name{Value: "fe02"}, false},
		{"proc/cmdline", "root=/dev/root", "kernel command line: root=", "vda2", plan.Name{Value: "/dev/root"}, false},
		{"proc/cmdline", "root=/dev/disk/by-path/x-part2", "kernel command line: root=", "vda2", plan.Name{Value: "/dev/disk/by-path/x-part2"}, false},
		{"proc/cmdline", "resume=PARTUUID=aaaaaaaa-0000-4000-8000-000000000003", "kernel command line: resume=", "vda3", plan.Name{Tag: "PARTUUID", Value: "aaaaaaaa-0000-4000-8000-000000000003"}, true},
		{"etc/crypttab", "# x\nx LABEL=\"rootfs\" none luks\n", "/etc/crypttab line 2", "vda2", plan.Name{Tag: "LABEL", Value: "rootfs"}, false},
		{"etc/generator/x.conf", "RESUME=UUID=deadbeef-0000-4000-8000-000000000000\n", "/etc/generator/x.conf: RESUME=", "", plan.Name{Tag: "UUID", Value: "deadbeef-0000-4000-8000-000000000000"}, true},
		{"etc/generator/x.conf", "ROOT='LABEL=rootfs'\n", "/etc/generator/x.conf: ROOT=", "vda2", plan.Name{Tag: "LABEL", Value: "rootfs"}, false},
		{"boot/bootx.conf", "ok search --label rootfs", "/boot/bootx.conf", "vda2", plan.Name{Tag: "LABEL", Value: "rootfs"}, false},
		{"etc/bootx.d/40_custom", "linux /vmlinuz root=/dev/disk/by-partlabel/the\\x20root", "/etc/bootx.d/40_custom", "vda2", plan.Name{Tag: "PARTLABEL", Value: "the root"}, false},
		{"boot/bootx.conf", "linux /vmlinuz root=254:2 ro", "/boot/bootx.conf", "vda2", plan.Name{Value: "254:2"}, false},
		{"boot/bootx.conf", "linux /vmlinuz root=FE02", "/boot/bootx.conf", "vda2", plan.Name{Value: "fe02"}, false},
		{"etc/kernel/cmdline", "root=LABEL=rootfs", "/etc/kernel/cmdline", "vda2", plan.Name{Tag: "LABEL", Value: "rootfs"}, false},
		{"boot/loader/entries/d.conf", "options root=LABEL=rootfs", "/boot/loader/entries/d.conf", "vda2", plan.Name{Tag: "LABEL", Value: "rootfs"}, false},
	} {
		m := debian(t)
		m.link("dev/disk/by-path/x-part2", "../../vda2")
		m.file(c.file, "%s", c.text)
		f := m.look(t, survey.Whole)
		if !slices.ContainsFunc(f.Uses, func(u plan.Use) bool {
			return u.Where == c.where && u.Device == c.device && u.Name == c.name && u.Resume == c.resume && len(u.Ambiguous) == 0
		}) {
			t.Errorf("%s %q: %+v, want %s, %s, %+v", c.file, c.text, f.Uses, c.where, c.device, c.name)
		}
		if d := f.Dev("vda2"); !slices.Contains(d.Links, "/dev/disk/by-path/x-part2") {
			t.Errorf("links %q", d.Links)
		}
	}
	// History and words that name no device do not count; a label of two devices is told with both.
	m := debian(t)
	m.file("proc/cmdline", "BOOT_IMAGE=/boot/vmlinuz console=ttyS0 ro x=254:2")
	m.file("etc/generator/x.conf", "# RESUME=LABEL=rootfs\nRESUME=none\nROOT=auto\n")
	m.file("etc/bootx.d/40_custom", "# root=LABEL=rootfs\n")
	if f := m.look(t, survey.Whole); len(f.Uses) != 0 {
		t.Errorf("%+v", f.Uses)
	}
	m.disks["vdb"].Write(sim.Ext4Super(dataID, "rootfs", 800*mib, 1), 1024)
	m.file("proc/cmdline", "root=LABEL=rootfs")
	if f := m.look(t, survey.Whole); len(f.Uses) != 1 || strings.Join(f.Uses[0].Ambiguous, " ") != "vda2 vdb" || f.Uses[0].Device != "" {
		t.Errorf("%+v", f.Uses)
	}
	m.file("etc/fstab", "/dev/disk/by-label/rootfs /x ext4 nofail 0 0\n")
	if f := m.look(t, survey.Whole); strings.Join(f.Fstab[0].Ambiguous, " ") != "vda2 vdb" || f.Fstab[0].Device != "" {
		t.Errorf("%+v", f.Fstab)
	}
}
