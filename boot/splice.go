package boot

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// marked is a kind of block in a custom.cfg, by the name in its two markers; the plan's id follows the name.
type marked string

const (
	snippet  marked = "migrate-init"
	deferral marked = "migrate-init-deferral"
)

func (k marked) begin() string { return "### BEGIN " + string(k) + " " }
func (k marked) end() string   { return "### END " + string(k) + " " }

const (
	// The file before the snippet had no final line ending. One was added, and is removed with the snippet.
	joined = " (line end added)"
)

// ErrSnippetPresent means that a custom.cfg already has a snippet.
var ErrSnippetPresent = errors.New("a migrate-init snippet is already there")

// InsertSnippet appends a snippet by [GRUBSnippet] to a custom.cfg (nil for none). [RemoveSnippet] restores existing
// byte for byte.
func InsertSnippet(existing, lines []byte) ([]byte, error) { return snippet.insert(existing, lines) }

func (k marked) insert(existing, lines []byte) ([]byte, error) {
	s, e, id, err := k.find(lines)
	if err != nil || s != 0 || e != len(lines) || id == "" {
		return nil, fmt.Errorf("custom.cfg: the lines to insert are not a migrate-init snippet: %q", clip(string(lines)))
	}
	_, _, old, err := k.find(existing)
	if err != nil {
		return nil, err
	}
	if old != "" {
		return nil, fmt.Errorf("custom.cfg: %w, of plan %s", ErrSnippetPresent, old)
	}
	out := bytes.Clone(existing)
	if n := len(out); n > 0 && out[n-1] != '\n' {
		first, rest, _ := bytes.Cut(lines, []byte("\n"))
		out = append(out, '\n')
		out = append(out, first...)
		out = append(out, joined+"\n"...)
		return append(out, rest...), nil
	}
	return append(out, lines...), nil
}

// RemoveSnippet removes the snippet and leaves every other byte unchanged. If there is none, found is false and rest
// equals existing. A damaged snippet (no end, two of them) is an error: the caller must not guess which lines are the
// administrator's.
func RemoveSnippet(existing []byte) (rest []byte, found bool, err error) {
	return snippet.remove(existing)
}

func (k marked) remove(existing []byte) (rest []byte, found bool, err error) {
	start, end, id, err := k.find(existing)
	if err != nil {
		return nil, false, err
	}
	if id == "" {
		return bytes.Clone(existing), false, nil
	}
	if first, _, _ := bytes.Cut(existing[start:end], []byte("\n")); bytes.HasSuffix(first, []byte(joined)) && start > 0 {
		start--
		// Lines that were added after the snippet need a line ending before them.
		if end < len(existing) {
			start++
		}
	}
	return append(bytes.Clone(existing[:start]), existing[end:]...), true, nil
}

// SnippetPlan returns the plan id of the snippet in a custom.cfg, or "" if there is none.
func SnippetPlan(existing []byte) (string, error) {
	_, _, id, err := snippet.find(existing)
	return id, err
}

// find returns the byte range of the one block of its kind, from its first marker to the end of the line of its last.
func (k marked) find(data []byte) (start, end int, id string, err error) {
	open := false
	for at, n := 0, 1; at < len(data); n++ {
		line := data[at:]
		next := len(data)
		if i := bytes.IndexByte(line, '\n'); i >= 0 {
			line, next = line[:i], at+i+1
		}
		text := string(line)
		if v, ok := strings.CutPrefix(text, k.begin()); ok {
			v = strings.TrimSuffix(v, joined)
			switch {
			case id != "":
				return 0, 0, "", fmt.Errorf("custom.cfg: line %d: second snippet %q", n, clip(text))
			case !ValidPlanID(v):
				return 0, 0, "", fmt.Errorf("custom.cfg: line %d: no plan id in %q", n, clip(text))
			}
			start, id, open = at, v, true
		} else if v, ok := strings.CutPrefix(text, k.end()); ok {
			if !open || v != id {
				return 0, 0, "", fmt.Errorf("custom.cfg: line %d: end of a snippet without its beginning: %q", n, clip(text))
			}
			end, open = next, false
		}
		at = next
	}
	if open {
		return 0, 0, "", fmt.Errorf("custom.cfg: %q has no end", k.begin()+id)
	}
	return start, end, id, nil
}
