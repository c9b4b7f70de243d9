package gpt

import (
	"fmt"
	"strconv"
)

// Clone gives the same layout to another disk: equal numbers, types, names, starts and sizes, new identities. ids holds
// the new disk id first and then one GUID a partition, in the order of t.Partitions; a DOS table takes only the disk id
// (8 hex digits), since its partitions' ids follow from it. diskSize and sectorSize are the target's. Entries of the
// result are as in t; its usable range is the target's own.
func Clone(t Table, ids []string, diskSize int64, sectorSize int) (Table, error) {
	if err := checkSector(sectorSize); err != nil {
		return Table{}, err
	}
	if need := NeedSize(t, sectorSize); diskSize < need {
		return Table{}, fmt.Errorf("disk of %d bytes: the layout needs %d, %d bytes more", diskSize, need, need-diskSize)
	}
	ss := int64(sectorSize)
	out := t
	out.SectorSize, out.Damage, out.Hybrid = sectorSize, nil, false
	out.Partitions = append([]Partition(nil), t.Partitions...)
	for _, p := range out.Partitions {
		if p.Start%ss != 0 || p.Size%ss != 0 {
			return Table{}, fmt.Errorf("partition %d: start %d, size %d: not whole sectors of %d", p.Number, p.Start, p.Size, ss)
		}
	}
	if t.Scheme == SchemeDOS {
		if len(ids) != 1 || len(ids[0]) != 8 {
			return Table{}, fmt.Errorf("clone of a dos table: wants one new id of 8 hex digits, has %q", ids)
		}
		if n, err := strconv.ParseUint(ids[0], 16, 32); err != nil || n == 0 {
			return Table{}, fmt.Errorf("clone of a dos table: id %q: not 8 hex digits, or zero", ids[0])
		}
		out.ID, out.FirstUsable, out.LastUsable = ids[0], ss, min(diskSize/ss, 1<<32)*ss-1
		for i := range out.Partitions {
			out.Partitions[i].ID = fmt.Sprintf("%s-%02x", out.ID, out.Partitions[i].Number)
		}
		return out, nil
	}
	if len(ids) != 1+len(t.Partitions) {
		return Table{}, fmt.Errorf("clone of %d partitions: %d new ids, wants %d", len(t.Partitions), len(ids), 1+len(t.Partitions))
	}
	out.FirstUsable, out.LastUsable = usable(t.slots(), sectorSize, diskSize)
	old := map[string]bool{t.ID: true}
	for _, p := range t.Partitions {
		old[p.ID] = true
	}
	for i, s := range ids {
		g, err := ParseGUID(s)
		if err != nil {
			return Table{}, err
		}
		if old[g.String()] {
			return Table{}, fmt.Errorf("clone: id %s is not new", g)
		}
		old[g.String()] = true
		if i == 0 {
			out.ID = g.String()
		} else {
			out.Partitions[i-1].ID = g.String()
		}
	}
	return out, nil
}

// NeedSize is the least disk, in bytes, that t fits on with sectors of that size: the end of its last partition and,
// for GPT, the backup table after it.
func NeedSize(t Table, sectorSize int) int64 {
	ss := int64(sectorSize)
	end := ss
	if t.Scheme == SchemeGPT {
		end = (2 + arraySectors(t.slots(), sectorSize)) * ss
	}
	for _, p := range t.Partitions {
		end = max(end, p.End())
	}
	if t.Scheme == SchemeGPT {
		end = roundUp(end, ss) + (1+arraySectors(t.slots(), sectorSize))*ss
	}
	return end
}
