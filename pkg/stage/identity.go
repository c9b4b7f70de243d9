package stage

import (
	"bytes"
	"strings"

	"migrate-init/pkg/plan"
)

// oldIdentity finds a name of the old system in a text, "" when there is none: the UUIDs of its filesystems and swap areas,
// those of their partitions, and the nodes and links that they had.
func oldIdentity(p *plan.Plan, b []byte) string {
	low := bytes.ToLower(b)
	find := func(uuid string, on plan.Ref, node string) string {
		for _, id := range []string{uuid, strings.TrimPrefix(string(on), "part:")} {
			if id != "" && bytes.Contains(low, []byte(strings.ToLower(id))) {
				return id
			}
		}
		for _, n := range []string{node, idLink(p, node)} {
			if n != "" && namesNode(b, n) {
				return n
			}
		}
		return ""
	}
	for _, n := range append(p.Source.Filesystems(), p.Source.Swaps()...) {
		if id := find(n.Ref.ID(), n.Lower(), n.Was); id != "" {
			return id
		}
	}
	return ""
}

// namesNode finds a node that is not the beginning of another's name: /dev/vda1 in /dev/vda10.
func namesNode(b []byte, node string) bool {
	for {
		i := bytes.Index(b, []byte(node))
		if i < 0 {
			return false
		}
		b = b[i+len(node):]
		if len(b) == 0 || !('0' <= b[0] && b[0] <= '9' || 'a' <= b[0] && b[0] <= 'z' || 'A' <= b[0] && b[0] <= 'Z' || strings.IndexByte("-_./", b[0]) >= 0) {
			return true
		}
	}
}

// uncommented drops the lines that are comments: those may tell history.
func uncommented(b []byte) []byte {
	var out []byte
	for line := range bytes.Lines(b) {
		if !bytes.HasPrefix(bytes.TrimLeft(line, " \t"), []byte("#")) {
			out = append(out, line...)
		}
	}
	return out
}
