package fstab

import (
	"fmt"
	"strings"
)

const (
	cryptName = iota
	cryptSource
	cryptKey
	cryptOptions
	crypttabFields
)

// Crypttab is a parsed crypttab, which changes by the same rules as a [File].
type Crypttab struct{ t table }

// CryptEntry is one mapping of crypttab(5).
type CryptEntry struct {
	Line    int     // line number from 1: the handle for changes
	Name    string  // of the mapping, as in /dev/mapper
	Source  Spec    // the encrypted device
	Key     string  // key file; "none", "-" or "" asks for a passphrase
	Options Options // luks, discard, initramfs, nofail ...
	Raw     string
}

// ParseCrypttab reads a crypttab. It fails in the same cases as [Parse].
func ParseCrypttab(data []byte) (Crypttab, error) {
	t, err := parseTable("crypttab", data, crypttabFields)
	return Crypttab{t}, err
}

// Bytes renders the file.
func (c Crypttab) Bytes() []byte { return c.t.bytes() }

// Entries returns the mappings in the order of the file.
func (c Crypttab) Entries() []CryptEntry {
	var out []CryptEntry
	for i, r := range c.t.rows {
		if len(r.fields) > cryptSource {
			out = append(out, CryptEntry{
				Line: i + 1, Name: Unescape(r.field(cryptName)), Source: ParseSpec(r.field(cryptSource)),
				Key: Unescape(r.field(cryptKey)), Options: Options(Unescape(r.field(cryptOptions))), Raw: strings.TrimRight(r.raw, "\r\n"),
			})
		}
	}
	return out
}

// Malformed returns the lines that name a mapping but no device.
func (c Crypttab) Malformed() []Malformed {
	var out []Malformed
	for i, r := range c.t.rows {
		if len(r.fields) == 1 {
			out = append(out, Malformed{i + 1, strings.TrimRight(r.raw, "\r\n"), "1 field, at least 2 expected"})
		}
	}
	return out
}

// SetSource changes the encrypted device of a line; it keeps the quotes of the old one as [File.SetSpec] does.
func (c *Crypttab) SetSource(line int, source Spec) error {
	r, err := c.t.row(line)
	if err != nil {
		return fmt.Errorf("crypttab: %w", err)
	}
	if old := ParseSpec(r.field(cryptSource)); source.Quote == 0 && tagOf(source.Kind) != "" {
		source.Quote = old.Quote
	}
	return c.set(line, cryptSource, source.String())
}

// SetOptions changes the options of a line that has options; o must not be empty.
func (c *Crypttab) SetOptions(line int, o Options) error {
	return c.set(line, cryptOptions, escape(string(o)))
}

func (c *Crypttab) set(line, field int, text string) error {
	if err := c.t.set(line, field, text); err != nil {
		return fmt.Errorf("crypttab: %w", err)
	}
	return nil
}

// Remove removes a line from the file.
func (c *Crypttab) Remove(line int) error {
	if err := c.t.remove(line); err != nil {
		return fmt.Errorf("crypttab: %w", err)
	}
	return nil
}

// CommentOut turns a line into a comment, below a comment line with the reason.
func (c *Crypttab) CommentOut(line int, reason string) error {
	if err := c.t.commentOut(line, reason); err != nil {
		return fmt.Errorf("crypttab: %w", err)
	}
	return nil
}

// Append adds a mapping at the end and returns its line number; an empty Key is "none", empty Options "luks".
func (c *Crypttab) Append(e CryptEntry) (int, error) {
	if c.t.max == 0 {
		c.t.max = crypttabFields
	}
	if e.Key == "" {
		e.Key = "none"
	}
	if e.Options == "" {
		e.Options = "luks"
	}
	line, err := c.t.append(escape(e.Name), e.Source.String(), escape(e.Key), escape(string(e.Options)))
	if err != nil {
		return 0, fmt.Errorf("crypttab: new entry: %w", err)
	}
	return line, nil
}
