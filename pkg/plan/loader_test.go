package plan

import (
	"encoding/json"
	"errors"
	"io/fs"
	"strings"
	"testing"
)

// bootxFacts are those of a made-up boot loader, bootx, alone.
type bootxFacts struct {
	NoOneShot string `json:"no_one_shot,omitempty"`
	Place     string `json:"place"`
	Locked    bool   `json:"locked,omitempty"`
}

func (x bootxFacts) own() json.RawMessage {
	b, _ := json.Marshal(x)
	return b
}

func bootxOf(f *Facts) (x bootxFacts) {
	_ = json.Unmarshal(f.Boot.Own, &x)
	return x
}

// testLoaders are those of these tests: bootx, and one that is only recognised.
func testLoaders() []Loader {
	none := func(fs.FS, *Facts) (Boot, []Problem, bool) { return Boot{}, nil, false }
	return []Loader{
		{
			Name: "bootx", Title: "bootx on BIOS", Look: none, Parts: []Reserved{{RoleBIOSGrub, "BIOS boot", mib}, {RoleOneShot, "migrate-init boot block", mib}}, Sector: 512,
			OneShot: func(f *Facts) (string, Findings) {
				if why := bootxOf(f).NoOneShot; why != "" {
					return "", Findings{{Subject: "one-shot boot entry", Detail: why, Fix: "repair bootx"}}
				}
				return "bootx forgets an entry that it has run", nil
			},
			Settings: func(f *Facts) (map[string]string, string) {
				return map[string]string{"place": bootxOf(f).Place}, "/boot/bootx"
			},
			Drift: func(p *Plan, f *Facts) ([]Drift, error) {
				if _, ok := p.Boot.Own["place"]; !ok {
					return nil, errors.New("settings of bootx: place is missing")
				}
				return []Drift{{"place", bootxOf(f).Place, p.Boot.Own["place"]}}, nil
			},
			Describe: func(f *Facts) []string {
				if bootxOf(f).Locked {
					return []string{"its menu is locked"}
				}
				return nil
			},
		},
		{Name: "booty", Look: none},
	}
}

// A disk that the loader may not read is not promised to boot.
func TestExplainPromisesNoBootFromOtherSectors(t *testing.T) {
	const promise = "Each of the two disks then boots alone."
	for sector, want := range map[int64]bool{512: true, 4096: false} {
		f := good()
		f.Dev("vdb").Sector = sector
		p, _, err := New(wish(), f)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(p.Explain(f, func(string, *Plan, *Facts) string { return "" }), promise); got != want {
			t.Errorf("sectors of %d: %q in the explanation: %v", sector, promise, got)
		}
	}
}

// TestNoLoaders: a program that knows no boot loader refuses every machine.
func TestNoLoaders(t *testing.T) {
	f := good()
	f.Rules.Loaders = nil
	_, found, err := New(wish(), f)
	if err == nil {
		t.Fatal("planned")
	}
	want(t, found, Refuse, "plan.boot", "boot loader", "it is bootx")
}
