package stage

import (
	"context"
	"encoding/json"
	"io/fs"
	"path"
	"strings"
	"testing"

	"migrate-init/pkg/loader"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

const bareCommit = "bare.committed"

// bare is a made-up boot loader with nothing but what every row has: no proof, no programs, no takeover.
func bare() loader.Loader {
	none := func(*plan.Plan, fs.FS) ([]machine.Effect, error) { return nil, nil }
	return loader.Loader{
		Loader: plan.Loader{
			Name: "bare", Title: "bare on anything",
			Look: func(_ fs.FS, f *plan.Facts) (plan.Boot, []plan.Problem, bool) {
				b := f.Boot
				if d, _ := f.Holder("/boot"); d != nil {
					b.Device = d.Name
				}
				return b, nil, true
			},
			OneShot:  func(*plan.Facts) (string, plan.Findings) { return "it is asked once", nil },
			Settings: func(*plan.Facts) (map[string]string, string) { return nil, "/boot" },
			Drift:    func(*plan.Plan, *plan.Facts) ([]plan.Drift, error) { return nil, nil },
		},
		Valid: func(*plan.Plan) error { return nil },
		Arm:   func(*plan.Plan, loader.Arming) (loader.Armed, error) { return loader.Armed{}, nil },
		Disarm: func(string, json.RawMessage, fs.FS) ([]machine.Effect, error) {
			return nil, nil
		},
		Commit: func(p *plan.Plan, place func(string) (string, error)) ([]machine.Effect, error) {
			at, err := place(path.Join(p.Boot.Mount, bareCommit))
			return []machine.Effect{machine.WriteFile{Path: at, Data: []byte(p.ID), Mode: 0o600}}, err
		},
		Committed: func(p *plan.Plan, root fs.FS) (bool, error) {
			return exists(root, path.Join(p.Boot.Mount, bareCommit))
		},
		Confirm: none, Rollback: none,
	}
}

// TestPlantedLoader: the stages carry out whatever row the plan names, and a column that it does not have is nothing to do.
func TestPlantedLoader(t *testing.T) {
	w, table := newWorld(t), loader.Table{bare()}
	w.Rules.Loaders = table.Rules()
	p, text := planned(t, w, nil)
	if p.Boot.Loader != "bare" || p.Boot.OneShotWhy != "it is asked once" {
		t.Fatalf("planned: %+v", p.Boot)
	}
	w.Boot()
	e := w.env(p, text)
	e.Loaders = table
	if err := Run(context.Background(), e); err != nil {
		t.Fatal(err)
	}
	if f := w.Trees[p.Boot.Root][bareCommit]; f == nil || string(f.Data) != p.ID {
		t.Errorf("commit: %v", f)
	}
	for _, s := range w.Log {
		if strings.Contains(s, "grub") {
			t.Errorf("a program or file of another boot loader: %s", s)
		}
	}
	if _, err := loader.Known().Of(p); err == nil || !strings.Contains(err.Error(), `boot loader "bare": not known`) {
		t.Errorf("without its row: %v", err)
	}
}
