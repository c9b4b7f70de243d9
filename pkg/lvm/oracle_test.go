package lvm

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"migrate-init/pkg/fixtures"
	"migrate-init/pkg/probe"
)

// every is a text by LVM with every type of segment.
func every(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/every.vg")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestJudgeEvery lets LVM restore the text to devices, which it does only if the text is valid, and compares the output
// of lvs, pvs and vgs with what this package reads.
func TestJudgeEvery(t *testing.T) {
	vg, err := ParseVG(every(t))
	if err != nil {
		t.Fatal(err)
	}
	l := newLab(t, len(vg.PVs), 128*mib)
	for i, p := range vg.PVs {
		l.lvm("pvcreate", "--norestorefile", "--uuid", p.ID.String(), fmt.Sprintf("@%d", i))
	}
	l.lvm("vgcfgrestore", "--force", "--file", "testdata/every.vg", "every")
	judge(t, l)
}

// judge compares every group of the lab with LVM's reports.
func judge(t *testing.T, l *lab, hide ...string) {
	t.Helper()
	groups, strays := Assemble(l.scan(hide...))
	for _, g := range groups {
		judgeGroup(t, l, g, hide)
	}
	names := map[string]string{}
	for _, r := range l.report(hide, "pvs", "pv_uuid,pv_name,vg_name", "-a") {
		names[r["pv_name"]] = r["vg_name"]
	}
	for _, s := range strays {
		if names[s.Device] != "" {
			t.Errorf("stray %v: LVM has it in %s", s, names[s.Device])
		}
	}
	judgeProbe(t, l)
}

func judgeGroup(t *testing.T, l *lab, g Group, hide []string) {
	t.Helper()
	vg := g.VG
	row := l.report(hide, "vgs", "vg_uuid,vg_seqno,vg_extent_size,pv_count,vg_missing_pv_count", "--select", "vg_uuid="+vg.ID.String())[0]
	same(t, "vgs "+vg.Name, row, map[string]string{"vg_uuid": vg.ID.String(), "vg_seqno": fmt.Sprint(vg.Seqno),
		"vg_extent_size": fmt.Sprint(vg.ExtentSize), "pv_count": fmt.Sprint(len(vg.PVs)), "vg_missing_pv_count": fmt.Sprint(len(g.Missing))})

	byName := map[string]ID{}
	for _, r := range l.report(hide, "pvs", "pv_name,pv_uuid,pe_start,pv_pe_count,pv_pe_alloc_count,dev_size", "--select", "vg_uuid="+vg.ID.String()) {
		i := slices.IndexFunc(vg.PVs, func(p PV) bool { return p.ID.String() == r["pv_uuid"] })
		if i < 0 {
			t.Errorf("PV %v is not in %s", r, vg.Name)
			continue
		}
		p := vg.PVs[i]
		if d, there := g.Devices[p.ID]; there {
			byName[r["pv_name"]] = p.ID
			same(t, "device", r, map[string]string{"pv_name": d.Name, "dev_size": fmt.Sprint(d.Size)})
		}
		same(t, "pvs", r, map[string]string{"pe_start": fmt.Sprint(p.Start), "pv_pe_count": fmt.Sprint(p.Extents), "pv_pe_alloc_count": fmt.Sprint(p.Allocated)})
	}

	rows := l.report(hide, "lvs", "lv_name,lv_uuid,segtype,seg_start_pe,seg_size_pe,stripe_size,devices,metadata_devices,lv_size,lv_dm_path",
		"-a", "--select", "vg_uuid="+vg.ID.String())
	slices.SortFunc(rows, func(a, b map[string]string) int {
		return cmp.Or(cmp.Compare(a["lv_name"], b["lv_name"]), cmp.Compare(number(a["seg_start_pe"]), number(b["seg_start_pe"])))
	})
	var got []string
	for _, r := range rows {
		got = append(got, lvsRow(r, byName))
	}
	var want []string
	for _, lv := range vg.LVs {
		if strings.HasPrefix(lv.Name, "snapshot") { // LVM hides these
			continue
		}
		for _, s := range lv.Segments {
			want = append(want, ourRow(vg, lv, s, g))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if d := gocmp.Diff(got, want); d != "" {
		t.Errorf("%s: lvs (-), ours (+):\n%s", vg.Name, d)
	}
}

func number(s string) int { n, _ := strconv.Atoi(s); return n }

// lvsRow returns a row of lvs in one line, with PVs by id.
func lvsRow(r map[string]string, byName map[string]ID) string {
	devices := r["devices"] + " meta " + r["metadata_devices"]
	for name, id := range byName {
		devices = strings.ReplaceAll(devices, name+"(", id.String()+"(")
	}
	name := strings.Trim(r["lv_name"], "[]")
	return strings.Join([]string{name, r["lv_uuid"], r["segtype"], r["seg_start_pe"], r["seg_size_pe"], r["stripe_size"], devices, r["lv_size"], r["lv_dm_path"]}, " ")
}

// ourRow returns the same from what this package read.
func ourRow(vg *VG, lv LV, s Segment, g Group) string {
	typ := s.Type
	if typ == "striped" && len(s.Areas) == 1 {
		typ = "linear"
	}
	var devices, meta []string
	for _, a := range s.Areas {
		where := a.LV
		if where == "" {
			if where = a.PV.String(); g.Devices[a.PV].Name == "" {
				where = "[unknown]"
			}
		}
		devices = append(devices, fmt.Sprintf("%s(%d)", where, a.Extent))
	}
	for _, m := range s.Meta {
		meta = append(meta, m+"(0)")
	}
	// What LVM shows as devices of a stacked type is the part below: the pool's data, the origin.
	if len(devices) == 0 {
		switch s.Type {
		case "cache", "writecache", "integrity":
			devices = []string{s.Origin + "(0)"}
		case "thin-pool", "cache-pool", "vdo", "vdo-pool":
			devices = []string{s.Store + "(0)"}
		}
	}
	return strings.Join([]string{lv.Name, lv.ID.String(), typ, fmt.Sprint(s.Start), fmt.Sprint(s.Extents), fmt.Sprint(s.StripeSize),
		strings.Join(devices, ",") + " meta " + strings.Join(meta, ","), fmt.Sprint(lv.Extents * vg.ExtentSize), "/dev/mapper/" + MapperName(vg.Name, lv.Name)}, " ")
}

func same(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	for k, w := range want {
		if got[k] != w {
			t.Errorf("%s: %s is %q for LVM, %q for us", what, k, got[k], w)
		}
	}
}

// judgeProbe: pkg/probe reads a label with its own code, and must see the same PV and group.
func judgeProbe(t *testing.T, l *lab) {
	t.Helper()
	for i, dev := range l.loops {
		d, err := scanFile(dev, l.files[i])
		f, err2 := os.Open(l.files[i])
		if err2 != nil {
			t.Fatal(err2)
		}
		res, err2 := probe.Probe(f, d.Size+boolInt(err != nil)*512)
		f.Close()
		found := res.Find(probe.LVM)
		if (err == nil) != (len(found) > 0) || err2 != nil {
			t.Errorf("%s: %v here, %v (%v) in pkg/probe", dev, err, found, err2)
		}
		if err == nil && len(found) > 0 {
			agree(t, d, found[0])
		}
	}
}

func boolInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func agree(t *testing.T, d Device, s probe.Signature) {
	t.Helper()
	if s.UUID != d.Label.PV.String() || s.Offset != d.Label.Offset || s.Size != d.Label.DeviceSize || s.Checksum != probe.Valid {
		t.Errorf("label: %+v here, %+v in pkg/probe", d.Label, s)
	}
	var want *probe.LVMMember
	if vg := d.VG(); vg != nil {
		want = &probe.LVMMember{VG: vg.Name, VGID: vg.ID.String(), Seqno: uint64(vg.Seqno)}
	}
	if diff := gocmp.Diff(want, s.LVM); diff != "" {
		t.Errorf("group, here (-), in pkg/probe (+):\n%s", diff)
	}
}

// TestJudgeHeaders compares labels and metadata areas with pvck's dump, for PVs made with every option that changes
// them.
func TestJudgeHeaders(t *testing.T) {
	for _, args := range [][]string{
		nil,
		{"--metadatacopies", "2"},
		{"--metadatacopies", "0"},
		{"--labelsector", "3"},
		{"--bootloaderareasize", "1m", "--dataalignment", "4m"},
		{"--metadatasize", "2m"},
		{"--setphysicalvolumesize", "40m"},
		{"--metadatacopies", "2", "--metadataignore", "y"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			l := newLab(t, 2, 64*mib)
			l.lvm(append([]string{"pvcreate"}, append(args, "@0")...)...)
			l.lvm("pvcreate", "@1")
			headers(t, l)
			if len(args) == 0 || args[0] != "--labelsector" {
				l.lvm("vgcreate", "v-g", "@0", "@1")
				l.lvm("lvcreate", "-an", "-Zn", "-Wn", "-L", "8m", "-n", "l-v", "v-g")
				headers(t, l)
			}
			judge(t, l)
		})
	}
}

func headers(t *testing.T, l *lab) {
	t.Helper()
	for i, d := range l.scan() {
		at := fmt.Sprint(d.Label.Offset / sector)
		out, err := exec.Command("lvm", "pvck", "--driverloaded", "n", "--labelsector", at, "--dump", "headers", l.loops[i]).Output()
		if err != nil {
			t.Fatalf("pvck: %v\n%s", err, out)
		}
		var want []string
		mda := ""
		for line := range strings.Lines(string(out)) {
			f := strings.Fields(line)
			if len(f) < 2 {
				continue
			}
			if strings.HasPrefix(f[0], "CHECK") {
				t.Errorf("pvck: %s", line)
			}
			switch key := f[0]; {
			case key == "label_header" || key == "pv_header.pv_uuid" || key == "pv_header.device_size" || key == "pv_header_extension.version" || key == "pv_header_extension.flags":
				want = append(want, key+" "+f[len(f)-1])
			case strings.Contains(key, "disk_locn") && strings.HasSuffix(key, ".offset") && f[1] != "0":
				want = append(want, "area "+f[1])
			case strings.Contains(key, "disk_locn") && strings.HasSuffix(key, ".size"):
				if n := len(want); strings.HasPrefix(want[n-1], "area ") && strings.Count(want[n-1], " ") == 1 {
					want[n-1] += " " + f[1]
				}
			case strings.HasPrefix(key, "mda_header_") && strings.HasSuffix(key, "raw_locn[0].checksum"):
				mda = f[1]
			case strings.HasPrefix(key, "mda_header_") && strings.HasSuffix(key, "raw_locn[0].flags"):
				want = append(want, "mda "+mda+" "+f[1])
			}
		}
		got := []string{"label_header " + fmt.Sprint(d.Label.Offset), "pv_header.pv_uuid " + d.Label.PV.Compact(), "pv_header.device_size " + fmt.Sprint(d.Label.DeviceSize)}
		for _, a := range slices.Concat(d.Label.Data, d.Label.Metadata) {
			got = append(got, fmt.Sprintf("area %d %d", a.Offset, a.Size))
		}
		got = append(got, fmt.Sprintf("pv_header_extension.version %d", d.Label.Extension), fmt.Sprintf("pv_header_extension.flags %d", boolInt(d.Label.Used)))
		for _, a := range d.Label.Boot {
			got = append(got, fmt.Sprintf("area %d %d", a.Offset, a.Size))
		}
		for _, m := range d.Areas {
			sum := uint32(0)
			if m.VG != nil {
				sum = m.VG.text
			}
			if m.Err != nil {
				t.Errorf("%s: %v", d.Name, m.Err)
			}
			got = append(got, fmt.Sprintf("mda 0x%x 0x%x", sum, boolInt(m.Ignored)))
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("%s: pvck (-), ours (+):\n%s", d.Name, diff)
		}
	}
}

// TestJudgeImage reads the PV of util-linux's own tests, which LVM wrote on another machine.
func TestJudgeImage(t *testing.T) {
	path := fixtures.Glob(t, "blkid", "images-fs_lvm2.img.xz", 1)[0]
	im := fixtures.Open(t, path, 0)
	d, err := Scan("image", im, im.Size)
	if err != nil || d.Err() != nil || d.Label.PV.String() != "Vynv4k-APH8-xQER-HSBb-8VJ3-SvFF-PB5O1U" {
		t.Fatalf("%v, %v, %+v", err, d.Err(), d)
	}
	res, err := probe.Probe(im, im.Size)
	if found := res.Find(probe.LVM); err != nil || len(found) != 1 {
		t.Errorf("%v, %v", res, err)
	} else {
		agree(t, d, found[0])
	}
	t.Logf("%+v, %+v", d.Label, d.Areas)
}
