package plan

import (
	"fmt"
	"strings"
)

// describeVolumes lists encrypted containers, and volume groups with their volumes.
func (f *Facts) describeVolumes(p *page) {
	if len(f.Groups)+len(f.Crypts) > 0 {
		p.head("Volumes")
	}
	for i := range f.Crypts {
		c := &f.Crypts[i]
		what, opened := fmt.Sprintf("LUKS%d", c.Version), "not open"
		if c.UUID == "" {
			what = ""
		}
		if c.Node != "" {
			opened = "open as /dev/" + c.Node
		}
		keys := ""
		if c.UUID != "" {
			keys = count(c.Slots, "key slot")
			if len(c.Tokens) > 0 {
				keys += " (" + strings.Join(c.Tokens, ", ") + ")"
			}
		}
		p.para(fmt.Sprintf("  %-14s ", orElse(c.Name, "encrypted")), "%s", joined("on /dev/"+c.Device, what, c.Cipher, opened, keys, c.Unusual))
	}
	for i := range f.Groups {
		g := &f.Groups[i]
		var on []string
		for _, pv := range g.PVs {
			if pv.Device == "" {
				on = append(on, "MISSING "+orElse(pv.Hint, pv.UUID))
			} else {
				on = append(on, "/dev/"+pv.Device)
			}
		}
		refused := ""
		if g.Refused != nil {
			refused = g.Refused.Detail
		}
		p.para(fmt.Sprintf("  %-14s ", g.Name), "%s", joined("volume group on "+strings.Join(on, ", "), refused))
		for j := range g.Volumes {
			v := &g.Volumes[j]
			active, refused := "not active", ""
			if v.Node != "" {
				active = "/dev/" + v.Node
			}
			if v.Refused != nil {
				refused = v.Refused.Detail
			}
			p.para(fmt.Sprintf("    %-12s %9s  ", v.Name, size(v.Size)), "%s", joined(v.Type, active, refused))
		}
	}
}
