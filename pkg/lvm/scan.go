package lvm

import (
	"errors"
	"io"
)

// Device is a device that holds a physical volume.
type Device struct {
	Name  string // the caller's name for it
	Size  int64  // bytes
	Label Label
	Areas []Metadata
}

// Scan reads the label and every metadata area of a device of size bytes. The error is that of [ReadLabel]. An error in
// a metadata area is in [Metadata].Err, because LVM still uses the volume.
func Scan(name string, r io.ReaderAt, size int64) (Device, error) {
	l, err := ReadLabel(r, size)
	if err != nil {
		return Device{}, err
	}
	d := Device{Name: name, Size: size, Label: l}
	for _, a := range l.Metadata {
		d.Areas = append(d.Areas, readMetadata(r, size, a))
	}
	return d, nil
}

// VG returns the newest text on the device, or nil.
func (d Device) VG() *VG {
	var vg *VG
	for _, m := range d.Areas {
		if m.VG != nil && (vg == nil || m.VG.Seqno > vg.Seqno) {
			vg = m.VG
		}
	}
	return vg
}

// Err joins the errors of the areas; it is nil if there are none.
func (d Device) Err() error {
	var all []error
	for _, m := range d.Areas {
		all = append(all, m.Err)
	}
	return errors.Join(all...)
}
