package kmod

import (
	"path"
	"strings"
)

// Name returns the canonical name of a module from its name or the path of its file: without
// directory and without the suffix .ko, .ko.gz, .ko.xz or .ko.zst, and with '_' for '-'.
func Name(s string) string {
	s = path.Base(s)
	for _, suffix := range []string{".ko", ".ko.gz", ".ko.xz", ".ko.zst"} {
		if base, ok := strings.CutSuffix(s, suffix); ok {
			s = base
			break
		}
	}
	return strings.ReplaceAll(s, "-", "_")
}

// normalAlias replaces '-' with '_', except inside brackets, where it denotes a range.
func normalAlias(s string) string {
	if !strings.Contains(s, "-") {
		return s
	}
	b := []byte(s)
	bracket := false
	for i, c := range b {
		switch {
		case c == '[':
			bracket = true
		case c == ']':
			bracket = false
		case c == '-' && !bracket:
			b[i] = '_'
		}
	}
	return string(b)
}

// match reports whether a modalias matches a pattern of modules.alias, like fnmatch(3)
// without flags: '*', '?', '[a-f]', '[!x]' and '\' before a literal. A bracket that
// does not close is a literal.
func match(pattern, alias string) bool {
	p, s := 0, 0
	star, mark := -1, 0
	for s < len(alias) || p < len(pattern) {
		if p < len(pattern) && pattern[p] == '*' {
			star, mark = p, s
			p++
			continue
		}
		if p < len(pattern) && s < len(alias) {
			if n, ok := matchOne(pattern[p:], alias[s]); ok {
				p += n
				s++
				continue
			}
		}
		// Only the last star needs another try: it can match what earlier ones could.
		if star < 0 || mark >= len(alias) {
			return false
		}
		mark++
		p, s = star+1, mark
	}
	return true
}

// matchOne compares one byte with the first element of a pattern, which is not '*', and returns the length of
// that element.
func matchOne(pattern string, c byte) (int, bool) {
	switch pattern[0] {
	case '?':
		return 1, true
	case '\\':
		if len(pattern) > 1 {
			return 2, pattern[1] == c
		}
	case '[':
		if n, ok, closed := matchSet(pattern, c); closed {
			return n, ok
		}
	}
	return 1, pattern[0] == c
}

func matchSet(pattern string, c byte) (n int, ok, closed bool) {
	i := 1
	negate := i < len(pattern) && (pattern[i] == '!' || pattern[i] == '^')
	if negate {
		i++
	}
	for first := true; i < len(pattern); first = false {
		if pattern[i] == ']' && !first {
			return i + 1, ok != negate, true
		}
		lo := pattern[i]
		hi := lo
		if i+2 < len(pattern) && pattern[i+1] == '-' && pattern[i+2] != ']' {
			hi = pattern[i+2]
			i += 2
		}
		i++
		ok = ok || lo <= c && c <= hi
	}
	return 0, false, false
}
