package fstab

import (
	"bytes"
	"fmt"
	"strings"
)

// maxSize is how many bytes Parse accepts. The largest fstab seen in the wild has a few hundred kilobytes.
const maxSize = 4 << 20

// span is a half-open byte range in a line.
type span struct{ start, end int }

// row is one line with its line ending. A removed row keeps its place, so that the numbers of the others stay valid.
type row struct {
	raw    string
	fields []span
}

// table is the byte-preserving base of fstab and crypttab: lines of fields separated by spaces and tabs.
type table struct {
	rows []row
	max  int // how many fields a line can have; anything after them is trailing text
}

func parseTable(what string, data []byte, fields int) (table, error) {
	if len(data) > maxSize {
		return table{}, fmt.Errorf("%s: %d bytes, more than the %d accepted", what, len(data), maxSize)
	}
	if i := bytes.IndexByte(data, 0); i >= 0 {
		return table{}, fmt.Errorf("%s: NUL byte at offset %d, not a text file", what, i)
	}
	t := table{max: fields}
	for _, raw := range strings.SplitAfter(string(data), "\n") {
		if raw != "" {
			t.rows = append(t.rows, newRow(raw, fields))
		}
	}
	return t, nil
}

func newRow(raw string, limit int) row { return row{raw: raw, fields: split(raw, limit)} }

// split finds the fields of a line; a blank or comment line has none.
func split(raw string, limit int) []span {
	text := strings.TrimRight(raw, "\r\n")
	var out []span
	for i := 0; i < len(text) && len(out) < limit; {
		if isBlank(text[i]) {
			i++
			continue
		}
		if len(out) == 0 && text[i] == '#' {
			return nil
		}
		start := i
		for i < len(text) && !isBlank(text[i]) {
			i++
		}
		out = append(out, span{start, i})
	}
	return out
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

func (t *table) bytes() []byte {
	var b bytes.Buffer
	for _, r := range t.rows {
		b.WriteString(r.raw)
	}
	return b.Bytes()
}

func (t *table) row(line int) (*row, error) {
	if line < 1 || line > len(t.rows) {
		return nil, fmt.Errorf("line %d: the file has %d lines", line, len(t.rows))
	}
	r := &t.rows[line-1]
	if len(r.fields) == 0 {
		return nil, fmt.Errorf("line %d: not an entry: %q", line, clip(r.raw))
	}
	return r, nil
}

func (r row) field(i int) string {
	if i >= len(r.fields) {
		return ""
	}
	return r.raw[r.fields[i].start:r.fields[i].end]
}

// set replaces field i of a line with text, which must already be escaped.
func (t *table) set(line, i int, text string) error {
	r, err := t.row(line)
	if err != nil {
		return err
	}
	if i >= len(r.fields) {
		return fmt.Errorf("line %d: it has %d fields, field %d cannot be set: %q", line, len(r.fields), i+1, clip(r.raw))
	}
	if err := checkField(text, i == 0); err != nil {
		return fmt.Errorf("line %d: %w", line, err)
	}
	if text == r.field(i) {
		return nil
	}
	s := r.fields[i]
	head, tail := r.raw[:s.start], r.raw[s.end:]
	if i+1 < len(r.fields) {
		gap := tail[:r.fields[i+1].start-s.end]
		tail = regap(gap, s.end-s.start-len(text)) + tail[len(gap):]
	}
	*r = newRow(head+text+tail, t.max)
	return nil
}

// regap widens or narrows a gap by n, so that the next column stays in place. It does not change a gap that is a single
// space or contains a tab, which do not align columns by their width.
func regap(gap string, n int) string {
	if len(gap) < 2 || strings.Trim(gap, " ") != "" {
		return gap
	}
	return strings.Repeat(" ", max(1, len(gap)+n))
}

func checkField(text string, first bool) error {
	switch {
	case text == "":
		return fmt.Errorf("field: empty; write a dash or none")
	case strings.ContainsAny(text, " \t\r\n\x00"):
		return fmt.Errorf("field %q: it contains a blank, line ending or NUL; escape it", clip(text))
	case first && text[0] == '#':
		return fmt.Errorf("field %q: it would make the line a comment", clip(text))
	}
	return nil
}

func (t *table) remove(line int) error {
	r, err := t.row(line)
	if err != nil {
		return err
	}
	*r = row{}
	return nil
}

// commentOut turns a line into a comment, below one comment line that says why.
func (t *table) commentOut(line int, reason string) error {
	r, err := t.row(line)
	if err != nil {
		return err
	}
	eol := "\n"
	if strings.HasSuffix(r.raw, "\r\n") {
		eol = "\r\n"
	}
	why := ""
	if reason = strings.Join(strings.Fields(reason), " "); reason != "" {
		why = "# " + reason + eol
	}
	*r = row{raw: why + "#" + r.raw}
	return nil
}

// append adds a line at the end and returns its number; it first ends the last line if that has no line ending.
func (t *table) append(fields ...string) (int, error) {
	for i, f := range fields {
		if err := checkField(f, i == 0); err != nil {
			return 0, err
		}
	}
	for i := len(t.rows) - 1; i >= 0; i-- {
		if raw := t.rows[i].raw; raw != "" {
			if !strings.HasSuffix(raw, "\n") {
				t.rows[i].raw += "\n"
			}
			break
		}
	}
	t.rows = append(t.rows, newRow(strings.Join(fields, " ")+"\n", t.max))
	return len(t.rows), nil
}

// clip shortens a quoted line in an error.
func clip(s string) string {
	s = strings.TrimRight(s, "\r\n")
	if len(s) > 160 {
		return s[:160] + "…"
	}
	return s
}
