package lvm

import (
	"bytes"
	"strconv"
)

// next skips blanks and comments, and returns the byte at which it stops; ok is false at the end.
func (p *parser) next() (c byte, ok bool) {
	for p.i < len(p.b) {
		switch c := p.b[p.i]; c {
		case '\n':
			p.line++
		case ' ', '\t', '\v', '\f', '\r':
		case '#':
			n := bytes.IndexByte(p.b[p.i:], '\n')
			if n < 0 {
				p.i = len(p.b)
				return 0, false
			}
			p.i += n
			continue
		default:
			return c, true
		}
		p.i++
	}
	return 0, false
}

// name reads a name, or "" if there is none.
func (p *parser) name() string {
	from := p.i
	for p.i < len(p.b) && nameByte(p.b[p.i]) {
		p.i++
	}
	return string(p.b[from:p.i])
}

// item reads one item of the value called name.
func (p *parser) item(name string) (item, error) {
	c, ok := p.next()
	if err := p.count(); err != nil {
		return item{}, err
	}
	switch {
	case !ok:
		return item{}, p.fail("the text ends in the value of %s", name)
	case c == '"' || c == '\'':
		s, err := p.quoted(c)
		return item{kind: text, text: s}, err
	case digit(c) || c == '+' || c == '-' || c == '.':
		return p.number(name)
	case letter(c): // LVM writes the write_policy of a VDO pool without quotes
		return item{kind: text, text: p.name()}, nil
	}
	return item{}, p.fail("%q where the value of %s is expected", c, name)
}

// quoted reads a string. In double quotes a backslash escapes a quote and itself; before anything else, and in single
// quotes, it is an ordinary character.
func (p *parser) quoted(quote byte) (string, error) {
	var out []byte
	from := p.line
	for i := p.i + 1; i < len(p.b); i++ {
		c := p.b[i]
		switch {
		case c == quote:
			p.i = i + 1
			return string(out), nil
		case c == 0:
			return "", p.fail("a string with a NUL")
		case c == '\n':
			p.line++
		case c == '\\' && quote == '"' && i+1 < len(p.b) && (p.b[i+1] == '"' || p.b[i+1] == '\\'):
			i++
			c = p.b[i]
		}
		out = append(out, c)
	}
	p.line = from
	return "", p.fail("a string without an end")
}

// number reads [+-]digits, octal after a leading 0 as in strtoll, or digits with a point.
func (p *parser) number(name string) (item, error) {
	from, point := p.i, p.b[p.i] == '.'
	for p.i++; p.i < len(p.b); p.i++ {
		if c := p.b[p.i]; c == '.' && !point {
			point = true
		} else if !digit(c) {
			break
		}
	}
	s := string(p.b[from:p.i])
	if point {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return item{}, p.fail("%s = %.40s: not a number", name, s)
		}
		return item{kind: real, real: f}, nil
	}
	base := 10
	if d := bytes.TrimLeft(p.b[from:p.i], "+-"); len(d) > 1 && d[0] == '0' {
		base = 8
	}
	n, err := strconv.ParseInt(s, base, 64)
	switch {
	case err == nil:
	case name == "creation_time":
		n = 0 // 32-bit builds before 2.02.169 wrote garbage here, which LVM ignores
	default:
		return item{}, p.fail("%s = %.40s: not an integer of 64 bits", name, s)
	}
	return item{kind: whole, whole: n}, nil
}
