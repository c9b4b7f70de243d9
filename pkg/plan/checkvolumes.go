package plan

import (
	"fmt"
	"slices"
	"strings"
)

// checkVolumes looks at the volume groups and encrypted containers that the sources lie on: whether the image can start
// them, and whether something on them would be neither copied nor noticed, because it is not active.
func checkVolumes(p *Plan, f *Facts, a *answers) {
	for i := range p.Source {
		n := &p.Source[i]
		switch {
		case n.VG != nil:
			if g := f.Group(n.Ref.ID()); g != nil {
				f.sourceGroup(p, g, a)
			}
		case n.LUKS != nil:
			if c, _ := f.crypt(n.Ref.ID()); c != nil {
				c.sourceCrypt(n.LUKS, a)
			}
		}
	}
}

func (f *Facts) sourceGroup(p *Plan, g *VolumeGroup, a *answers) {
	noun := "volume group " + g.Name
	if g.Refused != nil {
		a.refuse(noun, g.Refused.Fix, "%s", g.Refused.Detail)
	}
	for _, pv := range g.Missing() {
		was := ""
		if pv.Hint != "" {
			was = " (formerly " + pv.Hint + ")"
		}
		a.refuse(noun, "connect the disk; or, if nothing of it is wanted: vgreduce --removemissing "+g.Name, "its physical volume %s%s is missing", pv.UUID, was)
	}
	for i := range f.Groups {
		if o := &f.Groups[i]; o.UUID != g.UUID && o.Name == g.Name {
			a.refuse(noun, "rename one of them: vgrename "+o.UUID+" NEW-NAME", "two groups have this name: %s and %s", g.UUID, o.UUID)
		}
	}
	for i := range g.Volumes {
		v := &g.Volumes[i]
		name := g.Name + "/" + v.Name
		moved := p.Source.Node(Ref("lv:"+v.UUID)) != nil
		switch {
		case v.Refused != nil:
			a.refuse("logical volume "+name, orElse(v.Refused.Fix, "copy it to a linear volume"), "%s", v.Refused.Detail)
		case moved && !slices.Contains([]string{"linear", "striped", "mirror", "raid1"}, v.Type):
			a.refuse("logical volume "+name, "turn it into a mirror or a linear volume (lvconvert --type raid1 "+name+")", "its type is %s; this version reads linear, striped, mirror and raid1 volumes", v.Type)
		case v.Node == "":
			a.refuse("logical volume "+name, "activate it (lvchange -ay "+name+"), and give it a line in /etc/fstab; or remove it: lvremove "+name,
				"it is not active, so what is on it is unknown: it would not be copied, and finish would erase it")
		}
	}
}

func (c *Crypt) sourceCrypt(l *LUKS, a *answers) {
	noun := "encrypted container /dev/" + c.Device
	switch {
	case c.Unusual != "":
		a.refuse(noun, "finish that with cryptsetup, and make the plan again: cryptsetup luksDump /dev/"+c.Device, "%s", c.Unusual)
	case c.Slots == 0:
		a.refuse(noun, "look with cryptsetup luksDump /dev/"+c.Device, "it has no key slot in use")
	case c.Passphrase == 0 && l.KeyFile == "":
		a.refuse(noun, "add a passphrase, which is asked for at the consoles: cryptsetup luksAddKey /dev/"+c.Device,
			"only tokens open it (%s): the image has no TPM software, and no one may be there to touch a key", strings.Join(c.Tokens, ", "))
	case l.KeyFile != "":
		a.warn(noun, "remove the image when the migration is done: `migrate-init cancel`, or finish", "the key file %s goes into the image, which is not encrypted", l.KeyFile)
	default:
		a.warn(noun, "keep a console at hand", "its passphrase is asked for at every console while the image runs; without it the old system is booted again")
	}
}

func okVolumes(p *Plan, _ *Facts) string {
	var out []string
	for _, n := range p.Source {
		switch {
		case n.LV != nil:
			out = append(out, fmt.Sprintf("%s is a %s volume", n.LV.Path(), n.LV.Type))
		case n.LUKS != nil:
			out = append(out, fmt.Sprintf("%s is LUKS%d", n.LUKS.Path(), n.LUKS.Version))
		}
	}
	return orElse(strings.Join(out, "; "), "the sources lie on no volume groups and no encrypted containers")
}
