package md

import "strings"

// fnmatch matches a path as fnmatch(3) does with FNM_PATHNAME in the C locale: no wildcard matches a slash, '!' or '^'
// negates a bracket, a backslash quotes the next character, and a bracket that does not end is an ordinary character.
func fnmatch(pattern, name string) bool {
	for pattern != "" {
		switch c := pattern[0]; {
		case c == '*':
			rest := strings.TrimLeft(pattern, "*")
			for i := 0; ; i++ {
				if fnmatch(rest, name[i:]) {
					return true
				}
				if i == len(name) || name[i] == '/' {
					return false
				}
			}
		case name == "":
			return false
		case c == '?':
			if name[0] == '/' {
				return false
			}
			pattern = pattern[1:]
		case c == '[':
			in, rest, ok := bracket(pattern, name[0])
			if !ok && name[0] != '[' || ok && (!in || name[0] == '/') {
				return false
			}
			if !ok {
				rest = pattern[1:]
			}
			pattern = rest
		default:
			if c == '\\' && len(pattern) > 1 {
				pattern = pattern[1:]
			}
			if pattern[0] != name[0] {
				return false
			}
			pattern = pattern[1:]
		}
		name = name[1:]
	}
	return name == ""
}

// bracket reads the bracket expression that begins a pattern and reports whether c is in it. ok is false if the bracket
// does not end, or does not end before a slash.
func bracket(pattern string, c byte) (in bool, rest string, ok bool) {
	i, not := 1, false
	if i < len(pattern) && (pattern[i] == '!' || pattern[i] == '^') {
		i, not = i+1, true
	}
	for first := i; i < len(pattern); {
		if pattern[i] == ']' && i > first {
			return in != not, pattern[i+1:], true
		}
		if class, n := classIn(pattern[i:]); n > 0 {
			member, known := isClass(class, c)
			if !known {
				return false, "", true // such a pattern matches nothing
			}
			in = in || member
			i += n
			continue
		}
		low, n := literalIn(pattern[i:])
		if n == 0 {
			return false, "", false
		}
		i += n
		high := low
		if i+1 < len(pattern) && pattern[i] == '-' && pattern[i+1] != ']' {
			if high, n = literalIn(pattern[i+1:]); n == 0 {
				return false, "", false
			}
			i += 1 + n
		}
		in = in || low <= c && c <= high
	}
	return false, "", false
}

func literalIn(s string) (c byte, n int) {
	switch {
	case s == "" || s[0] == '/':
		return 0, 0
	case s[0] == '\\' && len(s) > 1:
		return s[1], 2
	}
	return s[0], 1
}

func classIn(s string) (class string, n int) {
	if !strings.HasPrefix(s, "[:") {
		return "", 0
	}
	end := strings.Index(s, ":]")
	if end < 0 {
		return "", 0
	}
	return s[2:end], end + 2
}

func isClass(class string, c byte) (member, known bool) {
	lower, upper, digit := c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9'
	graph := c > ' ' && c < 0x7f
	switch class {
	case "lower":
		return lower, true
	case "upper":
		return upper, true
	case "digit":
		return digit, true
	case "alpha":
		return lower || upper, true
	case "alnum":
		return lower || upper || digit, true
	case "xdigit":
		return digit || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F', true
	case "punct":
		return graph && !lower && !upper && !digit, true
	case "graph":
		return graph, true
	case "print":
		return graph || c == ' ', true
	case "cntrl":
		return c < ' ' || c == 0x7f, true
	case "blank":
		return c == ' ' || c == '\t', true
	case "space":
		return c == ' ' || c >= '\t' && c <= '\r', true
	}
	return false, false
}
