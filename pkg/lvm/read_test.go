package lvm

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func everyVG(t *testing.T) (VG, map[ID]int64) {
	t.Helper()
	vg, err := ParseVG(every(t))
	if err != nil {
		t.Fatal(err)
	}
	sizes := map[ID]int64{}
	for _, p := range vg.PVs {
		sizes[p.ID] = p.Size
	}
	return vg, sizes
}

// show puts a reading into one line; PVs are numbers in the order of the group.
func show(vg VG, r Reading) string {
	var b strings.Builder
	table := func(pieces []Piece) {
		for _, p := range pieces {
			fmt.Fprintf(&b, " %d+%d", p.Offset/mib, p.Length/mib)
			if p.StripeSize > 0 {
				fmt.Fprintf(&b, "/%dk", p.StripeSize/1024)
			}
			for _, l := range p.Legs {
				i := slices.IndexFunc(vg.PVs, func(p PV) bool { return p.ID == l.PV })
				fmt.Fprintf(&b, "@%d:%d", i, l.Offset/mib)
			}
		}
	}
	switch {
	case r.Refused != nil:
		return r.Refused.Error()
	case r.Array != nil:
		fmt.Fprintf(&b, "%s %dM stripe %dk region %dk copies %d missing %d: %s;", r.Array.Type, r.Array.Length/mib, r.Array.StripeSize/1024, r.Array.RegionSize/1024, r.Array.Copies, r.Array.Missing, r.Array.Start)
		for _, im := range r.Array.Images {
			fmt.Fprintf(&b, " [")
			table(im.Meta)
			fmt.Fprintf(&b, " |")
			table(im.Data)
			if im.Why != nil {
				fmt.Fprintf(&b, " %s", im.Why.Detail)
			}
			fmt.Fprintf(&b, " ]")
		}
	default:
		fmt.Fprintf(&b, "table")
		table(r.Table)
	}
	return b.String()
}

// How every type of volume in the text by LVM is read.
func TestReadEvery(t *testing.T) {
	vg, sizes := everyVG(t)
	want := map[string]string{
		"plain":    "table 0+6@0:1 6+4/64k@0:7@1:1 10+3@2:1",
		"org":      "table 0+5@3:8",
		"r0":       "raid0 6M stripe 64k region 0k copies 0 missing 0: lvchange -ay every/r0; [ | 0+2@0:14 ] [ | 0+2@1:8 ] [ | 0+2@2:4 ]",
		"r0m":      "raid0_meta 4M stripe 64k region 0k copies 0 missing 0: lvchange -ay every/r0m; [ 0+1@0:16 | 0+2@0:17 ] [ 0+1@1:10 | 0+2@1:11 ]",
		"r1":       "raid1 4M stripe 0k region 2048k copies 0 missing 0: lvchange -ay every/r1; [ 0+1@0:9 | 0+4@0:10 ] [ 0+1@1:3 | 0+4@1:4 ]",
		"r4":       "raid4 6M stripe 64k region 2048k copies 0 missing 0: lvchange -ay every/r4; [ 0+1@0:19 | 0+3@0:20 ] [ 0+1@1:13 | 0+3@1:14 ] [ 0+1@2:6 | 0+3@2:7 ]",
		"r5":       "raid5_ls 6M stripe 64k region 2048k copies 0 missing 0: lvchange -ay every/r5; [ 0+1@0:23 | 0+3@0:24 ] [ 0+1@1:17 | 0+3@1:18 ] [ 0+1@2:10 | 0+3@2:11 ]",
		"r10":      "raid10 6M stripe 64k region 2048k copies 2 missing 0: lvchange -ay every/r10; [ 0+1@0:30 | 0+3@0:31 ] [ 0+1@1:24 | 0+3@1:25 ] [ 0+1@2:17 | 0+3@2:18 ] [ 0+1@3:4 | 0+3@3:5 ]",
		"mir":      "mirror 4M stripe 0k region 2048k copies 0 missing 0: lvchange -ay every/mir; [ | 0+4@0:34 ] [ | 0+4@1:28 ]",
		"snap":     "every/snap: it is a snapshot: it holds only what has changed, and is complete only together with org (use every/org, or merge the snapshot into it: lvconvert --merge every/snap)",
		"msnap":    "every/msnap: it is a snapshot: it holds only what has changed, and is complete only together with morg (use every/morg, or merge the snapshot into it: lvconvert --merge every/msnap)",
		"morg":     "every/morg: the snapshot msnap is being merged into it: until that ends, it is complete only while it is active (wait until it is gone from: lvs -a every)",
		"pool":     "every/pool: it is a thin pool: it holds volumes and is not itself one (lvs -a every/pool)",
		"thin":     "every/thin: it is a thin volume: only dm-thin knows which blocks of the pool are its own (from a rescue system, copy it to a plain volume: lvcreate -n NAME -L SIZE GROUP; dd if=/dev/every/thin of=/dev/GROUP/NAME bs=4M conv=fsync)",
		"cached":   "every/cached: it is cached: written blocks may be only in the cache (lvconvert --uncache every/cached)",
		"wc":       "every/wc: it has a write cache: written blocks may be only in the cache (lvconvert --uncache every/wc)",
		"vdo":      "every/vdo: it is a VDO volume: its blocks are compressed and shared in the pool (from a rescue system, copy it to a plain volume: lvcreate -n NAME -L SIZE GROUP; dd if=/dev/every/vdo of=/dev/GROUP/NAME bs=4M conv=fsync)",
		"moving":   "every/moving: it lies on every/pvmove0: a pvmove is in progress (pvmove   # continues it; pvmove --abort undoes it)",
		"lost":     "every/lost: a part of it is lost: LVM put an error target there when its PV was removed (restore it from a backup)",
		"r1_rmeta": "every/r1_rmeta: the volume group has no such volume (lvs -a every)",
		// Parts.
		"lvol0_pmspare": "every/lvol0_pmspare: it is a hidden volume for LVM's own use (lvs -a every)",
		"snapshot0":     "every/snapshot0: it is a hidden volume for LVM's own use (lvs -a every)",
		"r1_rimage_0":   "every/r1_rimage_0: it is a part of r1, not a volume by itself (use every/r1)",
		"pool_tdata":    "every/pool_tdata: it is a part of pool, not a volume by itself (use every/pool)",
		"cached_corig":  "every/cached_corig: it is a part of cached, not a volume by itself (use every/cached)",
		"wcvol_cvol":    "every/wcvol_cvol: it is a part of wc, not a volume by itself (use every/wc)",
		"mir_mlog":      "every/mir_mlog: it is a part of mir, not a volume by itself (use every/mir)",
	}
	for name, w := range want {
		if got := show(vg, vg.Read(name, sizes)); got != w {
			t.Errorf("%s:\n got %s\nwant %s", name, got, w)
		}
	}
	ri := vg.Read("ri", sizes).Array
	if ri == nil || ri.Missing != 0 || ri.Images[0].Why == nil || !strings.Contains(ri.Images[0].Why.Detail, "integrity layer") || ri.Start != "lvchange -ay every/ri" {
		t.Errorf("RAID with integrity: %+v", ri)
	}
	if uuid := vg.MapperUUID(vg.Find("plain")); len(uuid) != 4+64 || !strings.HasPrefix(uuid, "LVM-"+vg.ID.Compact()) {
		t.Errorf("uuid %s", uuid)
	}
}

