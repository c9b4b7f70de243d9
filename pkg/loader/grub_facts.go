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
	if id, err := boot.SnippetPlan(l.text(grubCustom)); err != nil {
		l.problem(grubCustom, err)
	} else if id != "" {
		b.PlanEntries = []string{id}
	}
	b.Own, err = json.Marshal(g)
	l.problem(grubCfg, err)
	return b, l.problems, true
}

// grubSettings are what a plan keeps for GRUB alone.
type grubSettings struct {
	Dir    string // where its own files are
	Custom string // the file that gets the migration's entries
	Env    string // its environment block
	Prefix string // the old directory of kernels as GRUB sees it
}

// grubSettingsOf reads them strictly.
func grubSettingsOf(p *plan.Plan) (s grubSettings, err error) {
	fields := map[string]*string{"dir": &s.Dir, "custom": &s.Custom, "env": &s.Env, "prefix": &s.Prefix}
	if have, want := slices.Sorted(maps.Keys(p.Boot.Own)), slices.Sorted(maps.Keys(fields)); !slices.Equal(have, want) {
		return s, fmt.Errorf("plan %s: its boot loader settings are %s, and those of GRUB are %s; make a new one with `migrate-init plan`", p.ID, strings.Join(have, ", "), strings.Join(want, ", "))
	}
	for k, v := range p.Boot.Own {
		*fields[k] = v
	}
	for _, k := range []string{"dir", "custom", "env"} {
		if !path.IsAbs(*fields[k]) {
			return s, fmt.Errorf("plan %s: GRUB's setting %s is %q, which is not an absolute path; make a new one with `migrate-init plan`", p.ID, k, *fields[k])
		}
	}
	return s, nil
}
