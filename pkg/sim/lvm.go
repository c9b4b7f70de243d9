package sim

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
)

// Group is a volume group to be written as LVM's tools would. All ids have the form of LVM, with dashes.
type Group struct {
	UUID, Name string
	Extent     int64 // bytes
	PVs        []PV
	LVs        []LV
}

// PV is a physical volume of a Group.
type PV struct {
	UUID string
	Size int64 // bytes of its device
}

// LV is a logical volume of a Group: linear extents of one PV unless Segments says something else.
type LV struct {
	UUID, Name string
	Extents    int64
	PV         int   // index in Group.PVs
	At         int64 // first extent there
	Segments   string
	Hidden     bool
}

// PVStart is where the first extent of a physical volume is.
const PVStart = MiB

// Label returns the first bytes of a physical volume of the group, with its metadata.
func (g Group) Label(pv int) []byte {
	text := append([]byte(g.text()), 0)
	const sector, area = 512, 4096
	b := make([]byte, PVStart)
	le := binary.LittleEndian
	sum := func(b []byte) uint32 { return ^crc32.Update(^uint32(0xf597a6cf), crc32.IEEETable, b) }
	l := b[sector:]
	copy(l, "LABELONE")
	le.PutUint64(l[8:], 1)
	le.PutUint32(l[20:], 32)
	copy(l[24:], "LVM2 001")
	copy(l[32:], strings.ReplaceAll(g.PVs[pv].UUID, "-", ""))
	le.PutUint64(l[64:], uint64(g.PVs[pv].Size))
	le.PutUint64(l[72:], uint64(PVStart))
	le.PutUint64(l[104:], area)
	le.PutUint64(l[112:], uint64(PVStart-area))
	le.PutUint32(l[136:], 2)
	le.PutUint32(l[140:], 1)
	le.PutUint32(l[16:], sum(l[20:sector]))
	h := b[area:]
	copy(h[4:], " LVM2 x[5A%r0N*>")
	le.PutUint32(h[20:], 1)
	le.PutUint64(h[24:], area)
	le.PutUint64(h[32:], uint64(PVStart-area))
	le.PutUint64(h[40:], sector)
	le.PutUint64(h[48:], uint64(len(text)))
	le.PutUint32(h[56:], sum(text))
	copy(h[sector:], text)
	le.PutUint32(h, sum(h[4:sector]))
	return b
}

func (g Group) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s {\nid = \"%s\"\nseqno = 1\nformat = \"lvm2\"\nstatus = [\"RESIZEABLE\", \"READ\", \"WRITE\"]\nflags = []\nextent_size = %d\nmax_lv = 0\nmax_pv = 0\nmetadata_copies = 0\n\nphysical_volumes {\n", g.Name, g.UUID, g.Extent/512)
	for i, p := range g.PVs {
		fmt.Fprintf(&b, "\npv%d {\nid = \"%s\"\ndevice = \"/dev/old%d\"\n\nstatus = [\"ALLOCATABLE\"]\nflags = []\ndev_size = %d\npe_start = %d\npe_count = %d\n}\n", i, p.UUID, i, p.Size/512, PVStart/512, (p.Size-PVStart)/g.Extent)
	}
	b.WriteString("}\n\nlogical_volumes {\n")
	for _, v := range g.LVs {
		visible := `, "VISIBLE"`
		if v.Hidden {
			visible = ""
		}
		fmt.Fprintf(&b, "\n%s {\nid = \"%s\"\nstatus = [\"READ\", \"WRITE\"%s]\nflags = []\nsegment_count = 1\n\nsegment1 {\nstart_extent = 0\nextent_count = %d\n\n", v.Name, v.UUID, visible, v.Extents)
		if v.Segments != "" {
			b.WriteString(v.Segments)
		} else {
			fmt.Fprintf(&b, "type = \"striped\"\nstripe_count = 1\n\nstripes = [\n\"pv%d\", %d\n]\n", v.PV, v.At)
		}
		b.WriteString("}\n}\n")
	}
	b.WriteString("}\n}\ncontents = \"Text Format Volume Group\"\nversion = 1\n\ndescription = \"\"\n\ncreation_host = \"old\"\ncreation_time = 1700000000\n")
	return b.String()
}

// LVMID makes an id of LVM's form out of a short name.
func LVMID(name string) string {
	s := (strings.ReplaceAll(name, "-", "") + strings.Repeat("0", 32))[:32]
	return strings.Join([]string{s[:6], s[6:10], s[10:14], s[14:18], s[18:22], s[22:26], s[26:]}, "-")
}

// LUKS1 returns the header of a container with one key slot, as cryptsetup writes it.
func LUKS1(uuid string) []byte {
	b := make([]byte, 592)
	be := binary.BigEndian
	copy(b, "LUKS\xba\xbe\x00\x01")
	copy(b[8:], "aes")
	copy(b[40:], "xts-plain64")
	copy(b[72:], "sha256")
	be.PutUint32(b[104:], uint32(2*MiB/512))
	be.PutUint32(b[108:], 64)
	copy(b[168:], uuid)
	be.PutUint32(b[208:], 0x00ac71f3)
	for i := 1; i < 8; i++ {
		be.PutUint32(b[208+48*i:], 0x0000dead)
	}
	return b
}
