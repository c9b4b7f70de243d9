package conf

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"mvdan.cc/sh/v3/syntax"
)

// maxSize is how many bytes are parsed at most. The parser is recursive: a megabyte of brackets would overflow its
// stack and end the program. Settings files have a few kilobytes.
const maxSize = 32 << 10

// ErrDynamic means that the value of a variable is known only by running the file.
var ErrDynamic = errors.New("value depends on running the file")

// Get returns the value of a shell variable, unquoted; of several assignments the last counts. found is false if the
// file never assigns it. The error wraps [ErrDynamic] if the value cannot be known, and not if the file cannot be
// parsed.
func Get(data []byte, key string) (value string, found bool, err error) {
	a, err := last(data, key)
	if err != nil || a == nil {
		return "", false, err
	}
	return a.value, true, nil
}

// Set changes the last assignment of a shell variable, or adds KEY="value" at the end. It keeps the quotes of the
// assignment if they can hold the value. Like [Get], it returns an error if the meaning of the assignment is not known;
// it also refuses a value with a line ending or a NUL.
func Set(data []byte, key, value string) ([]byte, error) {
	if !validName(key) {
		return nil, fmt.Errorf("variable name %q: not a shell name", key)
	}
	if i := strings.IndexAny(value, "\n\r\x00"); i >= 0 {
		return nil, fmt.Errorf("variable %s: byte %q in its new value", key, value[i])
	}
	a, err := last(data, key)
	if err != nil {
		return nil, err
	}
	var out []byte
	switch {
	case a == nil:
		out = bytes.Clone(data)
		if n := len(out); n > 0 && out[n-1] != '\n' {
			out = append(out, '\n')
		}
		out = append(out, key+"="+quote(value, '"')+"\n"...)
	case a.value == value:
		return bytes.Clone(data), nil
	default:
		out = append(out, data[:a.start]...)
		out = append(out, quote(value, a.quote)...)
		out = append(out, data[a.end:]...)
	}
	// The result must have the new value; for example, an addition to a file that ends in a continued line would not
	// count.
	if got, _, err := Get(out, key); err != nil {
		return nil, fmt.Errorf("variable %s: new value %q cannot be read back: %w", key, value, err)
	} else if got != value {
		return nil, fmt.Errorf("variable %s: new value %q would read as %q", key, value, got)
	}
	return out, nil
}

// assignment is one KEY=word at the top level of the file: the byte range of the word, its value and its outer quote.
type assignment struct {
	start, end int
	line       uint
	value      string
	quote      byte // '"', '\'' or 0
}

// last finds the assignment that counts, or nil. It is an error if anything after it may also assign the variable.
func last(data []byte, key string) (*assignment, error) {
	if len(data) > maxSize {
		return nil, fmt.Errorf("settings file: %d bytes, more than the %d accepted", len(data), maxSize)
	}
	if i := bytes.IndexByte(data, 0); i >= 0 {
		return nil, fmt.Errorf("settings file: NUL byte at offset %d, not a text file", i)
	}
	text := plainUTF8(data)
	// Parse as bash, a superset: this recognizes export, += and $'', which sh and bash read differently and which are
	// refused.
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(bytes.NewReader(text), "")
	if err != nil {
		return nil, fmt.Errorf("settings file: not shell syntax: %w", err)
	}
	s := search{data: data, text: text, key: key}
	for _, stmt := range file.Stmts {
		s.statement(stmt)
	}
	return s.found, s.err
}

// plainUTF8 replaces each byte that is not valid UTF-8, at which the parser would stop, with a byte that has no meaning
// to the shell. An old comment in Latin-1 must not be an obstacle.
func plainUTF8(data []byte) []byte {
	if utf8.Valid(data) {
		return data
	}
	out := bytes.Clone(data)
	for i := 0; i < len(out); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			out[i] = 0x7f
		}
		i += n
	}
	return out
}

// search records what the statements so far do to the key: the assignment that counts, or why the value is unknown.
type search struct {
	data  []byte // the original file
	text  []byte // the text that was parsed
	key   string
	found *assignment
	err   error
}

func (s *search) statement(stmt *syntax.Stmt) {
	assigns := plain(stmt)
	if assigns == nil {
		s.doubt(stmt, true)
		return
	}
	for _, a := range assigns {
		s.doubt(a, false)
		if a.Name == nil || a.Name.Value != s.key || a.Naked {
			continue
		}
		value, quote, ok := literal(a.Value)
		if a.Append || a.Index != nil || a.Array != nil || !ok {
			s.unknown(a)
			continue
		}
		start, end := int(a.End().Offset()), int(a.End().Offset())
		if a.Value != nil {
			start, end = int(a.Value.Pos().Offset()), int(a.Value.End().Offset())
		}
		if start > end || end > len(s.data) || !s.faithful(int(a.Pos().Offset()), end) {
			s.unknown(a)
			continue
		}
		s.found, s.err = &assignment{start: start, end: end, line: a.Pos().Line(), value: value, quote: quote}, nil
	}
}

// faithful reports whether the parser saw these bytes as a shell does. The parser drops a carriage return, which for
// the shell is an ordinary character and belongs to the value.
func (s *search) faithful(start, end int) bool {
	around := s.data[max(0, start-1):min(len(s.data), end+1)]
	return bytes.IndexByte(around, '\r') < 0 && bytes.Equal(s.data[start:end], s.text[start:end])
}

