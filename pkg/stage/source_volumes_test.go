package stage

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"migrate-init/pkg/plan"
	"migrate-init/pkg/sim"
	"migrate-init/pkg/survey"
)

const simPassphrase = "open sesame"

// onVolumes is a Debian with its root on a partition and all else on logical volumes, which with a passphrase lie on LUKS.
func onVolumes(t testing.TB, passphrase string) *world {
	m := sim.DebianOnLVM(t, passphrase)
	m.Rules = rules()
	return &world{m}
}

// migrateAsking is migrate with someone at the console.
func (w *world) migrateAsking(p *plan.Plan, text []byte, f sim.Fault, ask func(context.Context, string) ([]byte, error)) error {
	w.Boot()
	w.Fault = f
	e := w.env(p, text)
	e.Ask = ask
	err := Run(context.Background(), e)
	if err != nil {
		e.Abandon(context.Background())
	}
	return err
}

// TestFromVolumes migrates a system on LVM, and on LVM on LUKS: the old disk stays as it is, one passphrase opens all
// containers that have it, and nothing of the old system runs in the new one.
func TestFromVolumes(t *testing.T) {
	for _, pass := range []string{"", simPassphrase} {
		w := onVolumes(t, pass)
		p, text := planned(t, w, nil)
		lvs, luks := 0, 0
		for _, n := range p.Source {
			switch {
			case n.LV != nil:
				lvs++
			case n.LUKS != nil:
				luks++
			}
		}
		if lvs != 2 || luks != 2*min(len(pass), 1) || len(p.Overlays) != 2 {
			t.Fatalf("%d volumes, %d containers, %d overlays", lvs, luks, len(p.Overlays))
		}
		before, asked := w.sourcesOf(), 0
		err := w.migrateAsking(p, text, sim.Fault{}, func(context.Context, string) ([]byte, error) {
			asked++
			return []byte(simPassphrase), nil
		})
		if err != nil {
			t.Fatalf("%v\n%s", err, strings.Join(w.Told, "\n"))
		}
		if w.Entered != TargetDir || asked != min(len(pass), 1) {
			t.Errorf("entered %q, asked %d times", w.Entered, asked)
		}
		if now := w.sourcesOf(); now != before {
			t.Errorf("source disks are %s, were %s", now, before)
		}
		for _, line := range w.Log {
			if strings.Contains(line, simPassphrase) {
				t.Errorf("the passphrase is told: %s", line)
			}
		}
		f, err := w.Look(context.Background(), survey.Whole)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Devices {
			if d.Kind == plan.KindDM {
				t.Errorf("%s (%s) of the old system is still there", d.Path, d.Mapping)
			}
		}
	}
}

// TestFromVolumesWrong: three wrong passphrases, or no one at the console, end in the old system, untouched.
func TestFromVolumesWrong(t *testing.T) {
	w := onVolumes(t, simPassphrase)
	p, text := planned(t, w, nil)
	before := w.sourcesOf()
	for want, ask := range map[string]func(context.Context, string) ([]byte, error){
		"wrong 3 times":            func(context.Context, string) ([]byte, error) { return []byte("guess"), nil },
		"no one is at the console": func(context.Context, string) ([]byte, error) { return nil, errors.New("no one is at the console") },
	} {
		w := w.clone(t)
		err := w.migrateAsking(p, text, sim.Fault{}, ask)
		if err == nil || !strings.Contains(err.Error(), want) || w.Entered != "" || w.sourcesOf() != before {
			t.Errorf("%v, entered %q", err, w.Entered)
		}
	}
}

// TestFromVolumesFaults lets effects fail, one after the other, until the copy begins: the source stays as it is, and the next
// try succeeds.
func TestFromVolumesFaults(t *testing.T) {
	fresh := onVolumes(t, simPassphrase)
	p, text := planned(t, fresh, nil)
	before := fresh.sourcesOf()
	ask := func(context.Context, string) ([]byte, error) { return []byte(simPassphrase), nil }
	for _, how := range []string{"error", "late", "after"} {
		for at := 1; ; at++ {
			w := fresh.clone(t)
			err := w.migrateAsking(p, text, sim.Fault{At: at, How: how}, ask)
			if err == nil || strings.Contains(err.Error(), "stage check") || strings.Contains(err.Error(), "stage prepare") {
				if at < 10 {
					t.Fatalf("only %d effects start the layers: %v", at, err)
				}
				break
			}
			if w.Dead != nil {
				w.Boot()
			}
			if now := w.sourcesOf(); now != before {
				t.Fatalf("%s at effect %d: source disks are %s, were %s", how, at, now, before)
			}
			if at%5 == 0 {
				if err := w.migrateAsking(p, text, sim.Fault{}, ask); err != nil {
					t.Fatalf("%s at effect %d, and again: %v", how, at, err)
				}
			}
		}
	}
}

