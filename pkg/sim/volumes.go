package sim

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"strings"

	"migrate-init/pkg/machine"
)

// luksOffset is where the data of a container begins.
const luksOffset = 2 * MiB

// volumeMapping is the name of the mapping of a partition's volume.
func volumeMapping(part int) string { return fmt.Sprintf("vg0-lv%d", part) }

// group is the volume group of a layout.
func (l Layout) group() Group {
	g := Group{UUID: LVMID("group"), Name: "vg0", Extent: 4 * MiB}
	for i, p := range l.Parts {
		if l.onVolume(p) {
			size := p.Size - l.header()
			g.LVs = append(g.LVs, LV{UUID: LVMID(fmt.Sprint("volume", i)), Name: fmt.Sprint("lv", i), Extents: (size - PVStart) / g.Extent, PV: len(g.PVs)})
			g.PVs = append(g.PVs, PV{UUID: LVMID(fmt.Sprint("physical", i)), Size: size})
		}
	}
	return g
}

func (l Layout) header() int64 {
	if l.Passphrase != "" {
		return luksOffset
	}
	return 0
}

// container is the UUID of a partition's container.
func container(part int) string { return fmt.Sprintf("cccccccc-0000-4000-8000-%012d", part) }

// volume writes the headers of a partition at byte at that holds a volume, and returns where the volume's bytes are, how many
// there are, and how to write them.
func (m *Machine) volume(d *Disk, part int, at int64) (on, room int64, write func([]byte, int64)) {
	l, g := m.layout, m.layout.group()
	write = d.Write
	if l.Passphrase != "" {
		d.Write(LUKS1(container(part)), at)
		at += luksOffset
		c := crypt{key: sha256.Sum256([]byte(keyText(l.Passphrase)))}
		write = func(p []byte, off int64) { d.Write(c.mix(p, off-at), off) }
	}
	for i, v := range g.LVs {
		if v.Name == fmt.Sprint("lv", part) {
			write(g.Label(i), at)
			return at + PVStart, v.Extents * g.Extent, write
		}
	}
	m.TB.Fatalf("partition %d has no volume", part+1)
	return 0, 0, nil
}

// activate opens the containers and starts the volumes, as the old system does.
func (m *Machine) activate() error {
	l := m.layout
	if !l.Volumes {
		return nil
	}
	for _, mod := range []string{"dm_mod", "dm_crypt"} {
		m.loaded[mod] = true
	}
	g, n := l.group(), 0
	for i, p := range l.Parts {
		if !l.onVolume(p) {
			continue
		}
		on := p.path(i + 1)
		if l.Passphrase != "" {
			name := fmt.Sprint("crypt", i)
			if err := m.openLUKS(on, name, l.Passphrase); err != nil {
				return err
			}
			on = "/dev/" + m.mapped(name).Name
		}
		v := g.LVs[n]
		n++
		uuid := "LVM-" + strings.ReplaceAll(g.UUID+v.UUID, "-", "")
		if err := m.mapDevice(machine.Mapping{Name: volumeMapping(i), UUID: uuid, Table: []machine.MappingTarget{{Length: v.Extents * g.Extent, Type: "linear", Params: fmt.Sprintf("%s %d", on, PVStart/512)}}}); err != nil {
			return err
		}
	}
	return nil
}

// keyText is the key of a container in a table.
func keyText(passphrase string) string { return hex.EncodeToString([]byte(passphrase)) }

// openLUKS opens a container. Which passphrase it has, the layout says.
func (m *Machine) openLUKS(dev, name, passphrase string) error {
	b := m.Dev(dev)
	if b == nil {
		return fmt.Errorf("device %s: %w", dev, fs.ErrNotExist)
	}
	head := make([]byte, 208)
	if _, err := b.ReadAt(head, 0); err != nil || string(head[:6]) != "LUKS\xba\xbe" {
		return fmt.Errorf("device %s is not a valid LUKS device", dev)
	}
	id := strings.TrimRight(string(head[168:208]), "\x00")
	return m.mapDevice(machine.Mapping{Name: name, UUID: "CRYPT-LUKS1-" + strings.ReplaceAll(id, "-", "") + "-" + name, Table: []machine.MappingTarget{
		{Length: b.Size - luksOffset, Type: "crypt", Params: fmt.Sprintf("aes-xts-plain64 %s 0 %s %d", keyText(passphrase), dev, luksOffset/512)}}})
}

// cryptsetup plays `cryptsetup open ... DEVICE NAME` with the passphrase on its standard input.
func (m *Machine) cryptsetup(e machine.Exec) error {
	n := len(e.Argv)
	if n < 4 || e.Argv[1] != "open" {
		return fmt.Errorf("program %s: not known here", strings.Join(e.Argv, " "))
	}
	if string(e.Stdin) != m.layout.Passphrase {
		return &machine.ExecError{Argv: e.Argv, Code: 2, Stderr: []byte("No key available with this passphrase.")}
	}
	return m.openLUKS(e.Argv[n-2], e.Argv[n-1], string(e.Stdin))
}
