package stage

import (
	"context"
	"errors"
	"testing"

	"migrate-init/pkg/plan"
	"migrate-init/pkg/survey"
)

// TestWaitDisksSlides: each disk that comes starts the deadline again, and the last one ends the wait.
func TestWaitDisksSlides(t *testing.T) {
	disk := func(serial string) plan.Node {
		return plan.Node{Ref: plan.Ref("disk:" + serial), Size: 1 << 30, Layer: plan.Layer{Disk: &plan.Disk{Serial: serial, Sector: 512}}}
	}
	for name, c := range map[string]struct {
		come []int // at which look each disk is there
		ok   bool
	}{
		"all there":       {[]int{1, 1, 1}, true},
		"one by one":      {[]int{1, 4, 8}, true}, // each within the deadline of 5 looks, not all of them
		"none":            {[]int{99, 99, 99}, false},
		"one never comes": {[]int{1, 4, 99}, false},
	} {
		t.Run(name, func(t *testing.T) {
			looks := 0
			e := &Env{Plan: &plan.Plan{Source: plan.Graph{disk("0"), disk("1"), disk("2")}}}
			e.Look = func(context.Context, survey.Depth) (*plan.Facts, error) {
				looks++
				f := &plan.Facts{}
				for i, at := range c.come {
					if looks >= at {
						f.Devices = append(f.Devices, plan.Device{Name: string(rune('a' + i)), Kind: plan.KindDisk, Size: 1 << 30, Serial: string(rune('0' + i))})
					}
				}
				return f, nil
			}
			e.Wait = func(_ context.Context, _ string, cond func() (bool, error)) error {
				for range 5 {
					if ok, err := cond(); ok || err != nil {
						return err
					}
				}
				return errors.New("timed out")
			}
			if err := e.waitDisks(t.Context()); (err == nil) != c.ok {
				t.Errorf("after %d looks: %v", looks, err)
			}
		})
	}
}
