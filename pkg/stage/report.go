package stage

import (
	"fmt"
	"sort"
	"strings"

	"migrate-init/pkg/plan"
)

// Report renders a journal for people: one line a record, boots apart.
func (rs Records) Report(p *plan.Plan) string {
	var b strings.Builder
	boot := ""
	for _, r := range rs {
		if r.Boot != boot {
			boot = r.Boot
			fmt.Fprintf(&b, "boot %s\n", orDash(boot))
		}
		fmt.Fprintf(&b, "  %s %8.1fs  %-24s %-6s %s\n", r.Time, r.Up, Title(p, r.Stage), r.Event, r.Text)
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

// Title is what people call a stage, or its part for one node: "copy", "/var: make ext4", "/dev/vda: boot sector".
func Title(p *plan.Plan, key string) string {
	name, of, ok := strings.Cut(key, ":")
	if !ok {
		return key
	}
	n := p.Node(plan.Ref(of))
	for _, kind := range []string{"fs:", "swap:"} { // parts of a volume are keyed by its UUID alone
		if n == nil {
			n = p.Node(plan.Ref(kind + of))
		}
	}
	if n == nil {
		return name + " of " + of
	}
	switch name {
	case "mkfs":
		name = "make " + n.Type()
	case "precheck":
		name = "look at every file"
	case "settle":
		name = "set identity and size"
	case takeover:
		name = "switch the boot sector"
	case repartition:
		name = "write the partition table"
	}
	return n.Called() + ": " + name
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// Times gives the seconds that each stage took in the boot that ended it, in journal order.
func (rs Records) Times(p *plan.Plan) []StageTime {
	begun := map[string]Record{}
	var out []StageTime
	for _, r := range rs {
		switch r.Event {
		case Begin:
			begun[r.Stage] = r
		case Done, Failed:
			if b, ok := begun[r.Stage]; ok && b.Boot == r.Boot {
				out = append(out, StageTime{r.Stage, Title(p, r.Stage), r.Up - b.Up, r.Event})
			}
		}
	}
	return out
}

// StageTime is how long a stage took.
type StageTime struct {
	Stage   string  `json:"stage"`
	Title   string  `json:"title"`
	Seconds float64 `json:"seconds"`
	Event   string  `json:"event"`
}