// What can still be read if devices are missing: each type of array can lose a different number of images.
func TestReadMissing(t *testing.T) {
	vg, all := everyVG(t)
	const refusedRAID, missing = "too few are left", "partly on the missing PV"
	for _, c := range []struct {
		without []int
		want    map[string]string
	}{
		{[]int{0}, map[string]string{"plain": missing, "r0": refusedRAID, "r1": "1", "r4": "1", "r5": "1", "r6": "1", "r10": "1", "mir": refusedRAID, "org": "table"}},
		{[]int{1, 0}, map[string]string{"r1": refusedRAID, "r5": refusedRAID, "r6": "2", "r10": refusedRAID}},
		{[]int{0, 2}, map[string]string{"r10": "2", "r6": "2", "r4": refusedRAID}},
		{[]int{1, 2}, map[string]string{"r10": "2"}},
		{[]int{0, 1, 2}, map[string]string{"r6": refusedRAID, "plain": missing}},
		{[]int{2}, map[string]string{"mir": "the log of the mirror cannot be read", "r1": "0"}},
	} {
		sizes := map[ID]int64{}
		for i, p := range vg.PVs {
			if !slices.Contains(c.without, i) {
				sizes[p.ID] = all[p.ID]
			}
		}
		for lv, want := range c.want {
			r := vg.Read(lv, sizes)
			got := show(vg, r)
			if (r.Array != nil) != (len(want) == 1) {
				t.Errorf("without %v, %s: %s, want %q", c.without, lv, got, want)
			}
			if r.Array != nil {
				got = fmt.Sprint(r.Array.Missing)
				if degraded := strings.Contains(r.Array.Start, "--activationmode degraded"); degraded != (r.Array.Missing > 0) {
					t.Errorf("without %v, %s: %s", c.without, lv, r.Array.Start)
				}
			}
			if !strings.Contains(got, want) {
				t.Errorf("without %v, %s: %s, want %q", c.without, lv, got, want)
			}
		}
	}
	// A device that is shorter than its PV.
	short := map[ID]int64{}
	for id := range all {
		short[id] = 8 * mib
	}
	if got := show(vg, vg.Read("plain", short)); !strings.Contains(got, "whose device ends at 8388608") {
		t.Errorf("short: %s", got)
	}
}

