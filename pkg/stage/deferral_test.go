package stage

import (
	"bytes"
	"strings"
	"testing"
	"testing/fstest"

	"migrate-init/boot"
	"migrate-init/pkg/loader"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/sim"
)

// TestDeferral: the new system's boot loader asks the old one until finish, the proof insists on it, and nothing but those
// lines may name the old system.
func TestDeferral(t *testing.T) {
	const custom, cfg, own = "boot/grub/custom.cfg", "boot/grub/grub.cfg", "menuentry mine {\n\ttrue\n}\n"
	w := newWorld(t)
	w.Trees[sim.OldRoot][custom] = &fstest.MapFile{Data: []byte(own), Mode: 0o644}
	w.BootOld()
	p, text := planned(t, w, nil)
	if err := w.migrate(p, text, sim.Fault{}); err != nil {
		t.Fatal(err)
	}
	tree := w.Trees[p.Boot.Root]
	lines, err := boot.FindDeferral(tree[custom].Data)
	if err != nil || !strings.Contains(string(lines), sim.OldRoot) || !bytes.HasPrefix(tree[custom].Data, []byte(own)) {
		t.Fatalf("%v: %s", err, tree[custom].Data)
	}
	for _, c := range []struct{ name, file, text, id, want string }{
		{"as it was made", custom, own + string(lines), "", ""},
		{"before people's own", custom, string(lines) + own, "", ""},
		{"gone", custom, own, "boot-loader.old-disk", "not as they were written"},
		{"changed", custom, strings.Replace(string(lines), "configfile", "true", 1), "boot-loader.old-disk", "not as they were written"},
		{"of another plan", custom, strings.ReplaceAll(string(lines), p.ID, "other"), "boot-loader.old-disk", "not as they were written"},
		{"cut short", custom, string(lines[:len(lines)-9]), "boot-loader.old-disk", "not as they were written"},
		{"a grub.cfg that does not read them", cfg, strings.ReplaceAll(string(tree[cfg].Data), "custom.cfg", "other.cfg"), "boot-menu.default", "does not read custom.cfg"},
		{"people's own, about the old system", custom, "search --fs-uuid " + sim.OldRoot + "\n" + string(lines), "settings.rewritten", "still names " + sim.OldRoot},
	} {
		t.Run(c.name, func(t *testing.T) {
			changed := w.clone(t).Trees[p.Boot.Root]
			changed[c.file] = &fstest.MapFile{Data: []byte(c.text), Mode: 0o644}
			pr, err := newProver(loader.Known(), p, changed)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, x := range pr.ask(plan.Proving).Refusals() {
				if x.ID == "boot-loader.old-disk" || x.ID == "settings.rewritten" || x.ID == "boot-menu.default" {
					got = append(got, x.ID+" "+x.Detail)
				}
			}
			all := strings.Join(got, "; ")
			if c.want == "" && all != "" || c.want != "" && (!strings.Contains(all, c.id) || !strings.Contains(all, c.want)) {
				t.Errorf("got %q, want %s %q", all, c.id, c.want)
			}
		})
	}
	if err := w.bootNew(p); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second finds nothing left
		effs, err := loader.Known()[0].Release(p, w.View())
		if err != nil {
			t.Fatal(err)
		}
		for _, eff := range effs {
			if _, err := w.Do(t.Context(), eff); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := string(w.Trees[p.Boot.Root][custom].Data); got != own {
		t.Errorf("finish leaves %q", got)
	}
}

// TestDeferralWouldNotBeRead is told before the reboot.
func TestDeferralWouldNotBeRead(t *testing.T) {
	const cfg = "boot/grub/grub.cfg"
	w := newWorld(t)
	p, _ := planned(t, w, nil)
	for want, text := range map[string]string{
		"":                         string(w.Trees[sim.OldRoot][cfg].Data),
		"does not read custom.cfg": strings.ReplaceAll(string(w.Trees[sim.OldRoot][cfg].Data), "custom.cfg", "other.cfg"),
	} {
		w.Trees[sim.OldRoot][cfg] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
		pr, err := newProver(loader.Known(), p, w.View())
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, x := range pr.ask(plan.Planning).Refusals() {
			if x.ID == "boot-menu.default" {
				got += x.Detail
			}
		}
		if (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
