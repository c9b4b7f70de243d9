package zfs

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// ParseGet reads what zfs get and zpool get print with -H -o name,property,value: the values by name and property. "-" is a
// property that does not apply or is not set.
func ParseGet(b []byte) (map[string]map[string]string, error) {
	out := map[string]map[string]string{}
	for line := range strings.Lines(string(b)) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), "\t", 3)
		if len(f) != 3 || f[0] == "" {
			return nil, fmt.Errorf("zfs get: line %q: not three columns", line)
		}
		if out[f[0]] == nil {
			out[f[0]] = map[string]string{}
		}
		out[f[0]][f[1]] = f[2]
	}
	return out, nil
}

// State is a pool as zpool status prints it.
type State struct {
	State   string // "ONLINE", "DEGRADED" ...
	Devices []DeviceState
	Scan    Scan
	Errors  string // "No known data errors"
}

// DeviceState is a line of the pool's configuration: a vdev, or a device.
type DeviceState struct {
	Name  string // with -g the GUID
	State string
	Depth int // 0 is the pool, 1 a top-level vdev
}

// Scan is a scrub or a resilver.
type Scan struct {
	Resilvering bool
	Done        float64 // of 1; 0 while that is not known
	Left        int64   // seconds, -1 while that is not known
}

// ParseStatus reads the output of [Status]. It is meant for people, and its words have changed: versions up to 2.1 write
// "1.2G scanned at ..., 25.00% done, 00:00:12 to go", later ones "0B / 1.2G scanned, ...". What counts here is common to all.
func ParseStatus(b []byte) (State, error) {
	var st State
	st.Scan.Left = -1
	section := ""
	for line := range strings.Lines(string(b)) {
		line = strings.TrimRight(line, " \n")
		key, value, found := strings.Cut(strings.TrimLeft(line, " "), ":")
		if found && !strings.HasPrefix(line, "\t") && !strings.ContainsAny(key, " \t") {
			section, value = key, strings.TrimSpace(value)
			switch section {
			case "state":
				st.State = value
			case "errors":
				st.Errors = value
			case "scan":
				st.Scan.Resilvering = strings.HasPrefix(value, "resilver in progress")
			}
			continue
		}
		switch section {
		case "scan":
			st.Scan.line(line)
		case "config":
			st.device(line)
		}
	}
	if st.State == "" {
		return st, fmt.Errorf("zpool status: no state in %q", cut(b))
	}
	return st, nil
}

func cut(b []byte) string { return string(b[:min(len(b), 200)]) }

func (st *State) device(line string) {
	line, ok := strings.CutPrefix(line, "\t")
	f := strings.Fields(line)
	if !ok || len(f) < 2 || f[0] == "NAME" && f[1] == "STATE" {
		return
	}
	depth := (len(line) - len(strings.TrimLeft(line, " "))) / 2
	st.Devices = append(st.Devices, DeviceState{Name: f[0], State: f[1], Depth: depth})
}

func (s *Scan) line(line string) {
	for _, part := range strings.Split(line, ",") {
		part = strings.TrimSpace(part)
		if v, ok := strings.CutSuffix(part, "% done"); ok {
			if n, err := strconv.ParseFloat(v, 64); err == nil && !math.IsNaN(n) {
				s.Done = min(max(n/100, 0), 1)
			}
		}
		if v, ok := strings.CutSuffix(part, " to go"); ok {
			s.Left = seconds(v)
		}
	}
}

// seconds reads "2 days 03:04:05" and "03:04:05", as versions since 0.8 print times, and "3h12m" of earlier ones; -1 for others.
func seconds(s string) int64 {
	m := regexp.MustCompile(`^(?:([0-9]{1,6}) days? )?([0-9]{1,3}):([0-9]{2}):([0-9]{2})$`).FindStringSubmatch(s)
	if m == nil {
		m = regexp.MustCompile(`^()([0-9]{1,6})h([0-9]{1,2})m()$`).FindStringSubmatch(s)
	}
	if m == nil {
		return -1
	}
	n := func(s string) int64 {
		v, _ := strconv.ParseInt(s, 10, 64)
		return v
	}
	return ((n(m[1])*24+n(m[2]))*60+n(m[3]))*60 + n(m[4])
}