// plain returns the assignments of a statement that does nothing else: A=b, or export A=b.
func plain(stmt *syntax.Stmt) []*syntax.Assign {
	if stmt.Negated || stmt.Background || stmt.Coprocess || len(stmt.Redirs) > 0 {
		return nil
	}
	switch c := stmt.Cmd.(type) {
	case *syntax.CallExpr:
		if len(c.Args) == 0 {
			return c.Assigns
		}
	case *syntax.DeclClause:
		if c.Variant.Value == "export" || c.Variant.Value == "readonly" {
			return c.Args
		}
	}
	return nil
}

// doubt marks the key as unknown if the node may assign it in a way that search does not follow.
func (s *search) doubt(node syntax.Node, commands bool) {
	syntax.Walk(node, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Assign:
			// The outermost one is the caller's own.
			if n != node && n.Name != nil && n.Name.Value == s.key && !n.Naked {
				s.unknown(n)
			}
		case *syntax.ParamExp:
			if n.Param != nil && n.Param.Value == s.key && n.Exp != nil &&
				(n.Exp.Op == syntax.AssignUnset || n.Exp.Op == syntax.AssignUnsetOrNull) {
				s.unknown(n)
			}
		case *syntax.BinaryArithm:
			if v, _, _ := arithmName(n.X); v == s.key && assigns(n.Op.String()) {
				s.unknown(n)
			}
		case *syntax.UnaryArithm:
			if v, _, _ := arithmName(n.X); v == s.key && (n.Op == syntax.Inc || n.Op == syntax.Dec) {
				s.unknown(n)
			}
		case *syntax.WordIter:
			if n.Name != nil && n.Name.Value == s.key {
				s.unknown(n)
			}
		case *syntax.CallExpr:
			if commands && len(n.Args) > 0 && s.command(n.Args) {
				s.unknown(n)
			}
		}
		return true
	})
}

func arithmName(x syntax.ArithmExpr) (string, byte, bool) {
	if w, ok := x.(*syntax.Word); ok {
		return literal(w)
	}
	return "", 0, false
}

// assigns reports whether an arithmetic operator is = or one of +=, <<= and the like.
func assigns(op string) bool {
	return strings.HasSuffix(op, "=") && op != "==" && op != "!=" && op != "<=" && op != ">="
}

// command reports whether a command may assign the key: it reads in other text, or has the key as an argument.
func (s *search) command(args []*syntax.Word) bool {
	name, _, ok := literal(args[0])
	if !ok {
		return true
	}
	switch name {
	case ".", "source", "eval":
		return true
	case "command", "builtin":
		return len(args) > 1 && s.command(args[1:])
	case "unset", "read", "getopts", "printf", "mapfile", "readarray", "let":
		for _, w := range args[1:] {
			if v, _, ok := literal(w); !ok || v == s.key {
				return true
			}
		}
	}
	return false
}

func (s *search) unknown(n syntax.Node) {
	text := ""
	if a, b := int(n.Pos().Offset()), int(n.End().Offset()); a <= b && b <= len(s.data) {
		text = string(s.data[a:min(b, a+120)])
	}
	s.found, s.err = nil, fmt.Errorf("variable %s: line %d: %q: %w", s.key, n.Pos().Line(), text, ErrDynamic)
}

// literal returns the value of a word without expansions, and the quote around all of it.
func literal(w *syntax.Word) (value string, quote byte, ok bool) {
	if w == nil {
		return "", 0, true
	}
	var b strings.Builder
	for i, part := range w.Parts {
		switch p := part.(type) {
		case *syntax.Lit:
			if i == 0 && strings.HasPrefix(p.Value, "~") || strings.Contains(p.Value, ":~") {
				return "", 0, false // a home directory
			}
			b.WriteString(unescape(p.Value, ""))
		case *syntax.SglQuoted:
			if p.Dollar {
				return "", 0, false
			}
			b.WriteString(p.Value)
		case *syntax.DblQuoted:
			if p.Dollar {
				return "", 0, false
			}
			for _, inner := range p.Parts {
				l, isLit := inner.(*syntax.Lit)
				if !isLit {
					return "", 0, false
				}
				b.WriteString(unescape(l.Value, "$`\"\\\n"))
			}
		default:
			return "", 0, false
		}
	}
	if len(w.Parts) == 1 {
		switch w.Parts[0].(type) {
		case *syntax.SglQuoted:
			quote = '\''
		case *syntax.DblQuoted:
			quote = '"'
		}
	}
	return b.String(), quote, true
}

// unescape removes backslashes; inside double quotes, only those before a byte of special.
func unescape(s, special string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && (special == "" || strings.IndexByte(special, s[i+1]) >= 0) {
			i++
			if s[i] == '\n' {
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// quote quotes a value with q if possible, and otherwise with double quotes; with q 0 a safe value stays bare.
func quote(v string, q byte) string {
	switch {
	case q == 0 && v != "" && strings.Trim(v, bareBytes) == "":
		return v
	case q == '\'' && !strings.Contains(v, "'"):
		return "'" + v + "'"
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`").Replace(v) + `"`
}

const bareBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+./:,@%="

func validName(s string) bool {
	return s != "" && (s[0] < '0' || s[0] > '9') &&
		strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}
