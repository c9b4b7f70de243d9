package stage

import (
	"testing"

	"migrate-init/pkg/plan"
	"migrate-init/pkg/survey"
)

// Every stage is described twice, in a sentence and on a line of the screen.
func TestBrief(t *testing.T) {
	w := newWorld(t)
	f, err := w.Look(t.Context(), survey.Whole)
	if err != nil {
		t.Fatal(err)
	}
	p, _ := planned(t, w, func(in *plan.Intent) { in.Engine = "" })
	for _, s := range registry() {
		long, short := Text(s.Name, p, f), Brief(s.Name, p, f)
		if long == "" || short == "" || len(short) > 62 {
			t.Errorf("stage %s: %q, and in short %q (%d columns)", s.Name, long, short, len(short))
		}
	}
}

// Parts of stages are called by what people know; a part of another plan keeps its key.
func TestTitle(t *testing.T) {
	p, _ := planned(t, newWorld(t), nil)
	root, swap := p.Target.MountedAt("/").Ref.ID(), p.Target.Swaps()[0].Ref.ID()
	for key, want := range map[string]string{
		"copy":                                 "copy",
		"mkfs:" + root:                         "/: make ext4",
		"copy:" + root:                         "/: copy",
		"verify:" + root:                       "/: verify",
		"precheck:" + root:                     "/: look at every file",
		"settle:" + root:                       "/: set identity and size",
		"mkfs:" + swap:                         "swap: make swap",
		partOf(takeover, p.LaterDisks()[0]):    "/dev/vda: switch the boot sector",
		partOf(repartition, p.LaterDisks()[0]): "/dev/vda: write the partition table",
		"copy:99999999-2222-4222-8222-222222222222": "copy of 99999999-2222-4222-8222-222222222222",
	} {
		if got := Title(p, key); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
}
