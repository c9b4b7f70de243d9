package sim

import (
	"fmt"
	"io/fs"
	"slices"
	"strconv"

	"migrate-init/pkg/machine"
)

func (m *Machine) partitions(e machine.Partitions) error {
	d := m.Dev(e.Dev)
	if d == nil {
		return fmt.Errorf("device %s: %w", e.Dev, fs.ErrNotExist)
	}
	keep := map[int]bool{}
	for _, p := range e.Parts {
		for _, have := range m.Parts(d.Disk) {
			if have.Number == p.Number && have.Offset == p.Start && have.Size == p.Size {
				keep[p.Number] = true
			}
		}
	}
	for _, have := range m.Parts(d.Disk) {
		if keep[have.Number] {
			continue
		}
		if h := m.holders(have); len(h) > 0 || m.mountOf(have) != "" {
			return fmt.Errorf("partition %s: in use", have.Name)
		}
		m.Devices = slices.DeleteFunc(m.Devices, func(b *Device) bool { return b == have })
	}
	for _, p := range e.Parts {
		if !keep[p.Number] {
			m.addPart(d, p.Number, p.Start, p.Size)
		}
	}
	return nil
}

func (m *Machine) addPart(d *Device, number int, start, size int64) {
	m.Devices = append(m.Devices, &Device{Name: d.Name + strconv.Itoa(number), Major: d.Major, Minor: d.Minor + uint32(number), Size: size, Disk: d.Disk, Offset: start, Number: number})
}

// Parts gives the partitions of a disk that the kernel shows.
func (m *Machine) Parts(d *Disk) []*Device {
	var out []*Device
	for _, b := range m.Devices {
		if b.Disk == d && b.Number > 0 {
			out = append(out, b)
		}
	}
	return out
}
