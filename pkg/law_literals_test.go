package pkg

import (
	"go/ast"
	"go/token"
	"regexp"
	"strconv"
)

// outside finds what a reader of the repository cannot look up: notes that lie elsewhere, numbered promises, designs and
// issues, and paths of one machine. A page of docs/ is named with its directory.
func outside() *regexp.Regexp {
	const notes = `(failures|lab|cases|review|design|style|cmdline|dependencies)`
	return regexp.MustCompile(`(?i)(?:^|[^/\w])` + notes + `\.md\b|\b(promises?|design|design section|issues?|lab) [0-9]+\b|/work/[a-z]`)
}

// literals reads every comment and every string.
func (j *judgement) literals() {
	cites := outside()
	for _, g := range j.file.Comments {
		for _, c := range g.List {
			if m := cites.FindString(c.Text); m != "" {
				j.add(c, "comment cites %q, which is not in the repository: state the fact instead", m)
			}
		}
	}
	ast.Inspect(j.file, func(n ast.Node) bool {
		lit, ok := n.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return true
		}
		text, err := strconv.Unquote(lit.Value)
		if err != nil {
			j.add(lit, "string %s: %v", lit.Value, err)
			return true
		}
		if m := cites.FindString(text); m != "" {
			j.add(lit, "string cites %q, which is not in the repository: state the fact instead", m)
		}
		j.named(lit, text)
		return true
	})
	j.out = append(j.out, ratchet(j.name, j.names, allowed()[j.name])...)
}
