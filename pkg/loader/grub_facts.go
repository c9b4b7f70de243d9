package loader

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"migrate-init/boot"
	"migrate-init/pkg/plan"
)

const (
	grubDir     = "/boot/grub"
	grubCfg     = grubDir + "/grub.cfg"
	grubEnv     = grubDir + "/grubenv"
	grubCustom  = grubDir + "/custom.cfg"
	grubDebconf = "/var/cache/debconf/config.dat"
)

// grubFacts are those of GRUB alone.
type grubFacts struct {
	Env        string `json:"env,omitempty"`        // the environment block; "" when there is none
	EnvDamage  string `json:"env_damage,omitempty"` // why it cannot be read
	Custom     string `json:"custom,omitempty"`     // the custom.cfg that grub.cfg really reads; "" if it reads none
	LoadsEnv   bool   `json:"loads_env"`            // grub.cfg honours next_entry
	Prefix     string `json:"prefix"`               // the directory of kernels as GRUB sees it: "/boot", or "" when /boot is a filesystem of its own
	Superusers bool   `json:"superusers,omitempty"` // its menu asks for a password
}

// grubFactsOf reads what grubLook wrote.
func grubFactsOf(f *plan.Facts) (g grubFacts, err error) {
	d := json.NewDecoder(bytes.NewReader(f.Boot.Own))
	d.DisallowUnknownFields()
	if err = d.Decode(&g); err != nil {
		err = fmt.Errorf("facts of GRUB: %w", err)
	}
	return g, err
}

func grubLook(root fs.FS, f *plan.Facts) (plan.Boot, []plan.Problem, bool) {
	b, l := f.Boot, &looking{root: root}
	if !l.exists(grubCfg) {
		return b, nil, false
	}
	b.Config = grubCfg
	var g grubFacts
	dev, at := f.Holder(grubDir)
	if dev != nil {
		b.Device = dev.Name
	}
	g.Prefix = strings.TrimSuffix(path.Join("/", f.ShownAt(at), strings.TrimPrefix(b.Dir, at)), "/")
	cfg, err := boot.ParseGRUBConfig(l.text(grubCfg))
	l.problem(grubCfg, err)
	g.LoadsEnv, g.Superusers = cfg.LoadsEnv && cfg.NextEntry, cfg.Superusers
	if cfg.SourcesCustom {
		g.Custom = grubCustom
		// A password may be asked for from there; a text that cannot be read is refused elsewhere.
		if custom, err := boot.ParseGRUBConfig(l.text(grubCustom)); err == nil {
			g.Superusers = g.Superusers || custom.Superusers
		}
	}
	b.NextEntry, b.Armed, b.PlanEntries = "", "", nil
	if l.exists(grubEnv) {
		g.Env = grubEnv
		env, err := boot.ParseGrubenv(l.text(grubEnv))
		if err != nil {
			g.EnvDamage = err.Error()
		}
		b.NextEntry, _ = env.Get("next_entry")
	}
	b.Armed = ""
	if id, ok := strings.CutPrefix(b.NextEntry, boot.MigrateEntryID("")); ok {
		b.Armed = id
	}
	text := l.text(grubCustom)
	if id, err := boot.SnippetPlan(text); err != nil {
		l.problem(grubCustom, err)
	} else if id != "" {
		b.PlanEntries = []string{id}
		if grubBlockArmed(f, text, id) {
			b.Armed = id
		}
	}
	b.Own, err = json.Marshal(g)
	l.problem(grubCfg, err)
	return b, l.problems, true
}

// grubBlockArmed reports whether a block that custom.cfg names will start a plan.
func grubBlockArmed(f *plan.Facts, custom []byte, id string) bool {
	for i := range f.Devices {
		for _, c := range f.Devices[i].Contents {
			if !c.Ghost && slices.Contains(c.Env, boot.NextVariable+"="+id) && c.UUID != "" && bytes.Contains(custom, []byte(c.UUID)) {
				return true
			}
		}
	}
	return false
}

// grubSettings are what a plan keeps for GRUB alone.
type grubSettings struct {
	Dir    string // where its own files are
	Custom string // the file that gets the migration's entries
	Env    string // its environment block
	Prefix string // the old directory of kernels as GRUB sees it
	Once   string // by what the entry runs once: the name of one of grubOnces
}

// block reports whether GRUB starts the migration by the block on the target, and remembers there what it does once. Else it
// has its own environment block for that.
func (s grubSettings) block() bool {
	for _, x := range grubOnces() {
		if x.name == s.Once {
			return x.block
		}
	}
	return false
}

// grubSettingsOf reads them strictly.
func grubSettingsOf(p *plan.Plan) (s grubSettings, err error) {
	fields := map[string]*string{"dir": &s.Dir, "custom": &s.Custom, "env": &s.Env, "prefix": &s.Prefix, "once": &s.Once}
	if have, want := slices.Sorted(maps.Keys(p.Boot.Own)), slices.Sorted(maps.Keys(fields)); !slices.Equal(have, want) {
		return s, fmt.Errorf("plan %s: its boot loader settings are %s, and those of GRUB are %s; make a new one with `migrate-init plan`", p.ID, strings.Join(have, ", "), strings.Join(want, ", "))
	}
	for k, v := range p.Boot.Own {
		*fields[k] = v
	}
	if !slices.ContainsFunc(grubOnces(), func(x grubOnce) bool { return x.name == s.Once }) {
		return s, fmt.Errorf("plan %s: GRUB's way to run an entry once is %q, which this migrate-init does not know; make a new one with `migrate-init plan`", p.ID, s.Once)
	}
	if s.block() && p.Boot.Block == "" {
		return s, fmt.Errorf("plan %s: GRUB runs an entry once by a block on the target, and none is planned; make a new one with `migrate-init plan`", p.ID)
	}
	for _, k := range []string{"dir", "custom", "env"} {
		if k == "env" && s.block() {
			continue // it may not have one
		}
		if !path.IsAbs(*fields[k]) {
			return s, fmt.Errorf("plan %s: GRUB's setting %s is %q, which is not an absolute path; make a new one with `migrate-init plan`", p.ID, k, *fields[k])
		}
	}
	return s, nil
}
