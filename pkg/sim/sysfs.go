package sim

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"migrate-init/pkg/machine"
)

// writeSys knows md's parameters, and the setting that keeps an array from a resync.
func (m *Machine) writeSys(e machine.WriteSys) error {
	if name, ok := strings.CutPrefix(e.Path, "/sys/block/"); ok {
		dev, file, _ := strings.Cut(name, "/")
		a := m.Arrays[dev]
		speed := file == "md/sync_speed_min" || file == "md/sync_speed_max" // they change nothing here
		if a == nil || !a.runs || file != "md/sync_max" && !speed {
			return fmt.Errorf("file %s: %w", e.Path, fs.ErrNotExist)
		}
		if speed {
			return nil
		}
		a.frozen = e.Value == "0"
		return nil
	}
	name, ok := strings.CutPrefix(e.Path, "/sys/module/md_mod/parameters/")
	switch {
	case !ok || name != "new_array" && name != "start_ro":
		return fmt.Errorf("file %s: not known here", e.Path)
	case !m.loaded["md_mod"]:
		return fmt.Errorf("file %s: %w", e.Path, fs.ErrNotExist)
	case name == "start_ro":
		m.startReadOnly = e.Value == "1"
		return nil
	case m.Arrays[e.Value] != nil:
		return fmt.Errorf("file %s: %w", e.Path, fs.ErrExist)
	}
	m.Arrays[e.Value] = &Array{}
	minor, _ := strconv.Atoi(strings.TrimPrefix(e.Value, "md"))
	m.Devices = append(m.Devices, &Device{Name: e.Value, Major: 9, Minor: uint32(minor)})
	return nil
}
