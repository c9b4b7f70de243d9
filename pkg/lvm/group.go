package lvm

import (
	"fmt"
	"slices"
	"strings"
)

// Group is a volume group as found on the devices of a machine.
type Group struct {
	VG      *VG           // the text with the highest seqno
	From    []string      // devices that hold that text
	Devices map[ID]Device // its PVs that are present
	Missing []PV          // its PVs that are absent, or that were absent while the group was changed
	Stale   []string      // devices with an older text; LVM uses them, and writes the newer text to them
	Refused *Refusal      // why the group must not be used; nil if it may
}

// Stray is a device with a physical volume that does not belong to any group of this machine.
type Stray struct {
	Device string
	PV     ID
	Why    string
}

// Assemble sorts devices into volume groups, in the order in which it finds their texts. As in LVM, the newest text of
// a group says which PVs belong to it. Assemble returns the remaining devices with the reason.
func Assemble(devices []Device) ([]Group, []Stray) {
	var groups []Group
	at := map[ID]int{}
	for _, d := range devices {
		for _, m := range d.Areas {
			if m.VG == nil {
				continue
			}
			i, ok := at[m.VG.ID]
			if !ok {
				i = len(groups)
				at[m.VG.ID] = i
				groups = append(groups, Group{VG: m.VG, Devices: map[ID]Device{}})
			}
			groups[i].newer(m.VG)
		}
	}
	taken := map[ID]string{} // id of a PV -> name of its group
	for i := range groups {
		groups[i].gather(devices, taken)
	}
	var strays []Stray
	for _, d := range devices {
		if taken[d.Label.PV] == "" {
			strays = append(strays, Stray{d.Name, d.Label.PV, d.stray()})
		}
	}
	return groups, strays
}

// newer adds another text of the group, and keeps the newest.
func (g *Group) newer(vg *VG) {
	switch {
	case vg.Seqno > g.VG.Seqno:
		g.VG, g.Refused = vg, nil
	case vg.Seqno == g.VG.Seqno && vg.text != g.VG.text:
		g.refuse(fmt.Sprintf("its PVs hold two different texts, both with seqno %d: each was changed while the other was absent", vg.Seqno),
			"disconnect the PV whose text is wrong, and start again; vgcfgrestore writes one text to all PVs")
	}
}

// refuse keeps the first refusal.
func (g *Group) refuse(detail, fix string) {
	if g.Refused == nil {
		g.Refused = &Refusal{"volume group " + g.VG.Name, detail, fix}
	}
}

// gather finds the PVs of the group.
func (g *Group) gather(devices []Device, taken map[ID]string) {
	own := map[ID]bool{}
	for _, p := range g.VG.PVs {
		own[p.ID] = true
	}
	for _, d := range devices {
		for _, m := range d.Areas {
			switch {
			case m.VG == nil || m.VG.ID != g.VG.ID:
			case m.VG.Seqno == g.VG.Seqno:
				g.From = once(g.From, d.Name)
			case own[d.Label.PV]:
				g.Stale = once(g.Stale, d.Name)
			}
		}
		if own[d.Label.PV] {
			g.add(d, taken)
		}
	}
	for _, p := range g.VG.PVs {
		// A PV that was absent while the group was changed has old data in its extents, unless none of them is in use.
		if _, there := g.Devices[p.ID]; !there || p.missing && p.Allocated > 0 {
			g.Missing = append(g.Missing, p)
		}
	}
	g.judge()
}

func once(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

func (g *Group) add(d Device, taken map[ID]string) {
	id := d.Label.PV
	if other, twice := g.Devices[id]; twice {
		g.refuse(fmt.Sprintf("PV %s is on %s and on %s", id, other.Name, d.Name),
			"disconnect the copy; if they are members of an array or paths of one disk, use only the array or the multipath device")
		return
	}
	if vg := d.VG(); vg != nil && vg.ID != g.VG.ID {
		g.refuse(fmt.Sprintf("it lists PV %s on %s, whose own text says that it belongs to %s (%s)", id, d.Name, vg.Name, vg.ID),
			"vgreduce --removemissing "+g.VG.Name)
		return
	}
	if name := taken[id]; name != "" {
		g.refuse(fmt.Sprintf("volume group %s lists PV %s too", name, id), "vgs -o +vg_uuid,pv_uuid")
	}
	taken[id] = g.VG.Name
	g.Devices[id] = d
}

// judge refuses groups that are exported or shared, which LVM would not activate either.
func (g *Group) judge() {
	vg := g.VG
	switch {
	case slices.Contains(vg.Status, "EXPORTED"):
		g.refuse("it is exported", "vgimport "+vg.Name)
	case slices.Contains(vg.Status, "CLUSTERED") || slices.Contains(vg.Status, "SHARED") || vg.LockType != "" && vg.LockType != "none":
		g.refuse("it is shared with other hosts", "make it local when no other host uses it: vgchange --lock-type none --lock-opt force "+vg.Name)
	}
}

func (d Device) stray() string {
	vg := d.VG()
	switch {
	case vg != nil:
		return fmt.Sprintf("volume group %s (%s) does not list it, or has it on another device: it was removed from the group while it was absent", vg.Name, vg.ID)
	case d.Err() != nil:
		return "none of its metadata areas can be read: " + strings.ReplaceAll(d.Err().Error(), "\n", "; ")
	case d.Label.Used:
		return "it belongs to a volume group, but no device that is present says to which"
	}
	return "it is in no volume group"
}

// Present returns the PVs that can be read, with the size of each device in bytes.
func (g Group) Present() map[ID]int64 {
	out := map[ID]int64{}
	for id, d := range g.Devices {
		out[id] = d.Size
	}
	for _, p := range g.Missing {
		delete(out, p.ID)
	}
	return out
}

// Read says how a volume of the group can be read on this machine.
func (g Group) Read(lv string) Reading {
	if g.Refused != nil {
		return Reading{Refused: g.Refused}
	}
	return g.VG.Read(lv, g.Present())
}

// Named returns the group with a name. The error says that there is none, or lists the ids if several have the name.
func Named(groups []Group, name string) (Group, error) {
	var found []Group
	var ids []string
	for _, g := range groups {
		if g.VG.Name == name {
			found = append(found, g)
			ids = append(ids, g.VG.ID.String())
		}
	}
	switch len(found) {
	case 0:
		return Group{}, fmt.Errorf("volume group %.140q: not found", name)
	case 1:
		return found[0], nil
	}
	return Group{}, fmt.Errorf("volume group %s: ambiguous: %s have the name; rename one: vgrename %s NEW-NAME", name, strings.Join(ids, " and "), ids[0])
}
