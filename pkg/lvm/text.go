package lvm

import "fmt"

// Limits of a text. A text by LVM has a depth of 5, and about 15 values for each logical volume.
const (
	maxDepth = 16
	maxItems = 1 << 19
)

// section is a node of LVM's configuration text: NAME { ... }, or the whole text.
type section struct {
	name     string
	line     int
	values   map[string]value
	sections []*section // in the order of the text
}

// value is what follows NAME =: one item, or a list of items in brackets.
type value struct {
	line  int
	list  bool
	items []item
}

// item is a string, an integer or a floating-point number.
type item struct {
	kind  kind
	text  string
	whole int64
	real  float64
}

type kind int

const (
	text kind = iota
	whole
	real
)

// SyntaxError says where a text is not LVM's configuration text, or not metadata.
type SyntaxError struct {
	Line   int // from 1
	Detail string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Detail) }

// parser reads a text as libdm-config.c does, but more strictly: no duplicate names, no quoted names, no paths in
// names, no unquoted values other than plain words, and every string must have an end.
type parser struct {
	b    []byte
	i    int
	line int
	left int // items that may still follow
}

// parseText reads a whole text. On disk a text may end with NULs.
func parseText(b []byte) (*section, error) {
	if len(b) > maxText {
		return nil, &SyntaxError{1, fmt.Sprintf("%d bytes are more than the %d accepted", len(b), maxText)}
	}
	for len(b) > 0 && b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	p := &parser{b: b, line: 1, left: maxItems}
	root := &section{line: 1}
	if err := p.body(root, 0); err != nil {
		return nil, err
	}
	return root, nil
}

func (p *parser) fail(format string, args ...any) error {
	return &SyntaxError{p.line, fmt.Sprintf(format, args...)}
}

// count subtracts one from the number of items that may still follow.
func (p *parser) count() error {
	if p.left--; p.left < 0 {
		return p.fail("more than %d sections and values", maxItems)
	}
	return nil
}

// body reads the contents of a section and the brace that ends it; at depth 0 the end of the text ends it.
func (p *parser) body(s *section, depth int) error {
	seen := map[string]bool{}
	for {
		c, ok := p.next()
		switch {
		case !ok && depth == 0:
			return nil
		case !ok:
			return p.fail("section %s, which begins in line %d, has no end", s.name, s.line)
		case c == '}' && depth > 0:
			p.i++
			return nil
		}
		name := p.name()
		if name == "" {
			return p.fail("%q where a name is expected", c)
		}
		if seen[name] {
			return p.fail("%s occurs twice", name)
		}
		seen[name] = true
		if err := p.count(); err != nil {
			return err
		}
		if err := p.entry(s, name, depth); err != nil {
			return err
		}
	}
}

// entry reads what follows a name: a section or a value.
func (p *parser) entry(s *section, name string, depth int) error {
	c, _ := p.next()
	line := p.line
	switch c {
	case '{':
		if depth == maxDepth {
			return p.fail("sections are nested deeper than %d", maxDepth)
		}
		p.i++
		sub := &section{name: name, line: line}
		s.sections = append(s.sections, sub)
		return p.body(sub, depth+1)
	case '=':
		p.i++
		v, err := p.value(name)
		if err != nil {
			return err
		}
		if s.values == nil {
			s.values = map[string]value{}
		}
		s.values[name] = v
		return nil
	}
	return p.fail("neither { nor = after %s", name)
}

func (p *parser) value(name string) (value, error) {
	c, _ := p.next()
	v := value{line: p.line}
	if c != '[' {
		it, err := p.item(name)
		v.items = []item{it}
		return v, err
	}
	v.list = true
	p.i++
	for {
		c, ok := p.next()
		if ok && c == ']' {
			p.i++
			return v, nil
		}
		it, err := p.item(name)
		if err != nil {
			return v, err
		}
		v.items = append(v.items, it)
		switch c, _ := p.next(); c {
		case ',':
			p.i++
		case ']':
		default:
			return v, p.fail("neither , nor ] in the list of %s", name)
		}
	}
}
