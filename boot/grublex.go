package boot

import (
	"fmt"
	"strings"
)

// grubWord is one word of GRUB's script language: quotes removed, variables kept as ${name}.
type grubWord struct {
	text   string
	vars   bool // text contains variables
	quoted bool // a part of it was in quotes
	line   int
}

// grubToken is a word, or an operator (op != 0): '\n' and ';' end a command, '{' and '}' enclose one, others separate.
type grubToken struct {
	op   byte
	word grubWord
}

// grubLex splits a script into tokens by the rules of grub-core/script/yylex.l.
func grubLex(data string) ([]grubToken, error) {
	l := grubLexer{in: data, line: 1}
	var out []grubToken
	for l.at < len(l.in) {
		switch c := l.in[l.at]; {
		case c == ' ' || c == '\t' || c == '\r':
			l.at++
		case c == '#':
			for l.at < len(l.in) && l.in[l.at] != '\n' {
				l.at++
			}
		case strings.IndexByte("\n;{}|&<>", c) >= 0:
			out = append(out, grubToken{op: c, word: grubWord{line: l.line}})
			l.next()
		default:
			w, err := l.word()
			if err != nil {
				return nil, err
			}
			// A line continuation between two words is not a word.
			if w.text != "" || w.quoted {
				out = append(out, grubToken{word: w})
			}
		}
	}
	return out, nil
}

type grubLexer struct {
	in   string
	at   int
	line int
}

func (l *grubLexer) next() byte {
	c := l.in[l.at]
	l.at++
	if c == '\n' {
		l.line++
	}
	return c
}

func (l *grubLexer) word() (grubWord, error) {
	w := grubWord{line: l.line}
	var b strings.Builder
	for l.at < len(l.in) {
		c := l.in[l.at]
		if strings.IndexByte(" \t\r\n;{}|&<>", c) >= 0 {
			break
		}
		l.next()
		switch c {
		case '\\':
			if l.at < len(l.in) {
				if e := l.next(); e != '\n' {
					b.WriteByte(e)
				}
			}
		case '\'':
			w.quoted = true
			end := strings.IndexByte(l.in[l.at:], '\'')
			if end < 0 {
				return w, fmt.Errorf("grub script: line %d: single quote without end", w.line)
			}
			text := l.in[l.at : l.at+end]
			b.WriteString(text)
			l.line += strings.Count(text, "\n")
			l.at += end + 1
		case '"':
			w.quoted = true
			if err := l.doubleQuoted(&b, &w); err != nil {
				return w, err
			}
		case '$':
			// $"..." is a text for translation.
			if l.at == len(l.in) || l.in[l.at] != '"' {
				w.vars = l.variable(&b) || w.vars
			}
		default:
			b.WriteByte(c)
		}
	}
	w.text = b.String()
	return w, nil
}

func (l *grubLexer) doubleQuoted(b *strings.Builder, w *grubWord) error {
	for l.at < len(l.in) {
		switch c := l.next(); {
		case c == '"':
			return nil
		case c == '\\' && l.at < len(l.in) && strings.IndexByte("$\\\"\n", l.in[l.at]) >= 0:
			if e := l.next(); e != '\n' {
				b.WriteByte(e)
			}
		case c == '$':
			w.vars = l.variable(b) || w.vars
		default:
			b.WriteByte(c)
		}
	}
	return fmt.Errorf("grub script: line %d: double quote without end", w.line)
}

// variable reads what follows a dollar sign and writes it as ${name}; a dollar sign alone stands for itself.
func (l *grubLexer) variable(b *strings.Builder) bool {
	rest := l.in[l.at:]
	braced := strings.HasPrefix(rest, "{")
	if braced {
		rest = rest[1:]
	}
	n := 0
	for n < len(rest) && isNameByte(rest[n]) {
		n++
	}
	if n == 0 && rest != "" && strings.IndexByte("?#*@", rest[0]) >= 0 {
		n = 1
	}
	if n == 0 || braced && (n == len(rest) || rest[n] != '}') {
		b.WriteByte('$')
		return false
	}
	b.WriteString("${" + rest[:n] + "}")
	l.at += n
	if braced {
		l.at += 2
	}
	return true
}

func isNameByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
