package mdguest

import (
	"fmt"
	"strings"
	"time"

	"migrate-init/pkg/md"
)

// facts reads mdadm's "key : value" lines; the whole text is under "".
func facts(out string) map[string]string {
	f := map[string]string{"": out}
	for line := range strings.Lines(out) {
		k, v, ok := strings.Cut(strings.TrimSpace(line), " : ")
		if !ok {
			continue
		}
		// "Name : lab:a1  (local to host lab)"
		v, _, _ = strings.Cut(v, "  (local")
		f[strings.TrimSpace(k)] = strings.TrimSpace(v)
	}
	return f
}

func (g *guest) mdadm(args ...string) map[string]string {
	g.Helper()
	return facts(g.must(append([]string{"mdadm"}, args...)...))
}

// agree fails with every fact that differs.
func (g *guest) agree(what string, want, got map[string]string) {
	g.Helper()
	bad := false
	for k, w := range want {
		if got[k] != w {
			g.Errorf("%s: %s: mdadm says %q, we say %q", what, k, got[k], w)
			bad = true
		}
	}
	if bad {
		g.Log(got[""])
	}
}

func layoutName(s md.Superblock) string {
	switch s.Level {
	case 5, 6:
		return map[uint32]string{md.LayoutLeftSymmetric: "left-symmetric"}[s.Layout]
	case 10:
		return map[uint32]string{md.LayoutNear2: "near=2"}[s.Layout]
	}
	return ""
}

// arraySectors is what the level makes of a component's size.
func arrayBytes(s md.Superblock) int64 {
	switch s.Level {
	case 5:
		return s.Size * int64(s.RaidDisks-1)
	case 6:
		return s.Size * int64(s.RaidDisks-2)
	case 10:
		return s.Size * int64(s.RaidDisks) / 2
	}
	return s.Size
}

// human cuts mdadm's "(22.00 MiB 23.07 MB)" off.
func human(v string) string {
	v, _, _ = strings.Cut(v, " (")
	return v
}

// examined compares one superblock as we parse it with mdadm --examine of the same member, field by field.
func (g *guest) examined(d disk, s md.Superblock) {
	g.Helper()
	got := g.mdadm("--examine", d.path)
	state := "active"
	if s.Clean() {
		state = "clean"
	}
	want := map[string]string{
		"Raid Level": fmt.Sprintf("raid%d", s.Level), "Raid Devices": fmt.Sprint(s.RaidDisks), "State": state,
		"Creation Time": s.CTime.Format(time.ANSIC), "Update Time": s.UTime.Format(time.ANSIC), "Events": fmt.Sprint(s.Events),
		"Layout": layoutName(s), "Magic": "a92b4efc",
	}
	if s.ChunkSize > 0 {
		want["Chunk Size"] = fmt.Sprintf("%dK", s.ChunkSize>>10)
	}
	if !strings.HasSuffix(got["Checksum"], "- correct") {
		g.Errorf("%s: checksum: mdadm says %q", d.path, got["Checksum"])
	}
	for _, k := range []string{"Array Size", "Used Dev Size", "Avail Dev Size"} {
		got[k] = human(got[k])
	}
	if s.Version == md.V090 {
		l := s.Legacy
		for k, v := range map[string]string{
			"Version": "0.90.00", "UUID": s.UUID.String(), "Preferred Minor": fmt.Sprint(l.PreferredMinor),
			"Used Dev Size": fmt.Sprint(s.Size >> 10), "Array Size": fmt.Sprint(arrayBytes(s) >> 10),
			"Total Devices": fmt.Sprint(l.NrDisks), "Active Devices": fmt.Sprint(l.Active), "Working Devices": fmt.Sprint(l.Working),
			"Failed Devices": fmt.Sprint(l.Failed), "Spare Devices": fmt.Sprint(l.Spares),
		} {
			want[k] = v
		}
		got["UUID"], _, _ = strings.Cut(got["UUID"], " ")
		want["Internal Bitmap"] = ""
		if s.Features.Has(md.FeatureBitmap) {
			want["Internal Bitmap"] = "present"
		}
		this := fmt.Sprintf("this %5d   %5d    %5d    %5d      ", l.This.Number, l.This.Major, l.This.Minor, l.This.RaidDisk)
		if s.Role().Active() {
			this += "active sync"
		}
		if !strings.Contains(got[""], this) {
			g.Errorf("%s: no line %q in\n%s", d.path, this, got[""])
		}
	} else {
		for k, v := range map[string]string{
			"Version": string(s.Version), "Array UUID": s.UUID.String(), "Device UUID": s.DeviceUUID.String(), "Name": s.Name,
			"Feature Map": fmt.Sprintf("%#x", uint32(s.Features)), "Super Offset": fmt.Sprintf("%d sectors", s.SuperOffset/md.Sector),
			"Array State":    s.ArrayState() + " ('A' == active, '.' == missing, 'R' == replacing)",
			"Avail Dev Size": fmt.Sprintf("%d sectors", s.DataSize/md.Sector), "Array Size": fmt.Sprintf("%d KiB", arrayBytes(s)>>10),
		} {
			want[k] = v
		}
		if !s.Features.Has(md.FeatureBitmap) {
			want["Internal Bitmap"] = ""
		} else {
			want["Internal Bitmap"] = fmt.Sprintf("%d sectors from superblock", s.BitmapOffset/md.Sector)
		}
		if s.Features == 0 {
			want["Feature Map"] = "0x0"
		}
		if s.DataOffset > 0 || s.Version != md.V10 {
			want["Data Offset"] = fmt.Sprintf("%d sectors", s.DataOffset/md.Sector)
		}
		if s.Size != s.DataSize {
			want["Used Dev Size"] = fmt.Sprintf("%d sectors", s.Size/md.Sector)
		}
		switch {
		case s.Role().Active():
			want["Device Role"] = fmt.Sprintf("Active device %d", s.Role())
		default:
			want["Device Role"] = s.Role().String()
		}
		want["Bad Block Log"] = ""
		if s.BadBlocks.Size > 0 {
			want["Bad Block Log"] = fmt.Sprintf("%d entries available at offset %d sectors", s.BadBlocks.Size/8, s.BadBlocks.Offset/md.Sector)
		}
	}
	if s.Features.Has(md.FeatureRecoveryOffset) {
		want["Recovery Offset"] = fmt.Sprintf("%d sectors", s.RecoveryOffset)
	}
	g.agree("examine "+d.path, want, got)
}

