package conf

import "bytes"

// Uncommented removes the comments from a file in which a '#' where a word could begin starts a comment: shell, GRUB's
// scripts, mdadm.conf. Comments may describe a former state. If a quote does not end, it is not clear where '#' is an
// ordinary character, and Uncommented removes only whole lines.
func Uncommented(b []byte) []byte {
	if out, ok := uncommented(b); ok {
		return out
	}
	return UncommentedLines(b)
}

// UncommentedLines removes the lines that are comments.
func UncommentedLines(b []byte) []byte {
	var out []byte
	for line := range bytes.Lines(b) {
		if !bytes.HasPrefix(bytes.TrimLeft(line, " \t"), []byte("#")) {
			out = append(out, line...)
		}
	}
	return out
}

func uncommented(b []byte) (out []byte, ended bool) {
	var quote byte
	word := false // the byte before belongs to a word
	for i := 0; i < len(b); i++ {
		c := b[i]
		switch {
		case c == '\\' && quote != '\'' && i+1 < len(b):
			out = append(out, c, b[i+1])
			word = b[i+1] != '\n'
			i++
			continue
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote, word = c, true
		case c == '#' && !word:
			for i+1 < len(b) && b[i+1] != '\n' {
				i++
			}
			continue
		default:
			word = !(c == ' ' || c == '\t' || c == '\n' || c == ';' || c == '&' || c == '|' || c == '(' || c == ')')
		}
		out = append(out, c)
	}
	return out, quote == 0
}
