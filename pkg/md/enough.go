package md

import "fmt"

// levelName returns the kernel's name for a level.
func levelName(level int) string {
	switch level {
	case LevelLinear:
		return "linear"
	case LevelMultipath:
		return "multipath"
	case LevelFaulty:
		return "faulty"
	}
	return fmt.Sprintf("raid%d", level)
}

// tolerance returns how many slots of a level may be missing; ok is false for RAID10, where it matters which, and for
// levels that this package does not start.
func tolerance(level, disks int) (int, bool) {
	switch level {
	case LevelLinear, 0:
		return 0, true
	case 1, LevelMultipath:
		return disks - 1, true
	case 4, 5:
		return 1, true
	case 6:
		return 2, true
	}
	return 0, false
}

// enough reports whether the slots that are present hold all the data.
func enough(level int, layout uint32, present []bool) (bool, error) {
	n := len(present)
	if n == 0 {
		return false, fmt.Errorf("%s: no raid disks", levelName(level))
	}
	have := 0
	for _, p := range present {
		if p {
			have++
		}
	}
	if level == 10 {
		sets, err := mirrorSets(layout, n)
		if err != nil {
			return false, err
		}
		for _, set := range sets {
			if countIn(set, present) == 0 {
				return false, nil
			}
		}
		return true, nil
	}
	may, ok := tolerance(level, n)
	if !ok {
		return false, fmt.Errorf("%s: level %d is not supported", levelName(level), level)
	}
	return have > 0 && n-have <= may, nil
}

func countIn(set []int, present []bool) int {
	n := 0
	for _, d := range set {
		if present[d] {
			n++
		}
	}
	return n
}

// mirrorSets lists, for each disk on which a chunk may start on a RAID10 of n
// disks, the disks that hold its copies (raid10.c). The kernel's own test looks at
// near*far neighbours. With the "improved" far layouts (bits 17, 18) the copies lie
// elsewhere, so each of both sets needs a disk that is present.
func mirrorSets(layout uint32, n int) ([][]int, error) {
	near, far := copies(layout)
	if near < 1 || far < 1 || near*far < 2 || near*far > n {
		return nil, fmt.Errorf("raid10: layout %#x: near %d, far %d on %d disks", layout, near, far, n)
	}
	setSize := n
	switch layout >> 17 {
	case 0:
	case 1:
		setSize = n / far
	case 2:
		setSize = far * near
	default:
		return nil, fmt.Errorf("raid10: layout %#x: unknown bits", layout)
	}
	lastStart := (n/setSize - 1) * setSize
	lastSize := setSize + n%setSize
	var sets [][]int
	for first, turn := 0, 0; turn < n; turn++ {
		var neighbours, placed []int
		for i := range near * far {
			neighbours = append(neighbours, (first+i)%n)
		}
		for i := range near {
			d := (first + i) % n
			placed = append(placed, d)
			for range far - 1 {
				set := d / setSize
				d += near
				if n%setSize != 0 && d > lastStart {
					d = (d-lastStart)%lastSize + lastStart
				} else {
					d = d%setSize + setSize*set
				}
				placed = append(placed, d%n)
			}
		}
		sets = append(sets, neighbours)
		if setSize != n {
			sets = append(sets, placed)
		}
		if first = (first + near) % n; first == 0 {
			break
		}
	}
	return sets, nil
}