// bitmapped compares a member's bitmap header with mdadm --examine-bitmap; dirty is the number of dirty bits that mdadm
// must find, -1 when that is not known.
func (g *guest) bitmapped(d disk, s md.Superblock, dirty int64) {
	g.Helper()
	r := g.open(d.path)
	m, err := md.ReadBitmap(r, s)
	r.Close()
	if err != nil {
		g.Error(err)
		return
	}
	got := g.mdadm("--examine-bitmap", d.path)
	got["Chunksize"], got["Sync Size"] = human(got["Chunksize"]), human(got["Sync Size"])
	bits, _, _ := strings.Cut(got["Bitmap"], " (")
	got["bits"] = bits
	want := map[string]string{"UUID": s.UUID.String(), "Events": fmt.Sprint(m.Events), "Events Cleared": fmt.Sprint(m.EventsCleared),
		"State": "OK", "Sync Size": fmt.Sprint(m.SyncSize >> 10), "bits": fmt.Sprint(m.Bits(), " bits")}
	if m.ChunkSize >= 1<<20 {
		want["Chunksize"] = fmt.Sprintf("%d MB", m.ChunkSize>>20)
	}
	if dirty >= 0 && !strings.Contains(got["Bitmap"], fmt.Sprintf(", %d dirty", dirty)) {
		g.Errorf("bitmap of %s: mdadm says %q, want %d dirty", d.path, got["Bitmap"], dirty)
	}
	if m.Events != s.Events {
		g.Logf("bitmap of %s: events %d, superblock's %d", d.path, m.Events, s.Events)
	}
	g.agree("bitmap of "+d.path, want, got)
}

// detailed compares mdadm --detail of a running array with a member's superblock.
func (g *guest) detailed(name string, s md.Superblock, active int) {
	g.Helper()
	got := g.mdadm("--detail", "/dev/"+name)
	got["Array Size"], got["Used Dev Size"] = human(got["Array Size"]), human(got["Used Dev Size"])
	got["UUID"], _, _ = strings.Cut(got["UUID"], " ")
	want := map[string]string{
		"Version": string(s.Version), "Raid Level": fmt.Sprintf("raid%d", s.Level), "Raid Devices": fmt.Sprint(s.RaidDisks),
		"Creation Time": s.CTime.Format(time.ANSIC), "UUID": s.UUID.String(), "Active Devices": fmt.Sprint(active),
		"Working Devices": fmt.Sprint(active), "Failed Devices": "0", "Array Size": fmt.Sprint(arrayBytes(s) >> 10),
		"Used Dev Size": fmt.Sprint(s.Size >> 10), "Layout": layoutName(s), "Events": fmt.Sprint(s.Events),
	}
	if s.Version != md.V090 {
		want["Name"] = s.Name
	} else {
		delete(want, "Events") // "0.12": that of 0.90 is printed in halves
	}
	if s.ChunkSize > 0 {
		want["Chunk Size"] = fmt.Sprintf("%dK", s.ChunkSize>>10)
	}
	policy := "resync"
	if s.Features.Has(md.FeatureBitmap) {
		policy = "bitmap"
		want["Intent Bitmap"] = "Internal"
	}
	want["Consistency Policy"] = policy
	if deg := strings.Contains(got["State"], "degraded"); deg != (active < s.RaidDisks) {
		g.Errorf("%s: mdadm says state %q with %d of %d", name, got["State"], active, s.RaidDisks)
	}
	g.agree("detail of "+name, want, got)
}
