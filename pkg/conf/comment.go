package conf

import "bytes"

// Uncommented takes the comments out of a file in which '#' begins one where a word could begin: shell, GRUB's scripts,
// mdadm.conf. Comments may tell history. A text whose quotes do not end keeps what stands behind a word: where a quote is
// open, and '#' a sign like others, cannot be told there.
func Uncommented(b []byte) []byte {
	if out, ok := uncommented(b); ok {
		return out
	}
	return UncommentedLines(b)
}

// UncommentedLines drops the lines that are comments.
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
