package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"path"
	"strings"

	"migrate-init/pkg/loader"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

const (
	bootxConf = "/boot/bootx.conf"
	bootxNext = "/boot/bootx.next" // the plan that the next boot carries out
)

// bootx is a made-up boot loader, and all there is to know about it: the proof that another one is one row. It boots the
// machine where its configuration is; the script planted-loader goes through the commands with it.
func bootx() loader.Loader {
	read := func(root fs.FS, name string) []byte {
		b, err := fs.ReadFile(root, strings.TrimPrefix(name, "/"))
		if err != nil {
			return nil
		}
		return b
	}
	mark := func(p *plan.Plan, what string) string { return path.Join(p.Boot.Mount, "bootx."+what) }
	return loader.Loader{
		Loader: plan.Loader{
			Name: "bootx", Title: "bootx on BIOS", Parts: []plan.Reserved{{Role: plan.RoleBIOSGrub, Name: "BIOS boot", Size: 1 << 20}},
			Look: func(root fs.FS, f *plan.Facts) (plan.Boot, []plan.Problem, bool) {
				b := f.Boot
				if read(root, bootxConf) == nil {
					return b, nil, false
				}
				b.Config, b.Armed = bootxConf, string(read(root, bootxNext))
				b.NextEntry = b.Armed
				if b.Armed != "" {
					b.PlanEntries = []string{b.Armed}
				}
				if d, _ := f.Holder(bootxConf); d != nil {
					b.Device = d.Name
				}
				b.Own = json.RawMessage(`"old"`)
				if bytes.Contains(read(root, bootxConf), []byte("locked")) {
					b.Own = json.RawMessage(`"locked"`)
				}
				return b, nil, true
			},
			OneShot: func(f *plan.Facts) (string, plan.Findings) {
				if string(f.Boot.Own) == `"locked"` {
					return "", plan.Findings{{Subject: "one-shot boot entry", Detail: bootxConf + " is locked", Fix: "unlock it"}}
				}
				return "bootx forgets an entry that it has run", nil
			},
			Settings: func(*plan.Facts) (map[string]string, string) {
				return map[string]string{"conf": bootxConf}, path.Dir(bootxConf)
			},
			Drift: func(p *plan.Plan, f *plan.Facts) ([]plan.Drift, error) {
				return []plan.Drift{{What: "configuration", Is: f.Boot.Config, Was: p.Boot.Own["conf"]}}, nil
			},
		},
		Valid: func(p *plan.Plan) error {
			if len(p.Boot.Own) != 1 || p.Boot.Own["conf"] == "" {
				return errors.New("settings of bootx: only conf is expected")
			}
			return nil
		},
		Arm: func(p *plan.Plan, a loader.Arming) (loader.Armed, error) {
			return loader.Armed{Undo: json.RawMessage(`{}`), Effects: []machine.Effect{machine.WriteFile{Path: bootxNext, Data: []byte(p.ID), Mode: 0o600}}}, nil
		},
		Disarm: func(_ string, _ json.RawMessage, _ fs.FS) ([]machine.Effect, error) {
			return []machine.Effect{machine.Remove{Path: bootxNext}}, nil
		},
		Settings: []loader.Setting{{Pattern: "boot/bootx.conf"}},
		Commit: func(p *plan.Plan, place func(string) (string, error)) ([]machine.Effect, error) {
			at, err := place(mark(p, "committed"))
			return []machine.Effect{machine.WriteFile{Path: at, Mode: 0o600}}, err
		},
		Committed: func(p *plan.Plan, root fs.FS) (bool, error) { return read(root, mark(p, "committed")) != nil, nil },
		Confirm: func(p *plan.Plan, _ fs.FS) ([]machine.Effect, error) {
			return []machine.Effect{machine.WriteFile{Path: mark(p, "confirmed"), Mode: 0o600}}, nil
		},
		Rollback: func(p *plan.Plan, _ fs.FS) ([]machine.Effect, error) {
			return []machine.Effect{machine.Remove{Path: mark(p, "committed")}}, nil
		},
	}
}
