package plan

import "slices"

// PoolLabel is what the newest label of a pool's device says. GUIDs are decimal, as every ZFS tool prints them.
type PoolLabel struct {
	Pool     string   `json:"pool"`
	PoolGUID string   `json:"pool_guid"`
	GUID     string   `json:"guid"`              // of this device
	TXG      uint64   `json:"txg"`               // 0 while the pool is being created
	State    string   `json:"state"`             // "active", "exported", "destroyed" ...
	Comment  string   `json:"comment,omitempty"` // the pool's property
	HostID   string   `json:"host_id,omitempty"` // of the host that used it last, eight hexadecimal digits
	Host     string   `json:"host,omitempty"`
	Type     string   `json:"type,omitempty"` // of the top-level vdev: "mirror", "raidz", "disk"
	Children []string `json:"children,omitempty"`
	Labels   []int    `json:"labels,omitempty"` // which of the four are readable
}

// StoragePool is a pool as the labels of its devices describe it.
type StoragePool struct {
	GUID    string       `json:"guid"`
	Name    string       `json:"name"`
	Comment string       `json:"comment,omitempty"`
	TXG     uint64       `json:"txg"`
	State   string       `json:"state"`
	HostID  string       `json:"host_id,omitempty"`
	Host    string       `json:"host,omitempty"`
	Members []PoolMember `json:"members"`
	Missing []string     `json:"missing,omitempty"` // GUIDs of devices that its labels count and no device has
	// Imported is what the running kernel calls its state ("ONLINE", "DEGRADED"); "" while it is not imported.
	Imported string `json:"imported,omitempty"`
}

// PoolMember is a device with a label of a pool.
type PoolMember struct {
	Device string `json:"device"`
	GUID   string `json:"guid"`
	Tail   bool   `json:"tail,omitempty"` // only the labels at its end are left: a remnant
}

// Pooling is what the running system has of ZFS.
type Pooling struct {
	Loaded bool   `json:"loaded,omitempty"`  // its modules are in the kernel
	Signed bool   `json:"signed,omitempty"`  // the kernel takes signed modules only
	HostID string `json:"host_id,omitempty"` // of /etc/hostid, eight hexadecimal digits; "" where there is none
}

// Pool finds the pool that a planned node is, by the comment that it was created with: nil when there is none, an AmbiguousError
// when several devices claim one place in it, or several pools are it. A label that was written before
// the pool was whole counts for nothing.
func (f *Facts) Pool(n *Node) (*StoragePool, error) {
	var found []*StoragePool
	for i := range f.Pools {
		if p := &f.Pools[i]; p.TXG > 0 && p.Comment == poolComment(n.Ref) {
			found = append(found, p)
		}
	}
	if len(found) == 0 {
		return nil, nil
	}
	if len(found) > 1 {
		e := &AmbiguousError{Subject: "pool " + n.Pool.Name}
		for _, p := range found {
			e.Candidates = append(e.Candidates, "GUID "+p.GUID)
		}
		return nil, e
	}
	if twins := found[0].twins(); len(twins) > 0 && found[0].Imported == "" {
		return nil, &AmbiguousError{Subject: "pool " + n.Pool.Name + " (GUID " + found[0].GUID + ")", Candidates: twins}
	}
	return found[0], nil
}

// twins are the devices that have the same GUID as another member: one is a copy of the other.
func (p *StoragePool) twins() []string {
	var out []string
	for i, m := range p.Members {
		if slices.ContainsFunc(p.Members, func(o PoolMember) bool { return o.GUID == m.GUID && o.Device != m.Device }) {
			out = append(out, "/dev/"+p.Members[i].Device)
		}
	}
	return out
}

// devices are the paths of its members.
func (p *StoragePool) devices() []string {
	var out []string
	for _, m := range p.Members {
		out = append(out, "/dev/"+m.Device)
	}
	return out
}

// Member is the GUID that a pool has for a device, "" where it has none.
func (p *StoragePool) Member(device string) string {
	for _, m := range p.Members {
		if m.Device == device {
			return m.GUID
		}
	}
	return ""
}
