package plan

import (
	"fmt"
	"strings"
)

// Severity of a Finding.
type Severity string

// Severities, the worst first.
const (
	Refuse Severity = "refuse"
	Warn   Severity = "warn"
	OK     Severity = "ok"
)

// Finding is the answer of one check: what it is about, what was seen, and a command or an action that helps.
type Finding struct {
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	Subject  string   `json:"subject,omitempty"` // an OK may have none
	Detail   string   `json:"detail"`
	Fix      string   `json:"fix,omitempty"`
}

func (f Finding) String() string {
	s := f.Detail
	if f.Subject != "" {
		s = f.Subject + ": " + s
	}
	if f.Fix != "" {
		s += "; " + f.Fix
	}
	return s
}

// Findings are the answers of several checks.
type Findings []Finding

// Refusals returns those that forbid to go on.
func (fs Findings) Refusals() Findings {
	var out Findings
	for _, f := range fs {
		if f.Severity == Refuse {
			out = append(out, f)
		}
	}
	return out
}

// Err returns a RefusedError when any finding refuses.
func (fs Findings) Err() error {
	if r := fs.Refusals(); len(r) > 0 {
		return &RefusedError{r}
	}
	return nil
}

// A RefusedError carries every finding that forbade something.
type RefusedError struct{ Findings Findings }

func (e *RefusedError) Error() string {
	var b strings.Builder
	for i, f := range e.Findings {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(f.String())
	}
	return b.String()
}

type answers struct {
	id  string
	out Findings
}

func (a *answers) add(s Severity, subject, fix, format string, args ...any) {
	a.out = append(a.out, Finding{a.id, s, withoutControls(subject), withoutControls(fmt.Sprintf(format, args...)), withoutControls(fix)})
}

func (a *answers) refuse(subject, fix, format string, args ...any) {
	a.add(Refuse, subject, fix, format, args...)
}

func (a *answers) warn(subject, fix, format string, args ...any) {
	a.add(Warn, subject, fix, format, args...)
}
