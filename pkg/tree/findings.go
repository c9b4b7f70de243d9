package tree

import (
	"fmt"
	"slices"
)

// Severity of a Finding.
type Severity uint8

const (
	Info Severity = iota // to be known
	Loss                 // the copy will lack something that the target cannot hold
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

// Finding is one kind of thing in the source that will not be kept. Where it has several causes, Severity, Detail and
// Fix are those of the most severe, of its first object; Paths names the first few objects, those of that cause before others.
// Count is of all objects.
type Finding struct {
	ID       string // stable, "tree.NAME"
	Severity Severity
	Count    int64
	Paths    []string
	Detail   string
	Fix      string
}

const findingPaths = 10

// finding is a Finding that grows.
type finding struct {
	Finding
	worst int // objects of Severity itself, the first of which lead Paths
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
			f.Paths = nil // it is of the whole source
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
