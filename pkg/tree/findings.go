package tree

import (
	"fmt"
	"slices"
)

// Severity of a Finding.
type Severity uint8

const (
	Info Severity = iota // worth knowing
	Loss                 // the copy will miss something that the target cannot store
	Fail                 // the copy cannot be complete
)

func (s Severity) String() string {
	switch s {
	case Info:
		return "info"
	case Loss:
		return "loss"
	}
	return "fail"
}

// Finding is one kind of thing in the source that the copy will not keep. If it has several causes, Severity, Detail and Fix
// are those of the first object with the most severe cause. Paths has the first few objects, those with that cause first.
// Count is the number of all objects.
type Finding struct {
	ID       string // stable, "tree.NAME"
	Severity Severity
	Count    int64
	Paths    []string
	Detail   string
	Fix      string
}

const findingPaths = 10

// finding is a Finding under construction.
type finding struct {
	Finding
	worst int // number of objects with Severity; the first of them are at the front of Paths
}

func (s *scanner) find(id string, sev Severity, path, fix, format string, a ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.found[id]
	if f == nil {
		f = &finding{}
		s.found[id] = f
	}
	if f.Count == 0 || sev > f.Severity {
		f.ID, f.Severity, f.Detail, f.Fix, f.worst = id, sev, fmt.Sprintf(format, a...), fix, 0
		if path == "" {
			f.Paths = nil // it concerns the whole source
		}
	}
	f.Count++
	if path == "" {
		return
	}
	at := len(f.Paths)
	if sev == f.Severity {
		at = f.worst
		f.worst++
	}
	if at < findingPaths {
		f.Paths = slices.Insert(f.Paths, at, path)
		f.Paths = f.Paths[:min(len(f.Paths), findingPaths)]
	}
}
