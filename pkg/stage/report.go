package stage

import (
	"fmt"
	"sort"
	"strings"
)

// Report renders a journal for people: one line a record, boots apart.
func (rs Records) Report() string {
	var b strings.Builder
	boot := ""
	for _, r := range rs {
		if r.Boot != boot {
			boot = r.Boot
			fmt.Fprintf(&b, "boot %s\n", orDash(boot))
		}
		fmt.Fprintf(&b, "  %s %8.1fs  %-10s %-6s %s\n", r.Time, r.Up, stageName(r.Stage), r.Event, r.Text)
		keys := make([]string, 0, len(r.Facts))
		for k := range r.Facts {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		for _, k := range keys {
			fmt.Fprintf(&b, "      %s: %s\n", k, strings.ReplaceAll(r.Facts[k], "\n", "\n        "))
		}
	}
	return b.String()
}

// stageName shortens a part's key: the UUID after the colon tells a reader nothing that Text does not.
func stageName(s string) string {
	name, id, ok := strings.Cut(s, ":")
	if ok && len(id) > 8 {
		return name + ":" + id[:8]
	}
	return s
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// Took gives the seconds that each stage took in the boot that ended it, in journal order.
func (rs Records) Took() []StageTime {
	begun := map[string]Record{}
	var out []StageTime
	for _, r := range rs {
		switch r.Event {
		case Begin:
			begun[r.Stage] = r
		case Done, Failed:
			if b, ok := begun[r.Stage]; ok && b.Boot == r.Boot {
				out = append(out, StageTime{r.Stage, r.Up - b.Up, r.Event})
			}
		}
	}
	return out
}

// StageTime is how long a stage took.
type StageTime struct {
	Stage   string  `json:"stage"`
	Seconds float64 `json:"seconds"`
	Event   string  `json:"event"`
}
