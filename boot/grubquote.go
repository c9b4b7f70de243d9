package boot

import (
	"fmt"
	"strings"
)

// grubQuote returns s as one word of GRUB's script language. A word of safe bytes stays bare. Others are put in single
// quotes, inside which nothing is special (grub-core/script/yylex.l); a single quote is closed, escaped with a
// backslash and opened again. A line ending or a NUL is an error.
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

// grubKernelArgs returns a kernel command line as arguments of GRUB's linux command. GRUB joins the arguments again: it
// puts double quotes around an argument with a blank, and a backslash before backslashes and quotes
// (grub-core/lib/cmdline.c), which the kernel does not remove. So grubKernelArgs removes quotes, and returns an error
// for a parameter that cannot arrive unchanged.
func grubKernelArgs(cmdline string) (string, error) {
	var out []string
	for _, raw := range splitWords(cmdline) {
		word := newParam(raw).Word()
		if i := strings.IndexFunc(word, func(r rune) bool { return r == '\\' || r == '\'' || r == '"' || r < ' ' }); i >= 0 {
			return "", fmt.Errorf("kernel parameter %q: GRUB cannot pass on byte %q", clip(raw), word[i])
		}
		q, err := grubQuote(word)
		if err != nil {
			return "", fmt.Errorf("kernel parameter: %w", err)
		}
		out = append(out, q)
	}
	return strings.Join(out, " "), nil
}
