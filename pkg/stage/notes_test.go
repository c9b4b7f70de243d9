package stage

import (
	"context"
	"errors"
	"testing"

	"migrate-init/pkg/copy"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

type sink struct {
	n   int
	err error
}

func (s *sink) Do(context.Context, machine.Effect) (machine.Output, error) {
	s.n++
	return machine.Output{}, s.err
}

func TestNoting(t *testing.T) {
	up, told := 100.0, 0
	m := &sink{}
	e := &Env{Plan: &plan.Plan{ID: "p"}, Machine: m, journal: "/dev/j", size: 1024 * slotSize, Clock: func() (string, float64) { return "", up }, Tell: func(Event) { told++ }}
	var seen copy.Progress
	f := e.noting(t.Context(), "copy:u", func(p copy.Progress) { seen = p })
	for range 100 { // 100 s
		up++
		f(copy.Progress{Bytes: 5, TotalBytes: 77})
	}
	if seen.TotalBytes != 77 || e.records[0].Text != "0 files, 5 of 77 bytes" {
		t.Errorf("total %d, records %+v", seen.TotalBytes, e.records)
	}
	if len(e.records) != 6 || m.n != 6 || e.records[0].Event != Note || e.records[0].Facts["total"] != "77" || e.records.Begun("copy:u") {
		t.Errorf("%d records, %d writes: %+v", len(e.records), m.n, e.records)
	}
	up += noteEvery
	if f(copy.Progress{Bytes: 90}); seen.TotalBytes != 0 || e.records[6].Text != "0 files, 90 bytes" {
		t.Errorf("where the engine knows no total: %d, records %+v", seen.TotalBytes, e.records)
	}
	// The last slots are for what matters.
	for range 2000 {
		up += noteEvery
		f(copy.Progress{})
	}
	if want := 1024 - noteSpare; len(e.records) != want {
		t.Errorf("%d records, %d wanted", len(e.records), want)
	}
	// A journal that cannot be written is told of, and stops nothing.
	e.records, m.err, told = nil, errors.New("input/output error"), 0
	up += noteEvery
	if f(copy.Progress{}); told != 1 || len(e.records) != 0 {
		t.Errorf("told %d times, %d records", told, len(e.records))
	}
}
