package conf

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// Debconf is debconf's database of answers, /var/cache/debconf/config.dat, in the format of Debconf::Format::822:
// stanzas of "Field: value" lines that end with an empty line. A newline in a value is written as the two bytes \n.
type Debconf struct {
	lines     []string // with their line endings
	questions []question
}

// question is a stanza: its lines are [start, end).
type question struct {
	name       string
	start, end int
}

// ParseDebconf reads the database. It returns an error for a question that occurs twice, because it is not clear which
// one counts, and for more than 64 MiB.
func ParseDebconf(data []byte) (Debconf, error) {
	const limit = 64 << 20
	if len(data) > limit {
		return Debconf{}, fmt.Errorf("debconf database: %d bytes, more than the %d accepted", len(data), limit)
	}
	var d Debconf
	seen := map[string]int{}
	q := question{}
	for i, raw := range append(slices.Collect(strings.Lines(string(data))), "") {
		text := strings.TrimSuffix(raw, "\n")
		if raw != "" {
			d.lines = append(d.lines, raw)
		}
		if text != "" {
			if field, value, ok := splitField(text); ok && field == "name" {
				if q.name != "" {
					return Debconf{}, fmt.Errorf("debconf database: line %d: second name %q in one stanza", i+1, value)
				}
				q.name = value
			}
			continue
		}
		if q.end = i; q.name != "" {
			if n, twice := seen[q.name]; twice {
				return Debconf{}, fmt.Errorf("debconf database: question %s: at line %d and again at line %d", q.name, n, q.start+1)
			}
			seen[q.name] = q.start + 1
			d.questions = append(d.questions, q)
		}
		q = question{start: i + 1}
	}
	return d, nil
}

// splitField reads "Field: value"; a line that begins with a blank belongs to Variables and is not a field.
func splitField(line string) (field, value string, ok bool) {
	field, value, ok = strings.Cut(line, ":")
	if !ok || field == "" || strings.TrimLeft(field, " \t") != field {
		return "", "", false
	}
	return strings.ToLower(field), strings.TrimPrefix(value, " "), true
}

// Bytes renders the database.
func (d Debconf) Bytes() []byte {
	var b bytes.Buffer
	for _, l := range d.lines {
		b.WriteString(l)
	}
	return b.Bytes()
}

// Value returns the answer to a question, and whether it has one.
func (d Debconf) Value(name string) (string, bool) {
	if i := d.find(name); i >= 0 {
		if l := d.line(d.questions[i], "value"); l >= 0 {
			_, value, _ := splitField(strings.TrimSuffix(d.lines[l], "\n"))
			return strings.ReplaceAll(value, `\n`, "\n"), true
		}
	}
	return "", false
}

// SetValue changes the answer to a question that is in the database, and leaves its other lines unchanged. It returns
// an error if the question is not there or the value cannot be written.
func (d *Debconf) SetValue(name, value string) error {
	i := d.find(name)
	if i < 0 {
		return fmt.Errorf("debconf question %s: not in the database of %d questions", name, len(d.questions))
	}
	if strings.Contains(value, `\n`) || strings.ContainsAny(value, "\r\x00") {
		return fmt.Errorf("debconf question %s: value %q cannot be written", name, value)
	}
	if old, ok := d.Value(name); ok && old == value {
		return nil
	}
	text := "Value: " + strings.ReplaceAll(value, "\n", `\n`) + "\n"
	q := d.questions[i]
	if l := d.line(q, "value"); l >= 0 {
		if !strings.HasSuffix(d.lines[l], "\n") {
			text = strings.TrimSuffix(text, "\n")
		}
		d.lines[l] = text
		return nil
	}
	// Debconf writes the fields in the order of their names, then Owners, Flags, Variables: Value comes after Template.
	at := max(d.line(q, "name"), d.line(q, "template")) + 1
	if !strings.HasSuffix(d.lines[at-1], "\n") {
		d.lines[at-1] += "\n"
	}
	d.lines = slices.Insert(d.lines, at, text)
	d.questions[i].end++
	for j := i + 1; j < len(d.questions); j++ {
		d.questions[j].start++
		d.questions[j].end++
	}
	return nil
}

func (d Debconf) find(name string) int {
	return slices.IndexFunc(d.questions, func(q question) bool { return q.name == name })
}

// line returns the index of a field's line in a stanza, the last one as debconf reads them, or -1.
func (d Debconf) line(q question, field string) int {
	for l := q.end - 1; l >= q.start; l-- {
		if f, _, ok := splitField(strings.TrimSuffix(d.lines[l], "\n")); ok && f == field {
			return l
		}
	}
	return -1
}

// JoinChoices returns the value of a multiselect question (grub-pc/install_devices) as debconf reads it: a comma and a
// blank separate choices, and a backslash escapes a comma inside a choice.
func JoinChoices(choices []string) string {
	out := make([]string, len(choices))
	for i, c := range choices {
		out[i] = strings.ReplaceAll(c, ",", `\,`)
	}
	return strings.Join(out, ", ")
}
