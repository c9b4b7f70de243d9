package plan

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
)

// width is what a line may have: a serial console has 80 columns.
const width = 78

// size spells bytes for people: "20 GiB".
func size(n int64) string { return humanize.IBytes(uint64(max(0, n))) }

// plain makes text from a disk or a file fit for a serial console: ASCII, and nothing that a terminal obeys.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

// withoutControls replaces control characters, which a terminal obeys, and keeps letters of every script.
func withoutControls(s string) string {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "?")
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}

// cut shortens text to n columns.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:max(0, n-2)] + ".."
}

// page collects lines of at most width columns where words allow it.
type page struct{ b strings.Builder }

func (p *page) line(format string, args ...any) {
	p.b.WriteString(strings.TrimRight(plain(fmt.Sprintf(format, args...)), " "))
	p.b.WriteByte('\n')
}

func (p *page) gap() { p.b.WriteByte('\n') }

// head writes a heading after an empty line.
func (p *page) head(format string, args ...any) {
	if p.b.Len() > 0 {
		p.gap()
	}
	p.line(format, args...)
}

// para writes words in lines: the first begins with lead, the others are indented as far.
func (p *page) para(lead, format string, args ...any) {
	pad := strings.Repeat(" ", len(lead))
	text, at := lead, true
	for _, w := range strings.Fields(plain(fmt.Sprintf(format, args...))) {
		if !at && len(text)+1+len(w) > width {
			p.line("%s", text)
			text, at = pad, true
		}
		if !at {
			text += " "
		}
		text, at = text+w, false
	}
	p.line("%s", text)
}

// pair writes a labelled paragraph.
func (p *page) pair(label, format string, args ...any) {
	p.para(fmt.Sprintf("  %-13s ", label), format, args...)
}

func (p *page) String() string { return p.b.String() }

func joined(parts ...string) string { return joinedBy(", ", parts...) }

func joinedBy(sep string, parts ...string) string {
	var out []string
	for _, s := range parts {
		if s != "" {
			out = append(out, s)
		}
	}
	return strings.Join(out, sep)
}