// TestFinishOldVolumes: what does not run is not known to be unchanged, and a person is told what starts it; what runs is
// compared, stopped and given up.
func TestFinishOldVolumes(t *testing.T) {
	for pass, fix := range map[string]string{"": "lvchange -ay vg0/lv", simPassphrase: "cryptsetup open --readonly /dev/vda"} {
		w := onVolumes(t, pass)
		p, text := planned(t, w, nil)
		if err := w.migrateAsking(p, text, sim.Fault{}, func(context.Context, string) ([]byte, error) { return []byte(pass), nil }); err != nil {
			t.Fatal(err)
		}
		off := w.clone(t)
		if err := off.finishRun(p, text, sim.Fault{}, false); err == nil || !strings.Contains(err.Error(), fix) || !strings.Contains(err.Error(), "--discard-changes") {
			t.Errorf("old volumes do not run: %v, want %s", err, fix)
		}
		if err := off.finishRun(p, text, sim.Fault{}, true); err != nil {
			t.Errorf("with --discard-changes: %v", err)
		}
		w.AssembleAll = true
		if err := w.finishRun(p, text, sim.Fault{}, false); err != nil {
			t.Errorf("old volumes run: %v\n%s", err, strings.Join(w.Told, "\n"))
		}
		if log := strings.Join(w.Log, "\n"); strings.Count(log, "remove mapping") != 2+2*min(len(pass), 1) {
			t.Errorf("what ran is not stopped:\n%s", log)
		}
	}
}

// TestUnlockByKeyFile: the plan says which file opens which container, and no one is asked.
func TestUnlockByKeyFile(t *testing.T) {
	w := onVolumes(t, simPassphrase)
	p, text := planned(t, w, func(in *plan.Intent) { in.Keys = []string{"/dev/vda3=/etc/keys/a", "/dev/mapper/crypt3=/etc/keys/b"} })
	root := fstest.MapFS{}
	for _, n := range p.Source {
		if n.LUKS != nil {
			if n.LUKS.KeyFile == "" {
				t.Errorf("%s has no key file", n.LUKS.Name)
			}
			root[strings.TrimPrefix(KeyFile(n.Ref.ID()), "/")] = &fstest.MapFile{Data: []byte(simPassphrase)}
		}
	}
	w.Boot()
	e := w.env(p, text)
	e.Root = root
	if err := Run(t.Context(), e); err != nil || w.Entered != TargetDir {
		t.Errorf("%v, entered %q", err, w.Entered)
	}
	w = onVolumes(t, simPassphrase)
	f, err := w.Look(t.Context(), survey.Whole)
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"/dev/vda2=/etc/key": "not an encrypted container", "/dev/vda3": "names no device and no file", "/dev/vda3=key": "names no device and no file", "/dev/none=/etc/key": "not an encrypted container"} {
		_, found, err := plan.New(plan.Intent{To: "raid1", Disks: []string{"/dev/vdb"}, Keys: []string{key}, Now: time.Unix(1700000000, 0), Rand: &seeded{}}, f)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("--unlock %s: %v %v, want %q", key, err, found, want)
		}
	}
}

// TestRootWithoutHeader: an encrypted mapping without a LUKS header has no identity by which it could be found again.
func TestRootWithoutHeader(t *testing.T) {
	w := onVolumes(t, simPassphrase)
	f, err := w.Look(t.Context(), survey.Whole)
	if err != nil {
		t.Fatal(err)
	}
	for i := range f.Mounts {
		if f.Mounts[i].Target == "/" {
			f.Mounts[i].Device = "dm-9"
		}
	}
	f.Devices = append(f.Devices, plan.Device{Name: "dm-9", Path: "/dev/dm-9", Kind: plan.KindDM, Mapping: "secret", MappingID: "CRYPT-PLAIN-secret"})
	f.Crypts = append(f.Crypts, plan.Crypt{Node: "dm-9", Name: "secret", Device: "vda2", Unusual: "it is of type plain"})
	_, _, err = plan.New(plan.Intent{To: "raid1", Disks: []string{"/dev/vdb"}, Now: time.Unix(1700000000, 0), Rand: &seeded{}}, f)
	if err == nil || !strings.Contains(err.Error(), "the encrypted mapping secret on /dev/vda2 cannot be found again: it is of type plain") {
		t.Errorf("%v", err)
	}
}