// A volume on a volume is mapped through; one that is on itself, or on a shorter one, is refused.
func TestReadThrough(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{"", "", "table 0+3@4:21 3+2@5:5"},
		{`"pvmove0", 0`, `"pvmove0", 1`, "it is longer than pvmove0"},
		{`"pvmove0", 0`, `"moving", 0`, "it is a part of itself"},
		{`"pvmove0", 0`, `"plain", 4`, "begins or ends inside the stripes of plain"},
		{`"pvmove0", 0`, `"plain", 3`, "table 0+3@0:4 3+2@5:5"},
		{`"pvmove0", 0`, `"plain", 10`, "table 0+3@2:1 3+2@5:5"},
		{`"pvmove0", 0`, `"plain", 11`, "it is longer than plain"},
		{`"pvmove0", 0`, `"r1", 0`, "it lies on r1, which is a raid1"},
		{`"pvmove0", 0`, `"thin", 0`, "it lies on every/thin: it is a thin volume"},
	} {
		// Without its second leg, the pvmove is a plain volume.
		text := string(every(t))
		at := strings.Index(text, "pvmove0 {")
		seg := text[at:]
		seg = strings.Replace(seg, `type = "mirror"`, `type = "striped"`+"\nstripe_count = 1\n", 1)
		seg = strings.Replace(seg, "mirrors = [", "stripes = [", 1)
		seg = strings.Replace(seg, ",\n\"pv5\", 6", "", 1)
		text = text[:at] + strings.Replace(seg, "LOCKED", "WRITE", 1)
		text = strings.Replace(text, c.from, c.to, 1)
		vg, err := ParseVG([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", c.to, err)
		}
		_, sizes := everyVG(t)
		if got := show(vg, vg.Read("moving", sizes)); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s, want %q", c.to, got, c.want)
		}
	}
}

// Changes to a text that LVM would not read, or that this program must not read.
func TestParseRefused(t *testing.T) {
	_, sizes := everyVG(t)
	for _, c := range []struct{ from, to, want string }{
		{`contents = "Text Format Volume Group"`, ``, "has no contents"},
		{`Text Format Volume Group`, `Something`, "not a volume group"},
		{"version = 1\n", "version = 2\n", "version 2 is not known"},
		{"every {", "-every {", "not a name for a volume group"},
		{"every {", "a { }\nevery {", "2 sections"},
		{"seqno = 8", "", "has no seqno"},
		{"seqno = 8", "seqno = -1", "seqno of every is -1"},
		{"seqno = 8", `seqno = "8"`, "is not a single integer"},
		{`status = ["RESIZEABLE"`, `status = ["SOMETHING"`, `flag "SOMETHING" is not known`},
		{"extent_size = 2048", "extent_size = 0", "extent_size of every is 0"},
		{"physical_volumes {", "physical_volume {", "has no physical_volumes"},
		{"pe_count = 127", "pe_count = 4294967296", "pe_count of pv0 is 4294967296"},
		{"pe_start = 2048", "pe_start = 18014398509481983", "more than a device can hold"},
		{"pe_count = 127", "pe_count = 42", "of PV "},
		{"segment_count = 3", "segment_count = 2", "segment_count is 2, but there are 3"},
		{"start_extent = 6", "start_extent = 7", "a gap, or an overlap"},
		{"extent_count = 6", "extent_count = 0", "a segment without extents"},
		{"extent_count = 4\n\ntype = \"striped\"\nstripe_count = 2", "extent_count = 5\n\ntype = \"striped\"\nstripe_count = 2", "cannot be in 2 stripes"},
		{"stripe_count = 2\nstripe_size = 128", "stripe_count = 2\nstripe_size = 0", "cannot be in 2 stripes"},
		{"stripe_count = 2\nstripe_size = 128", "stripe_count = 3\nstripe_size = 128", "3 areas are announced"},
		{`"pv0", 6`, `"pv0", 5`, "plain and plain both use extent 5"},
		{`"pv0", 6`, `"pv9", 6`, `no volume "pv9" in the group`},
		{`"pv0", 6`, `"pv0", -1`, "not a list of names and extents"},
		{`origin = "org"`, `origin = "orgs"`, `no volume "orgs" in the group`},
		{`origin = "org"`, ``, "a snapshot without origin or store"},
		{`"r1_rmeta_1", "r1_rimage_1"`, `"r1_rimage_1"`, "2 images are announced, but there are 2, and 1 metadata volumes"},
		{`"r1_rmeta_0"`, `"r9_rmeta_0"`, "no volume"},
		{"OclOXc-7QSp-llMI-Cqnp-0emB-fOIP-8oA5BM", "HZM8KA-WC0g-7NmL-gX6w-vhGo-mBrw-Yr2Xq6", "another volume has the id"},
		{"iQYVMZ-QZmh-F5O2-WOEQ-mu0y-gcSm-uqCFSb", "HZM8KA-WC0g-7NmL-gX6w-vhGo-mBrw-Yr2Xq6", "another volume has the id"},
	} {
		text := string(every(t))
		changed := strings.Replace(text, c.from, c.to, 1)
		if changed == text {
			t.Errorf("%q is not in the text", c.from)
			continue
		}
		if _, err := ParseVG([]byte(changed)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q -> %q: %v, want %q", c.from, c.to, err, c.want)
		}
	}
	// For something that LVM could read and this program does not know, only the volume is refused.
	for _, c := range []struct{ lv, from, to, want string }{
		{"r5", `"raid5_ls"`, `"raid5_ls+RESHAPE"`, "its raid5_ls is being reshaped"},
		{"r5", `"raid5_ls"`, `"raid7_x"`, `does not know segments of type "raid7_x"`},
		{"r5", `"raid5_ls"`, `"newer+FLAG"`, `does not know segments of type "newer"`},
		{"plain", `status = ["READ", "WRITE", "VISIBLE"]`, `status = ["READ", "NEWER", "VISIBLE"]`, "flag that this program does not know"},
	} {
		changed := bytes.Replace(every(t), []byte(c.from), []byte(c.to), 1)
		vg, err := ParseVG(changed)
		if err != nil {
			t.Errorf("%s: %v", c.to, err)
			continue
		}
		if got := show(vg, vg.Read(c.lv, sizes)); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s, want %q", c.to, got, c.want)
		}
	}
}

