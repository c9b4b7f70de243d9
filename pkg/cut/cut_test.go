package cut

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"migrate-init/pkg/machine"
)

func TestParse(t *testing.T) {
	for s, want := range map[string]Point{
		"17":                     {N: 17},
		"17+":                    {N: 17, After: true},
		"17+1.5s":                {N: 17, Delay: 1500 * time.Millisecond},
		"write_partition_table":  {Text: "write partition table", K: 1},
		"checkpoint_of%3+":       {Text: "checkpoint of", K: 3, After: true},
		"update-initramfs+200ms": {Text: "update-initramfs", K: 1, Delay: 200 * time.Millisecond},
	} {
		if got, err := Parse(s); err != nil || got != want {
			t.Errorf("%q: %+v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "+", "%2", "x%0", "x%y", "17+soon", "17+-1s"} {
		if p, err := Parse(s); err == nil {
			t.Errorf("%q: %+v", s, p)
		}
	}
}

// Names of ioctls have underscores, where a kernel parameter has no other sign for a space.
func TestUnderscores(t *testing.T) {
	c := &Cutter{M: &power{}, At: Point{Text: "ADD NEW DISK", K: 1, After: true}}
	if _, hit := c.next("ioctl ADD_NEW_DISK (0x40140921) on /dev/md126"); !hit {
		t.Error("ADD_NEW_DISK: not met")
	}
	if _, hit := c.next("ioctl STOP_ARRAY (0x932) on /dev/md126"); hit {
		t.Error("STOP_ARRAY: met")
	}
}

// power is a machine that logs its effects and loses them when the power is cut.
type power struct {
	log []string
	cut bool
}

func (m *power) Do(_ context.Context, e machine.Effect) (machine.Output, error) {
	if w, ok := e.(machine.WriteSys); ok && w.Path == "/proc/sysrq-trigger" && w.Value == "b" {
		m.cut = true
	}
	if s, ok := e.(machine.Sync); ok && s.Path == "/slow" {
		time.Sleep(time.Minute)
	}
	if !m.cut {
		m.log = append(m.log, e.String())
	}
	return machine.Output{}, nil
}

func TestCutsAtTheEffect(t *testing.T) {
	effects := []machine.Effect{machine.Sync{Path: "/a"}, machine.Sync{Path: "/slow"}, machine.Sync{Path: "/a"}}
	line := func(i int) string { return effects[i].String() }
	for at, want := range map[string][]string{
		"1":          {"cut before 1 " + line(0)},
		"2+":         {line(0), line(1), "cut after 2 " + line(1)},
		"2+1s":       {line(0), "cut 1s after the beginning of 2 " + line(1)},
		"2+2m":       {line(0), line(1), line(2), "cut 2m0s after the beginning of 2 " + line(1)},
		"system%3":   {line(0), line(1), "cut before 3 " + line(2)},
		"of_/slow":   {line(0), "cut before 2 " + line(1)},
		"4":          {line(0), line(1), line(2)},
		"of_/other+": {line(0), line(1), line(2)},
	} {
		t.Run(at, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, err := Parse(at)
				if err != nil {
					t.Fatal(err)
				}
				inner := &power{}
				var said []string
				uncut := false
				c := &Cutter{M: inner, At: p, Say: func(s string) { said = append(said, s) }, Shout: func(s string) { inner.log = append(inner.log, s) }}
				m := c.Machine()
				for _, e := range effects {
					_, err := m.Do(t.Context(), e)
					uncut = uncut || errors.Is(err, errUncut)
				}
				time.Sleep(time.Hour)
				if !slices.Equal(inner.log, want) {
					t.Errorf("done %q, want %q", inner.log, want)
				}
				// A machine that survives its power cut must not go on.
				if uncut != (inner.cut && p.Delay == 0) {
					t.Errorf("cut %v, an error that says it was not: %v", inner.cut, uncut)
				}
				if !slices.Contains(said, "1 "+line(0)) {
					t.Errorf("said %q", said)
				}
			})
		})
	}
}

// Each attempt of a migration that starts again by itself has a cut of its own.
func TestAttempts(t *testing.T) {
	at, err := ParseAttempts("run_mke2fs,checkpoint%2+")
	if err != nil || len(at) != 2 {
		t.Fatalf("%v, %v", at, err)
	}
	if _, err := ParseAttempts("x,"); err == nil {
		t.Error("a point without a text")
	}
	for n, want := range map[string]int{"1": 2, "2": 4, "3": 0} {
		c := &Cutter{M: &power{}, Attempts: at}
		got := 0
		for i, effect := range []string{"write boot block: attempt " + n + " of 3", "run mke2fs", "write checkpoint", "write checkpoint"} {
			if _, hit := c.next(effect); hit {
				got = i + 1
			}
		}
		if got != want {
			t.Errorf("attempt %s: cut at effect %d, want %d", n, got, want)
		}
	}
}
