package fstab

import (
	"fmt"
	"strconv"
	"strings"
)

// The fields of fstab(5), by position.
const (
	fieldSpec = iota
	fieldFile
	fieldType
	fieldOptions
	fieldFreq
	fieldPassno
	fstabFields
)

// File is a parsed fstab. The zero File is empty.
type File struct{ t table }

// Entry is one line that names a mount or a swap area.
type Entry struct {
	Line    int    // line number from 1: the handle for changes
	Spec    Spec   // what is mounted
	File    string // mount point, unescaped; "none" or "swap" for swap
	VFSType string
	Options Options
	Freq    int    // 0 when absent or not a number
	Passno  int    // 0 when absent or not a number
	Raw     string // the whole line without its line ending
}

// Malformed is a line that is neither blank nor a comment nor a valid entry.
type Malformed struct {
	Line   int
	Raw    string
	Reason string
}

// Parse reads an fstab. It fails only on data that cannot be a text file (a NUL byte, more than 4 MiB); Malformed lists
// the lines that mount(8) could not use.
func Parse(data []byte) (File, error) {
	t, err := parseTable("fstab", data, fstabFields)
	return File{t}, err
}

// Bytes renders the file.
func (f File) Bytes() []byte { return f.t.bytes() }

// Entries returns the entries in the order of the file.
func (f File) Entries() []Entry {
	var out []Entry
	for i, r := range f.t.rows {
		if len(r.fields) > fieldType {
			out = append(out, newEntry(i+1, r))
		}
	}
	return out
}

func newEntry(line int, r row) Entry {
	freq, _ := strconv.Atoi(r.field(fieldFreq))
	pass, _ := strconv.Atoi(r.field(fieldPassno))
	return Entry{
		Line: line, Spec: ParseSpec(r.field(fieldSpec)), File: Unescape(r.field(fieldFile)),
		VFSType: Unescape(r.field(fieldType)), Options: Options(Unescape(r.field(fieldOptions))),
		Freq: freq, Passno: pass, Raw: strings.TrimRight(r.raw, "\r\n"),
	}
}

// Malformed returns the lines that have only one or two fields, or something other than numbers behind the options.
// mount(8) skips such a line (mnt_parse_table_line in libmount), getmntent(3) reads zeros. A comment is allowed only at
// the beginning of a line or behind all six fields.
func (f File) Malformed() []Malformed {
	var out []Malformed
	for i, r := range f.t.rows {
		n := len(r.fields)
		bad := func(format string, a ...any) {
			out = append(out, Malformed{i + 1, strings.TrimRight(r.raw, "\r\n"), fmt.Sprintf(format, a...)})
		}
		if n > 0 && n <= fieldType {
			bad("%d fields, at least 3 expected", n)
			continue
		}
		if s := r.field(fieldOptions); strings.HasPrefix(s, "#") {
			bad("field %d is %q, options expected", fieldOptions+1, clip(s))
			continue
		}
		for _, k := range []int{fieldFreq, fieldPassno} {
			if s := r.field(k); s == "" {
				break
			} else if _, err := strconv.ParseInt(s, 10, 32); err != nil {
				bad("field %d is %q, a number expected", k+1, clip(s))
				break
			}
		}
	}
	return out
}

// SetSpec changes what a line mounts. If spec has no quotes but the old one had quotes around the value of its tag,
// SetSpec keeps them.
func (f *File) SetSpec(line int, spec Spec) error {
	r, err := f.t.row(line)
	if err != nil {
		return fmt.Errorf("fstab: %w", err)
	}
	if old := ParseSpec(r.field(fieldSpec)); spec.Quote == 0 && tagOf(spec.Kind) != "" {
		spec.Quote = old.Quote
	}
	return f.set(line, fieldSpec, spec.String())
}

// SetType replaces the type of an entry.
func (f *File) SetType(line int, typ string) error { return f.set(line, 2, typ) }

// SetOptions changes the options of a line; it writes "defaults" for an empty list. It adds the field to a line that
// ends after the filesystem type.
func (f *File) SetOptions(line int, o Options) error {
	if o == "" {
		o = "defaults"
	}
	r, err := f.t.row(line)
	if err != nil {
		return fmt.Errorf("fstab: %w", err)
	}
	if len(r.fields) != fieldOptions {
		return f.set(line, fieldOptions, escape(string(o)))
	}
	text := escape(string(o))
	at := r.fields[fieldType].end
	*r = newRow(r.raw[:at]+" "+text+r.raw[at:], fstabFields)
	return nil
}

func (f *File) set(line, field int, text string) error {
	if err := f.t.set(line, field, text); err != nil {
		return fmt.Errorf("fstab: %w", err)
	}
	return nil
}

// Remove removes a line from the file.
func (f *File) Remove(line int) error {
	if err := f.t.remove(line); err != nil {
		return fmt.Errorf("fstab: %w", err)
	}
	return nil
}

// CommentOut turns a line into a comment, below a comment line with the reason (one line; empty for none).
func (f *File) CommentOut(line int, reason string) error {
	if err := f.t.commentOut(line, reason); err != nil {
		return fmt.Errorf("fstab: %w", err)
	}
	return nil
}

// Append adds an entry at the end and returns its line number. It ignores Line and Raw of e.
func (f *File) Append(e Entry) (int, error) {
	if f.t.max == 0 {
		f.t.max = fstabFields
	}
	o := string(e.Options)
	if o == "" {
		o = "defaults"
	}
	line, err := f.t.append(e.Spec.String(), escape(e.File), escape(e.VFSType), escape(o), strconv.Itoa(e.Freq), strconv.Itoa(e.Passno))
	if err != nil {
		return 0, fmt.Errorf("fstab: new entry: %w", err)
	}
	return line, nil
}
