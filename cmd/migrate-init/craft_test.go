package main

import (
	"fmt"
	"os"

	"migrate-init/pkg/gpt"
	"migrate-init/pkg/sim"
)

const mib = sim.MiB

// putAt writes into a device's file.
func putAt(dir, dev string, off int64, data []byte) error {
	file, start, size, err := rangeOf(dir, dev)
	if err != nil {
		return err
	}
	if off < 0 || off+int64(len(data)) > size {
		return fmt.Errorf("%s: %d bytes at %d of %d", dev, len(data), off, size)
	}
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(data, start+off); err != nil {
		return err
	}
	return f.Close()
}

func putTable(dir, disk string, size int64, t gpt.Table) error {
	writes, err := gpt.Encode(t, size, nil)
	if err != nil {
		return err
	}
	for _, w := range writes {
		if err := putAt(dir, disk, w.Offset, w.Data); err != nil {
			return err
		}
	}
	return nil
}
