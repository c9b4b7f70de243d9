package boot

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// grubenvSize is the size of an environment block in bytes; GRUB writes it in place, sector by sector.
const grubenvSize = 1024

const grubenvMagic = "# GRUB Environment Block\n"

// ErrGrubenvFull means that a variable does not fit into the block.
var ErrGrubenvFull = errors.New("no room")

// Grubenv is GRUB's environment block (grub-core/lib/envblk.c): a signature line, comments, lines name=value, and '#'
// up to the end. In a value, a backslash escapes the next byte. The zero Grubenv is an empty block.
type Grubenv struct{ block []byte }

// NewGrubenv returns an empty block of 1024 bytes.
func NewGrubenv() Grubenv {
	g := Grubenv{block: bytes.Repeat([]byte{'#'}, grubenvSize)}
	copy(g.block, grubenvMagic)
	return g
}

// ParseGrubenv reads a block of exactly 1024 bytes.
func ParseGrubenv(data []byte) (Grubenv, error) {
	if len(data) != grubenvSize {
		return Grubenv{}, fmt.Errorf("grubenv: %d bytes, %d expected", len(data), grubenvSize)
	}
	if !bytes.HasPrefix(data, []byte(grubenvMagic)) {
		return Grubenv{}, fmt.Errorf("grubenv: signature %q, %q expected", data[:len(grubenvMagic)], grubenvMagic)
	}
	g := Grubenv{block: bytes.Clone(data)}
	for _, l := range g.lines() {
		text := clip(string(g.body()[l.start:l.end]))
		switch {
		case l.open:
			return Grubenv{}, fmt.Errorf("grubenv: last line %q has no line ending", text)
		case !l.variable && !l.comment:
			// GRUB continues to the next '=', and so loses the variable on the following line.
			return Grubenv{}, fmt.Errorf("grubenv: line %q: name=value or a comment expected", text)
		}
	}
	return g, nil
}

// body returns the part between signature and padding.
func (g Grubenv) body() []byte {
	if g.block == nil {
		return nil
	}
	end := len(g.block)
	for end > len(grubenvMagic) && g.block[end-1] == '#' {
		end--
	}
	return g.block[len(grubenvMagic):end]
}

// envLine is one line of the body, with a byte range that includes its line ending.
type envLine struct {
	start, end int
	name       string
	value      string // unescaped
	variable   bool
	comment    bool
	open       bool // no line ending
}

func (g Grubenv) lines() []envLine {
	body := g.body()
	var out []envLine
	for i := 0; i < len(body); {
		l := envLine{start: i, comment: body[i] == '#'}
		eq := -1
		var value []byte
		for i < len(body) && body[i] != '\n' {
			// A name has no escapes; comments and values have.
			if eq < 0 && !l.comment {
				if body[i] == '=' {
					eq = i
				}
				i++
				continue
			}
			if body[i] == '\\' {
				if i++; i == len(body) {
					break
				}
			}
			value = append(value, body[i])
			i++
		}
		l.open = i == len(body)
		i = min(i+1, len(body))
		l.end = i
		if eq > l.start {
			l.name, l.value, l.variable = string(body[l.start:eq]), string(value), true
		}
		out = append(out, l)
	}
	return out
}

// Get returns a variable's value; of two lines with one name the last counts, as for load_env.
func (g Grubenv) Get(name string) (value string, found bool) {
	for _, l := range g.lines() {
		if l.variable && l.name == name {
			value, found = l.value, true
		}
	}
	return value, found
}

// List returns all variables as NAME=VALUE.
func (g Grubenv) List() []string {
	var out []string
	for _, l := range g.lines() {
		if l.variable {
			out = append(out, l.name+"="+l.value)
		}
	}
	return out
}

// Keys returns the names in the order of the block.
func (g Grubenv) Keys() []string {
	var out []string
	for _, l := range g.lines() {
		if l.variable {
			out = append(out, l.name)
		}
	}
	return out
}

// Set changes a variable in place, or adds it behind the others. Of several lines with the name it keeps one, because
// GRUB's save_env would change the first and its load_env use the last. If Set returns an error, the block is
// unchanged; the error wraps [ErrGrubenvFull] if the block is too small.
func (g *Grubenv) Set(name, value string) error {
	if err := checkVariable(name, value); err != nil {
		return fmt.Errorf("grubenv: %w", err)
	}
	line := name + "=" + strings.NewReplacer(`\`, `\\`, "\n", "\\\n").Replace(value) + "\n"
	next, found := Grubenv{block: g.block}, false
	start, end := len(g.body()), len(g.body())
	for _, l := range slices.Backward(g.lines()) {
		if !l.variable || l.name != name {
			continue
		}
		if found {
			// Less text always fits, and what is before it stays where it was.
			_ = next.splice(start, end, "", name)
		}
		start, end, found = l.start, l.end, true
	}
	if err := next.splice(start, end, line, name); err != nil {
		return err
	}
	*g = next
	return nil
}

// Unset removes every line of a variable.
func (g *Grubenv) Unset(name string) {
	l := g.lines()
	for i := len(l) - 1; i >= 0; i-- {
		if l[i].variable && l[i].name == name {
			// Less text always fits.
			_ = g.splice(l[i].start, l[i].end, "", name)
		}
	}
}

func (g *Grubenv) splice(start, end int, text, name string) error {
	if g.block == nil {
		*g = NewGrubenv()
	}
	body := g.body()
	room := len(g.block) - len(grubenvMagic)
	if n := len(body) - (end - start) + len(text); n > room {
		return fmt.Errorf("grubenv: variable %s: %w: %d bytes would be used of %d", name, ErrGrubenvFull, n, room)
	}
	next := bytes.Repeat([]byte{'#'}, len(g.block))
	w := copy(next, grubenvMagic)
	w += copy(next[w:], body[:start])
	w += copy(next[w:], text)
	copy(next[w:], body[end:])
	g.block = next
	return nil
}

// Bytes returns the block of 1024 bytes, to be written in place over the old one.
func (g Grubenv) Bytes() []byte {
	if g.block == nil {
		return NewGrubenv().block
	}
	return bytes.Clone(g.block)
}

// checkVariable refuses a variable that GRUB would read differently.
func checkVariable(name, value string) error {
	for i, c := range []byte(name) {
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return fmt.Errorf("variable name %q: byte %q not allowed", clip(name), c)
		}
	}
	if name == "" {
		return errors.New("variable name: empty")
	}
	if strings.IndexByte(value, 0) >= 0 {
		return fmt.Errorf("variable %s: NUL byte in its value", name)
	}
	return nil
}

// clip shortens a quoted text in an error.
func clip(s string) string {
	if len(s) > 160 {
		return s[:160] + "…"
	}
	return s
}
