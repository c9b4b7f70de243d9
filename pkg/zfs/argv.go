package zfs

import (
	"fmt"
	"strings"
)

// Create is a pool to be made.
type Create struct {
	Name       string
	Comment    string   // see [Comment]
	Type       string   // "mirror", "raidz1" ...; "" for a single device
	Devices    []string // in slot order
	Ashift     int
	Properties []string // of the pool, NAME=VALUE
	Options    []string // of its top dataset, NAME=VALUE
}

// Comment is the property by which a planned pool is found: a UUID without its dashes.
func Comment(uuid string) string { return strings.ReplaceAll(strings.ToLower(uuid), "-", "") }

// Argv is the command that makes it. No cache file is written: the machine it is made on is not the one that will use it.
func (c Create) Argv() ([]string, error) {
	if len(c.Devices) == 0 || c.Type == "" && len(c.Devices) > 1 {
		return nil, fmt.Errorf("pool %s: %d devices without redundancy", c.Name, len(c.Devices))
	}
	argv := []string{"zpool", "create", "-o", "cachefile=none", "-o", "comment=" + c.Comment, "-o", fmt.Sprintf("ashift=%d", c.Ashift)}
	for _, p := range c.Properties {
		argv = append(argv, "-o", p)
	}
	for _, o := range c.Options {
		argv = append(argv, "-O", o)
	}
	argv = append(argv, c.Name)
	if c.Type != "" {
		argv = append(argv, c.Type)
	}
	return append(argv, c.Devices...), nil
}

// Import is the command that imports a pool by its GUID, mounts nothing, and looks for devices in one directory only.
func Import(guid, dir string, readonly bool) []string {
	argv := []string{"zpool", "import", "-N", "-o", "cachefile=none"}
	if readonly {
		argv = append(argv, "-o", "readonly=on")
	}
	return append(argv, "-d", dir, guid)
}

// Export is the command that exports a pool.
func Export(name string) []string { return []string{"zpool", "export", name} }

// Attach is the command that makes a device of a pool, or a mirror of it, a larger mirror.
func Attach(pool, device, added string) []string {
	return []string{"zpool", "attach", pool, device, added}
}

// SetPool is the command that sets a property of a pool.
func SetPool(pool, property string) []string { return []string{"zpool", "set", property, pool} }

// Status is the command that prints a pool's state, with the GUID of each device; see [ParseStatus].
func Status(pool string) []string { return []string{"zpool", "status", "-g", "-p", pool} }

// MakeDataset is the command that makes a filesystem.
func MakeDataset(name string, properties []string) []string {
	argv := []string{"zfs", "create"}
	for _, p := range properties {
		argv = append(argv, "-o", p)
	}
	return append(argv, name)
}

// Destroy is the command that destroys a dataset and its snapshots.
func Destroy(name string) []string { return []string{"zfs", "destroy", "-r", name} }

// Snapshot is the command that takes one.
func Snapshot(dataset, name string) []string {
	return []string{"zfs", "snapshot", dataset + "@" + name}
}

// Get is the command that prints properties of everything in a pool that has a name: see [ParseGet].
func Get(pool string, properties ...string) []string {
	return []string{"zfs", "get", "-H", "-p", "-r", "-t", "filesystem,snapshot", "-o", "name,property,value", strings.Join(properties, ","), pool}
}

// GetPool is the command that prints properties of a pool; see [ParseGet].
func GetPool(pool string, properties ...string) []string {
	return []string{"zpool", "get", "-H", "-p", "-o", "name,property,value", strings.Join(properties, ","), pool}
}
