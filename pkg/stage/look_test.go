package stage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"migrate-init/pkg/copy"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/sim"
	"migrate-init/pkg/survey"
)

// several is a machine with n filesystems besides the root's.
func several(t *testing.T, n int) *world {
	t.Helper()
	parts := []sim.Part{
		{Kind: "bios_grub", Size: sim.MiB},
		{Kind: "linux", Size: 500 * sim.MiB, UUID: sim.OldRoot, Label: "rootfs", Mount: "/", Fstab: "UUID=" + sim.OldRoot + " / ext4 errors=remount-ro 0 1\n"},
		{Kind: "swap", Size: 100 * sim.MiB, UUID: sim.OldSwap, Fstab: "UUID=" + sim.OldSwap + " none swap sw 0 0\n"},
	}
	for i := range n {
		uuid, at := fmt.Sprintf("22222222-2222-4222-8222-%012d", i), fmt.Sprintf("/srv%d", i)
		parts = append(parts, sim.Part{Kind: "linux", Size: 100 * sim.MiB, UUID: uuid, Mount: at, Fstab: "UUID=" + uuid + " " + at + " ext4 defaults 0 2\n"})
	}
	m := sim.Install(t, sim.Layout{DiskSize: 2048 * sim.MiB, Parts: parts})
	m.Rules = rules()
	return &world{m}
}

// watched makes the stages look as the shipped program does, holds every look against one that remembers nothing, and
// counts the devices that were opened, by stage.
func (w *world) watched(t *testing.T, p *plan.Plan, text []byte) (e *Env, opened map[string]int) {
	e, opened = w.env(p, text), map[string]int{}
	e.Known = &survey.Known{}
	filler := &filling{finalizing: finalizing{copier{w}}}
	e.Copier = filler
	at, tell := "", e.Tell
	e.Tell = func(x Event) {
		if x.Text == "begins" {
			at = x.Stage
		}
		tell(x)
	}
	e.Look = func(ctx context.Context, depth survey.Depth) (*plan.Facts, error) {
		fresh, err := w.Look(ctx, depth)
		if err != nil {
			return nil, err
		}
		f, names, err := w.LookAgain(ctx, depth, e.Known)
		got, gerr := json.Marshal(f)
		want, werr := json.Marshal(fresh)
		if string(got) != string(want) || errors.Join(err, gerr, werr) != nil {
			t.Fatalf("%s, after %q: a look remembers what is no longer so:\n%s\nwant\n%s", at, w.Log[max(0, len(w.Log)-3):], got, want)
		}
		opened[at] += len(names)
		if filled := filler.to; depth == survey.Deep && filled != "" && !slices.Contains(names, filled) {
			t.Errorf("%s: %s was copied to, and the next look does not read it", at, filled)
		}
		filler.to = ""
		return f, err
	}
	return e, opened
}

// filling notes which device a copy has just written to.
type filling struct {
	finalizing
	to string
}

// Copy implements copy.Copier.
func (c *filling) Copy(ctx context.Context, j copy.Job) (copy.Counts, error) {
	c.to = j.ToDev
	return c.finalizing.Copy(ctx, j)
}

// TestLooksRememberRightly: what a look remembers is what a look that reads everything finds, at every look of a whole
// migration, of one that was cut, and of the one that goes on from there.
func TestLooksRememberRightly(t *testing.T) {
	for name, change := range engines() {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p, text := planned(t, w, change)
			start := w.clone(t)
			w.Boot()
			e, _ := w.watched(t, p, text)
			if err := Run(t.Context(), e); err != nil {
				t.Fatal(err)
			}
			for at := 3; at < w.Verbs; at += 19 {
				c := start.clone(t)
				for _, f := range []sim.Fault{{At: at, How: []string{"error", "torn", "late"}[at%3]}, {}} {
					c.Boot()
					c.Fault = f
					e, _ := c.watched(t, p, text)
					if err := Run(t.Context(), e); err != nil {
						if f.How == "" {
							t.Fatal(err)
						}
						e.Abandon(t.Context())
					}
				}
			}
		})
	}
}

// TestLooksDoNotGrow: a step on one filesystem does not read the devices of the others again. Each filesystem has three, its
// array, the member and that one's disk, and they change a few times in each stage.
func TestLooksDoNotGrow(t *testing.T) {
	for name, change := range engines() {
		t.Run(name, func(t *testing.T) {
			const few, many = 1, 5
			read := map[int]map[string]int{}
			for _, n := range []int{few, many} {
				w := several(t, n)
				p, text := planned(t, w, change)
				w.Boot()
				e, opened := w.watched(t, p, text)
				if err := Run(t.Context(), e); err != nil {
					t.Fatal(err)
				}
				read[n] = opened
			}
			for _, stage := range []string{"prepare", "copy", "verify"} {
				each := float64(read[many][stage]-read[few][stage]) / (many - few)
				t.Logf("%s: %d devices opened for %d filesystems, %d for %d: %.1f for each", stage, read[few][stage], few+1, read[many][stage], many+1, each)
				if most := 12.0; each > most {
					t.Errorf("%s: %.1f devices are read for each further filesystem, want at most %.0f", stage, each, most)
				}
			}
		})
	}
}
