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
