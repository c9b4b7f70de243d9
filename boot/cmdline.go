package boot

import "strings"

// Param is one word of a kernel command line.
type Param struct {
	Key   string // up to the first '=', without outer quotes
	Value string // after the '=', without quotes; "" if there is no '='
	Bare  bool   // there is no '=': a boolean
	Raw   string // the word as written, with quotes
}

// Cmdline is a parsed kernel command line. Words keep their order and repetitions.
type Cmdline struct {
	Params []Param  // before "--"
	Init   []string // after "--", for init, with quotes removed as by the kernel
}

// ParseCmdline reads a command line by the kernel's rules (next_arg in lib/cmdline.c): blanks separate words, except
// between double quotes; quotes around a word or its value are removed; there are no escapes. It accepts every string.
func ParseCmdline(s string) Cmdline {
	c := Cmdline{}
	behind := false
	for _, word := range splitWords(s) {
		p := newParam(word)
		switch {
		case behind:
			c.Init = append(c.Init, p.Word())
		case p.Bare && p.Key == "--":
			behind = true
		default:
			c.Params = append(c.Params, p)
		}
	}
	return c
}

// splitWords splits at blanks outside double quotes; the words keep their quotes.
func splitWords(s string) []string {
	var out []string
	for i := 0; i < len(s); {
		if isSpace(s[i]) {
			i++
			continue
		}
		start, quoted := i, false
		for i < len(s) && (quoted || !isSpace(s[i])) {
			if s[i] == '"' {
				quoted = !quoted
			}
			i++
		}
		out = append(out, s[start:i])
	}
	return out
}

// isSpace is the kernel's isspace for the ASCII range. It omits the one other character of the kernel's, the no-break
// space of Latin-1, which in UTF-8 is part of other characters.
func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func newParam(raw string) Param {
	word, quoted := raw, false
	if strings.HasPrefix(word, `"`) {
		word, quoted = word[1:], true
	}
	// The kernel looks for '=' after the first byte: "=x" is a key.
	eq := strings.IndexByte(word[min(1, len(word)):], '=') + 1
	if eq == 0 {
		key := word
		if quoted {
			key = strings.TrimSuffix(key, `"`)
		}
		return Param{Key: key, Bare: true, Raw: raw}
	}
	key, value := word[:eq], word[eq+1:]
	// The kernel drops one closing quote at the very end of the word if the word or its value began with one.
	if strings.HasPrefix(value, `"`) {
		value, quoted = value[1:], true
	}
	if quoted {
		value = strings.TrimSuffix(value, `"`)
	}
	return Param{Key: key, Value: value, Raw: raw}
}

// Words returns the parameters without their quotes, in order, up to "--".
func (c Cmdline) Words() []string {
	out := make([]string, len(c.Params))
	for i, p := range c.Params {
		out[i] = p.Word()
	}
	return out
}

// EditCmdline replaces each word of a command line with the result of change; Param.Raw is the word as written. Blanks
// between words stay.
func EditCmdline(s string, change func(Param) string) string {
	var out strings.Builder
	for _, word := range splitWords(s) {
		i := strings.Index(s, word)
		out.WriteString(s[:i])
		out.WriteString(change(newParam(word)))
		s = s[i+len(word):]
	}
	return out.String() + s
}

// Word returns the parameter without quotes.
func (p Param) Word() string {
	if p.Bare {
		return p.Key
	}
	return p.Key + "=" + p.Value
}

// Get returns the value of the last word with that key, and whether there is one. Keys compare as in [SameKey].
func (c Cmdline) Get(key string) (string, bool) {
	for i := len(c.Params) - 1; i >= 0; i-- {
		if SameKey(c.Params[i].Key, key) {
			return c.Params[i].Value, true
		}
	}
	return "", false
}

// All returns the values of every word with that key, in order; a bare word counts as "".
func (c Cmdline) All(key string) []string {
	var out []string
	for _, p := range c.Params {
		if SameKey(p.Key, key) {
			out = append(out, p.Value)
		}
	}
	return out
}

// SameKey compares two keys as the kernel compares parameter names: '-' and '_' are the same.
func SameKey(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if dash(a[i]) != dash(b[i]) {
			return false
		}
	}
	return true
}

func dash(c byte) byte {
	if c == '-' {
		return '_'
	}
	return c
}
