package boot

import (
	"fmt"
	"strings"
)

// grubQuote spells s as one word of GRUB's script language. Words of safe bytes stay bare; others go into single quotes,
// inside which nothing is special (grub-core/script/yylex.l), a single quote itself as '\”. A line end or NUL cannot be
// in a word that we write.
func grubQuote(s string) (string, error) {
	if i := strings.IndexAny(s, "\n\r\x00"); i >= 0 {
		return "", fmt.Errorf("grub word %q: byte %q not allowed", clip(s), s[i])
	}
	if s != "" && strings.Trim(s, grubSafe) == "" {
		return s, nil
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'", nil
}

const grubSafe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,%@"

// grubKernelArgs spells a kernel command line as arguments of GRUB's linux command. GRUB joins its arguments again: one
// with a blank is put into double quotes as a whole, and backslash and both quotes get a backslash (grub-core/lib/cmdline.c),
// which the kernel does not take off. So quotes are removed here, and what cannot arrive as it is meant is an error.
func grubKernelArgs(cmdline string) (string, error) {
	var out []string
	for _, raw := range splitWords(cmdline) {
		word := newParam(raw).Word()
		if i := strings.IndexFunc(word, func(r rune) bool { return r == '\\' || r == '\'' || r == '"' || r < ' ' }); i >= 0 {
			return "", fmt.Errorf("kernel parameter %q: GRUB cannot hand over byte %q", clip(raw), word[i])
		}
		q, err := grubQuote(word)
		if err != nil {
			return "", fmt.Errorf("kernel parameter: %w", err)
		}
		out = append(out, q)
	}
	return strings.Join(out, " "), nil
}