// A text of some KiB can describe a volume of more pieces than memory holds.
func TestReadPieces(t *testing.T) {
	const n = 300
	lv := func(name, id, area string, length, step int) string {
		var b strings.Builder
		fmt.Fprintf(&b, "%s {\nid = %q\nstatus = [\"VISIBLE\"]\nsegment_count = %d\n", name, letters(id[0]), n)
		for i := range n {
			fmt.Fprintf(&b, "s%d { type = \"striped\" start_extent = %d extent_count = %d stripe_count = 1 stripes = [ %q, %d ] }\n", i, i*length, length, area, i*step)
		}
		return b.String() + "}\n"
	}
	text := bytes.Replace(group("vg", '1', 1, "", 'a'), []byte("pe_count = 10"), []byte("pe_count = 1000"), 1)
	for area, want := range map[string]string{"base": "it is in more than 65536 pieces", "one": "it is a part of itself"} {
		lvs := lv("base", "B", "pva", 1, 2) + lv("many", "M", area, n, 0) + lv("one", "O", "one", n, 0) +
			"over {\nid = \"" + letters('V') + "\"\nstatus = [\"VISIBLE\"]\nsegment_count = 1\ns1 { type = \"striped\" start_extent = 0 extent_count = 5 stripe_count = 1 stripes = [ \"base\", 2 ] }\n}\n"
		at := bytes.Index(text, []byte("ona {"))
		vg, err := ParseVG(slices.Concat(text[:at], []byte(lvs), text[at+bytes.Index(text[at:], []byte("}\n}\n"))+4:]))
		if err != nil {
			t.Fatal(err)
		}
		sizes := map[ID]int64{vg.PVs[0].ID: 1 << 40}
		if r := vg.Read("base", sizes); len(r.Table) != n {
			t.Errorf("base: %d pieces, %v", len(r.Table), r.Refused)
		}
		use(t, &vg) // "over" is in pieces without gaps
		if r := vg.Read("over", sizes); len(r.Table) != 5 || r.Table[0].Legs[0].Offset != vg.PVs[0].Start+4*vg.ExtentSize {
			t.Errorf("over: %+v", r)
		}
		if got := show(vg, vg.Read("many", sizes)); !strings.Contains(got, want) {
			t.Errorf("%.200s, want %q", got, want)
		}
	}
}

// Neighbours hold the same data; with an odd number of images the pairs wrap around the end.
func TestEnough10(t *testing.T) {
	for gone, want := range map[string]bool{"....": true, "x.x.": true, ".x.x": true, "x..x": true, "xx..": false, "..xx": false, ".xx.": true,
		"x....": true, "x.x..": true, "xx...": false, ".xx..": false, "x...x": false, "..x.x": true} {
		var b []bool
		for _, c := range gone {
			b = append(b, c == 'x')
		}
		if enough10(b) != want {
			t.Errorf("%s: %v", gone, !want)
		}
	}
}
