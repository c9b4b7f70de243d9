package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dustin/go-humanize"

	"migrate-init/pkg/stage"
)

// enough is how many columns of a path tell where a copy is; for them the line gives up other words.
const enough = 20

// progressLine tells an event in at most so many columns, each a byte: names are hostile, and what they hold beside plain
// ASCII a console may take for a command, or no one knows how wide it shows it.
func progressLine(e stage.Event, columns int) string {
	path, quotes := escaped(e.Progress.Path), len(`: ""`)
	need := 0
	if len(path) > 0 {
		need = quotes + min(enough, width(path))
	}
	var line string
	for brief := range 3 {
		if line = figures(e, brief); len(line)+need <= columns {
			break
		}
	}
	left := columns - len(line) - quotes
	if len(path) == 0 || left < min(enough/2, width(path)) {
		return shortened(strings.Split(line, ""), columns)
	}
	return line + `: "` + shortened(path, left) + `"`
}

// figures is a line without a path; a brief one leaves out what is copied, a briefer one the total too.
func figures(e stage.Event, brief int) string {
	g := e.Progress
	var words []string
	if brief < 1 {
		words = append(words, strings.Join(escaped(e.Text), ""))
	}
	switch {
	case g.TotalFiles > 0 && g.TotalBytes == 0 && brief < 2: // no data is read
		words = append(words, fmt.Sprintf("%d of %d files", g.Files, g.TotalFiles))
	case g.Files > 0:
		words = append(words, fmt.Sprintf("%d files", g.Files))
	}
	size := humanize.IBytes(uint64(max(0, g.Bytes)))
	if g.TotalBytes > 0 {
		if brief < 2 {
			size += " of " + humanize.IBytes(uint64(g.TotalBytes))
		}
		size += fmt.Sprintf(" (%d %%)", 100*g.Bytes/g.TotalBytes)
	}
	if g.Bytes > 0 || g.TotalBytes > 0 || g.TotalFiles == 0 {
		words = append(words, size)
	}
	if g.Rate > 0 {
		words = append(words, humanize.IBytes(uint64(g.Rate))+"/s")
	}
	if g.ETA > 0 {
		left := time.Duration(g.ETA * float64(time.Second)).Round(time.Second)
		words = append(words, max(left, time.Second).String()+" left") // it is at work
	}
	return e.Stage + ": " + strings.Join(words, ", ")
}

// escaped spells a name in printable ASCII, as Go quotes strings; one element for each character, which is not to be cut.
func escaped(name string) []string {
	var out []string
	for len(name) > 0 {
		_, n := utf8.DecodeRuneInString(name)
		q := strconv.QuoteToASCII(name[:n])
		out = append(out, q[1:len(q)-1])
		name = name[n:]
	}
	return out
}

func width(chars []string) int {
	n := 0
	for _, c := range chars {
		n += len(c)
	}
	return n
}

// shortened leaves out the middle of what has more columns. The end of a path tells more than its beginning.
func shortened(chars []string, columns int) string {
	if width(chars) <= columns {
		return strings.Join(chars, "")
	}
	const gap = "..."
	columns -= len(gap)
	if columns < 0 {
		return gap[:max(0, columns+len(gap))]
	}
	i, head := 0, 0
	for ; head+len(chars[i]) <= columns/3; i++ {
		head += len(chars[i])
	}
	j, tail := len(chars), 0
	for ; head+tail+len(chars[j-1]) <= columns; j-- {
		tail += len(chars[j-1])
	}
	return strings.Join(chars[:i], "") + gap + strings.Join(chars[j:], "")
}
