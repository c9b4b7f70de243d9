package plan

import (
	"fmt"
	"slices"
	"strings"
)

// VolumeGroup is an LVM volume group as the newest metadata on its physical volumes describes it.
type VolumeGroup struct {
	UUID    string           `json:"uuid"`
	Name    string           `json:"name"`
	PVs     []PhysicalVolume `json:"pvs"` // in the order of the metadata
	Volumes []LogicalVolume  `json:"volumes,omitempty"`
	Extent  int64            `json:"extent"` // bytes
	Refused *Unreadable      `json:"refused,omitempty"`
}

// PhysicalVolume is one of a volume group. Device is "" when it is missing.
type PhysicalVolume struct {
	UUID   string `json:"uuid"`
	Device string `json:"device,omitempty"`
	Hint   string `json:"hint,omitempty"` // where it was when the metadata was written
}

// LogicalVolume is a volume that people see, not a part of another one.
type LogicalVolume struct {
	UUID    string      `json:"uuid"`
	Name    string      `json:"name"`
	Type    string      `json:"type"` // "linear", "striped", "raid1", "mirror", "thin", ...
	Size    int64       `json:"size"`
	Node    string      `json:"node,omitempty"` // "dm-0" when it is active
	Copies  int         `json:"copies,omitempty"`
	Refused *Unreadable `json:"refused,omitempty"` // why it cannot be read
}

// Unreadable says why a layer cannot be read, and what to do.
type Unreadable struct {
	Detail string `json:"detail"`
	Fix    string `json:"fix,omitempty"`
}

// Crypt is a dm-crypt device: a LUKS container, open or not, or an open mapping that has no header (plain dm-crypt).
type Crypt struct {
	UUID       string   `json:"uuid,omitempty"` // "" for one without a header
	Version    int      `json:"version"`        // of LUKS; 0 for one without a header
	Device     string   `json:"device"`         // the encrypted device
	Node       string   `json:"node,omitempty"` // "dm-0" when it is open
	Name       string   `json:"name,omitempty"` // of the open mapping
	Cipher     string   `json:"cipher,omitempty"`
	Modules    []string `json:"modules,omitempty"`    // names in the kernel's crypto API that opening it needs
	Slots      int      `json:"slots,omitempty"`      // key slots in use
	Passphrase int      `json:"passphrase,omitempty"` // those that a person or a key file can open
	Tokens     []string `json:"tokens,omitempty"`     // "systemd-tpm2", "clevis", ...
	Memory     int64    `json:"memory,omitempty"`     // bytes that its key derivation takes
	Unusual    string   `json:"unusual,omitempty"`    // why it cannot simply be opened
}

// Group finds a volume group by UUID: nil when there is none.
func (f *Facts) Group(uuid string) *VolumeGroup {
	for i := range f.Groups {
		if f.Groups[i].UUID == uuid {
			return &f.Groups[i]
		}
	}
	return nil
}

// Volume finds a volume of a group by UUID, or nil; no group has none.
func (g *VolumeGroup) Volume(uuid string) *LogicalVolume {
	if g == nil {
		return nil
	}
	for i := range g.Volumes {
		if g.Volumes[i].UUID == uuid {
			return &g.Volumes[i]
		}
	}
	return nil
}

// Missing lists the physical volumes that are not there.
func (g *VolumeGroup) Missing() []PhysicalVolume {
	var out []PhysicalVolume
	for _, p := range g.PVs {
		if p.Device == "" {
			out = append(out, p)
		}
	}
	return out
}

// crypts lists the LUKS containers of a UUID.
func (f *Facts) crypts(uuid string) []*Crypt {
	var out []*Crypt
	for i := range f.Crypts {
		if uuid != "" && f.Crypts[i].UUID == uuid {
			out = append(out, &f.Crypts[i])
		}
	}
	return out
}

// mapped is the node of the volume or container that an open mapping is, nil for another.
func (f *Facts) mapped(node string) (lv *LogicalVolume, crypt *Crypt) {
	for i := range f.Groups {
		for j := range f.Groups[i].Volumes {
			if v := &f.Groups[i].Volumes[j]; v.Node != "" && v.Node == node {
				lv = v
			}
		}
	}
	for i := range f.Crypts {
		if c := &f.Crypts[i]; c.Node != "" && c.Node == node {
			crypt = c
		}
	}
	return lv, crypt
}

// withoutHeader describes the encrypted mappings that have no LUKS header by which they could be found again, "" for none.
func (f *Facts) withoutHeader() string {
	for _, c := range f.Crypts {
		if c.UUID == "" {
			return fmt.Sprintf("the encrypted mapping %s on /dev/%s cannot be found again: %s", c.Name, c.Device, c.Unusual)
		}
	}
	return ""
}

// Internal reports whether a device is a part of a logical volume (an image of a mirror, the origin below a snapshot). It
// shows what the whole volume shows, which would then be seen twice. LVM appends a word to the UUID of some of them; images
// of a RAID or a mirror have only their names, which no volume of a person may have.
func (d *Device) Internal() bool {
	const uuid = 2 * 32 // of the group and of the volume
	id, ok := strings.CutPrefix(d.MappingID, "LVM-")
	return ok && (len(id) > uuid || reservedLV(d.Mapping))
}

// reservedLV reports whether LVM keeps the name of a mapped volume for itself (apply_lvname_restrictions in LVM2's
// lvm-string.c). A hyphen of a group or a volume is doubled; a single one parts them.
func reservedLV(mapping string) bool {
	_, lv, _ := strings.Cut(strings.ReplaceAll(mapping, "--", "/"), "-")
	return strings.HasPrefix(lv, "pvmove") || strings.HasPrefix(lv, "snapshot") ||
		slices.ContainsFunc([]string{"_cdata", "_cmeta", "_corig", "_cvol", "_imeta", "_iorig", "_mimage", "_mlog", "_pmspare", "_rimage", "_rmeta",
			"_tdata", "_tmeta", "_vdata", "_vorigin", "_wcorig"}, func(s string) bool { return strings.Contains(lv, s) })
}
